"""Unknown, misspelt and missing attributes of plugin classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hwnas_hls.plugin.offers import KINDS
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.testing import EstimatorContract, check
from hwnas_hls.testing.attributes import AttributeFault, Mistake, attribute_faults
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates


class Plain(Estimator):
    """Says nothing; a complete estimator by its attributes."""

    name = "plain"
    provides = ("lut",)
    version = "1"
    cost = 0.0

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        return [Estimates() for _ in candidates]


def faults_of(cls: type[Plugin], **attributes: Any) -> list[tuple[str, Mistake, str]]:
    """(attribute, mistake, meant) of a subclass with these class attributes."""
    plugin = type("Changed", (cls,), attributes)()
    return [(fault.attribute, fault.mistake, fault.meant) for fault in attribute_faults(plugin)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("train", "trains"),
        ("trians", "trains"),
        ("learn", "learns"),
        ("use_weights", "uses_weights"),
        ("forcast", "forecast"),
        ("proxie", "proxies"),
        ("full_trainings", "full_training"),
        ("isolate", "isolated"),
        ("memory_limit_MB", "memory_limit_mb"),
        ("timelimit_s", "time_limit_s"),
        ("Version", "version"),
        ("config_", "config"),
    ],
)
def test_misspelt_flag_names_the_declared_one(written: str, meant: str) -> None:
    assert faults_of(Plain, **{written: True}) == [(written, Mistake.MISSPELT, meant)]


def test_misspelt_flag_of_an_instance_is_found() -> None:
    plugin = Plain()
    vars(plugin)["train"] = True
    (fault,) = attribute_faults(plugin)
    assert (fault.attribute, fault.mistake, fault.meant) == ("train", Mistake.MISSPELT, "trains")


def test_misspelt_method_is_found() -> None:
    def concludes(self: object) -> None: ...

    assert faults_of(Plain, estimates=concludes) == [("estimates", Mistake.MISSPELT, "estimate")]


def test_unknown_public_data_are_refused_and_private_data_and_methods_are_not() -> None:
    def helper(self: object) -> None: ...

    assert faults_of(Plain, table=(1, 2), _table=(1, 2), helper=helper, other=property(helper)) == [
        ("table", Mistake.UNKNOWN, "")
    ]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("trains", "yes"), ("trains", 1), ("forecast", True), ("time_limit_s", "60"), ("memory_limit_mb", 1.5)],
)
def test_flag_of_another_type_is_refused(attribute: str, value: object) -> None:
    assert faults_of(Plain, **{attribute: value}) == [(attribute, Mistake.WRONG_TYPE, "")]


def test_whole_seconds_pass_for_seconds() -> None:
    assert faults_of(Plain, time_limit_s=60) == []


def test_required_attribute_that_is_missing_is_named() -> None:
    class Bare(Estimator):
        """Leaves out what has no default."""

        name = "bare"

        def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
            return []

    missing = {fault.attribute for fault in attribute_faults(Bare()) if fault.mistake is Mistake.MISSING}
    assert missing == {"provides", "version", "cost"}


def test_contract_reports_the_fault() -> None:
    class Wrong(Plain):
        """Would train, were it spelt so."""

        train = True

    class OfWrong(EstimatorContract):
        def estimator(self) -> Estimator:
            return Wrong()

    problems = {finding.test: finding.problem for finding in check(OfWrong()) if finding.problem}
    fault = AttributeFault("Wrong", "train", Mistake.MISSPELT, "trains")
    assert problems["test_has_no_unknown_or_misspelt_attribute"] == str(fault)


@pytest.mark.parametrize("kind", KINDS)
def test_builtin_plugins_declare_all_their_attributes(kind: str) -> None:
    classes = [offer.cls for same in Registry().offers(kind).values() for offer in same]
    assert classes
    for cls in classes:
        # Without its constructor: only what the class declares is looked at.
        faults = attribute_faults(cls.__new__(cls))
        assert [fault for fault in faults if fault.mistake is not Mistake.MISSING] == []
