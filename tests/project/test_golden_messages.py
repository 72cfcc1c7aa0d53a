"""Golden messages: the few sentences that tests pin word for word.

Everywhere else a test looks at an error's kind and values (``tests/refusal.py``), so that the words can be
improved without touching it. Who changes one of these sentences changes it here too, on purpose.
"""

from __future__ import annotations

import pytest
from synthetic_front import make_front

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.bit_exactness import Verification
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.testing.contract import expect_equal
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.run_facts import Chance, LeftOut, LeftOutKind
from hwnas_hls_plugins.exporters.html_report.verdict import verdict


def test_an_error_of_the_user() -> None:
    error = UserError(
        "unknown strategy",
        where="spec.toml: [strategy]",
        found="nsga",
        choices=["evolution", "nsga3"],
        cause="plugin mine: failed to load",
        remedy="take one of these",
    )
    assert str(error).splitlines() == [
        "unknown strategy",
        "  where: spec.toml: [strategy]",
        "  found: nsga",
        "  did you mean: nsga3",
        "  choices: evolution, nsga3",
        "  cause: plugin mine: failed to load",
        "  remedy: take one of these",
    ]


def test_a_project_that_is_not_its_design() -> None:
    assert str(Verification(50, 256, 3)) == "bit-exact on 306 rows x 3 outputs"
    assert str(Verification(50, 256, 3, 7, (4, 1, 20, -3))) == (
        "NOT BIT-EXACT: 7 of 918 values differ; first in row 4, output 1: emulator 20, C simulation -3 "
        "(least significant bits)"
    )
    assert str(Verification(5, 5, 1, failure="no memory")) == "NOT VERIFIED: no memory"


def test_checks_of_a_design() -> None:
    results = (PASSED, failure("3 rows differ"), not_run("no g++"), not_run("csim = false", wanted=False))
    assert list(map(str, results)) == ["ok", "3 rows differ", "not run: no g++", "not run (csim = false)"]


def test_the_verdict_of_a_report() -> None:
    chance, dead = (
        Chance("accuracy", 0.25, 0.02, "always no"),
        LeftOut(LeftOutKind.USELESS, "its outputs are 0"),
    )
    front = make_front(candidates=0, run={"chance": chance, "left_out": {"k": dead}, "finished": False})
    assert verdict(front, ()) == [
        "No candidate was evaluated.",
        "The run was interrupted before its budget was spent; `hwnas-hls resume` continues it.",
    ]
    front = make_front(members=0, run={"chance": chance, "left_out": {"k": dead}})
    assert verdict(front, ()) == [
        "No design was exported, although 31 candidates met every limit.",
        "Left out as useless: k (its outputs are 0).",
        "Chance on the test rows: accuracy 25.0 % (always no).",
    ]


def test_internal_fault_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Registry:
        raise RuntimeError("boom")

    monkeypatch.delenv("HWNAS_DEBUG", raising=False)
    assert invoke(["targets"], broken) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: RuntimeError: boom",
        "  this is a bug in hwnas-hls or in a plugin; HWNAS_DEBUG=1 shows the traceback",
    ]


def test_contract_difference_is_shown() -> None:
    with pytest.raises(AssertionError) as caught:
        expect_equal({"a": [1, 2, 3], "b": 4}, {"a": [1, 2, 5], "b": 4}, "other numbers")
    assert str(caught.value) == "other numbers: differs first at ['a'][2]: 3 is not 5"
