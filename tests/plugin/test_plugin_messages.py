"""Mistakes of plugin authors: each is named where it is made, with what was found and what to write."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.cli.context import errors_only, messages_on_terminal
from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.plugin.faults import PluginError, WrongReturn
from hwnas_hls.plugin.offers import FaultKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.returned import (
    checked_availability,
    checked_estimates,
    checked_paths,
    checked_report,
    dataset_fault,
)
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.exporter import Exporter, Front
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import ProposingStrategy
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.task import Dataset, Split, Task
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.lifecycle import Observer
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import StrategyContract, TinySpace, check, sample_dataset
from hwnas_hls.testing.plugin_check import check_plugin, contract_of
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, Metric, measured

INFINITE = measured("lut", float("inf"), "csynth", "x")


class Sampler(ProposingStrategy):
    """Draws at random."""

    name = "sampler"

    def ask(self, n: int) -> Any:
        rng = self.proposals.next_rng()
        drawn = (self.proposals.sample(rng) for _ in range(n))
        return [candidate for candidate in drawn if candidate is not None]


def returning(returned: object, kind: str = "strategies") -> Registry:
    """A registry with a plugin whose collecting hook returns this."""
    registry = Registry()
    plugin = type("Plugin", (), {f"hwnas_register_{kind}": hookimpl(lambda self: returned)})
    registry.register(plugin(), "mine")
    return registry


def problems(registry: Registry, name: str) -> dict[str, str]:
    return {item.test: item.problem for item in check_plugin(registry, name) if item.problem}


def broken(kind: str, cls: type) -> dict[str, str]:
    """The failed contract tests of a class."""
    registry = returning([cls], f"{kind}s")
    (offer,) = registry.offers(kind)[cls.name]  # type: ignore[attr-defined]
    return {item.test: item.problem for item in check(contract_of(registry, offer)) if item.problem}


@pytest.mark.parametrize("returned", [None, Sampler, "sampler"])
def test_collecting_hook_without_a_list_is_a_fault(returned: object) -> None:
    registry = returning(returned)
    registry.offers("strategy")
    (fault,) = registry.faults
    assert fault.kind is FaultKind.HOOK_FAILED
    expect_mentioned(fault, ["mine", "hwnas_register_strategies", repr(returned)])
    assert "return a list" in str(fault)


def test_fault_of_a_hook_names_file_and_line() -> None:
    registry = Registry()
    plugin = type("Plugin", (), {"hwnas_register_strategies": hookimpl(lambda self: 1 / 0)})
    registry.register(plugin(), "mine")
    registry.offers("strategy")
    assert f"{Path(__file__).name}, line" in str(registry.faults[0])


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [({"name": "a:b"}, "'a:b'"), ({"name": None}, "None"), ({"Config": dict}, "dict")],
)
def test_wrong_name_or_config_is_shown(attributes: dict[str, object], shown: str) -> None:
    registry = returning([type("Wrong", (Sampler,), attributes)])
    registry.offers("strategy")
    assert shown in str(registry.faults[0])


def test_one_plugin_with_a_name_twice_is_a_fault() -> None:
    registry = returning([Sampler, type("Other", (Sampler,), {})])
    assert len(registry.offers("strategy")["sampler"]) == 1
    expect_mentioned(registry.faults[0], ["'sampler'", "Other", "Sampler"])


def test_check_refuses_the_name_of_a_builtin() -> None:
    found = problems(returning([type("Mine", (Sampler,), {"name": "grid"})]), "mine")
    assert list(found) == ["has a name that no built-in uses"]
    expect_mentioned(found["has a name that no built-in uses"], ["builtin:grid", "mine:grid"])


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            make_dataclass("Config", [("size", int, "three")], frozen=True),
            ["size", "'three'", "whole number"],
        ),
        (make_dataclass("Config", [("size", int, 3)]), ["frozen=True"]),
    ],
)
def test_check_refuses_a_wrong_config(config: type, shown: list[str]) -> None:
    found = broken("task", type("Mine", (toy.ToyTask,), {"name": "mine", "Config": config}))
    expect_mentioned(found["test_is_a_subclass_of_its_kind_with_a_name_and_a_config"], shown)


@dataclass(frozen=True)
class Raising:
    size: int = 3

    def __post_init__(self) -> None:
        raise KeyError("size")


@pytest.mark.parametrize("config", [Raising, make_dataclass("Config", [("a", "Nowhere", 3)], frozen=True)])
def test_config_that_raises_names_its_plugin(config: type) -> None:
    registry = returning([type("Mine", (Sampler,), {"name": "mine", "Config": config})])
    (offer,) = registry.offers("strategy")["mine"]
    with refused(ErrorKind.PLUGIN_FAULT, PluginError, mentions=["strategy mine:mine"]):
        registry.build(offer, {}, "here")


@pytest.mark.parametrize("asked", [None, [None], [{"width": 4}]])
def test_wrong_return_of_ask_ends_the_run_and_is_shown(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, asked: object
) -> None:
    class Mine(toy.ToyStrategy):
        name = "mine"

        def ask(self, n: int) -> Any:
            return asked

    plugin = type("Plugin", (), {"hwnas_register_strategies": hookimpl(lambda self: [Mine])})
    registry.register(plugin(), "mine")
    spec = toy_spec(strategy={"name": "mine"})
    with refused(ErrorKind.PLUGIN_FAULT, HwnasError, mentions=["strategy mine", "ask()"]) as caught:
        runs.start(spec, registry, tmp_path / "run", Observer())
    assert "search.py" not in str(caught.value)


class Generates(Sampler):
    def ask(self, n: int) -> Any:
        return (candidate for candidate in super().ask(n))


class Seeds(Sampler):
    def ask(self, n: int) -> Any:
        np.random.seed(0)
        return super().ask(n)


class NoTask(Task):
    """Loads nothing."""

    name = "wrong"

    def load(self) -> Any:
        return None


class Wider(TinySpace):
    """Has an input more than the task."""

    name = "wrong"

    def __init__(self, task: Dataset) -> None:
        super().__init__(task.n_in + 1, task.n_out)


class Nothing(Estimator):
    """Gives numbers of a wrong kind."""

    name = "wrong"
    version = "1"
    cost = 0.0
    provides = (Metric("size", "min", "size"),)

    def estimate(self, candidates: Any, context: Context) -> Any:
        return self._answer(candidates)

    def _answer(self, candidates: list[Candidate]) -> Any:
        return None


class Infinite(Nothing):
    def _answer(self, candidates: list[Candidate]) -> Any:
        return [Estimates({"size": measured("size", float("inf"), "predicted", "x")}) for _ in candidates]


class Bare(Nothing):
    def _answer(self, candidates: list[Candidate]) -> Any:
        return [Estimates({"size": 3.0}) for _ in candidates]  # type: ignore[dict-item]


class Synth(Synthesizer):
    """Reports infinity."""

    name = "wrong"

    def available(self, target: object) -> str:
        return ""

    def synthesize(self, design: object, target: object, stage: str) -> SynthesisReport:
        return SynthesisReport("tool 1", stage, {"lut": measured("lut", float("inf"), "csynth", "x")})


class Silent(Synth):
    def available(self, target: object) -> Any:
        return None


class Writes(Exporter):
    """Returns one path instead of a list."""

    name = "wrong"

    def export(self, front: Front, folder: Path) -> Any:
        (folder / "x.txt").write_text("x")
        return folder / "x.txt"


@pytest.mark.parametrize(
    ("kind", "cls", "test", "shown"),
    [
        (
            "estimator",
            Nothing,
            "returns_one_result_per_candidate",
            ["estimate()", "list of Estimates", "None"],
        ),
        ("estimator", Infinite, "values_are_in_their_intervals_under_the_right_metric", ["size", "inf"]),
        (
            "estimator",
            Bare,
            "values_are_in_their_intervals_under_the_right_metric",
            ["size", "Estimate", "3.0"],
        ),
        ("task", NoTask, "splits_are_consistent", ["load()", "Dataset", "None"]),
        ("synthesizer", Synth, "reports_numbers_with_sources_or_a_missing_tool", ["lut", "inf"]),
        ("synthesizer", Silent, "equal_designs_get_equal_numbers", ["available()", "str", "None"]),
        ("exporter", Writes, "accepts_an_empty_front", ["export()", "list of Path", "x.txt"]),
        ("space", Wider, "architectures_can_be_built_and_stored", ["inputs and outputs"]),
    ],
)
def test_contract_shows_what_a_method_returned(kind: str, cls: type, test: str, shown: list[str]) -> None:
    expect_mentioned(broken(kind, cls)[f"test_{test}"], shown)


def test_contract_of_strategies_shows_a_generator_and_a_global_seed() -> None:
    class OfGenerates(StrategyContract):
        cls: type[Sampler] = Generates

        def strategy(self, space: Space, goal: Any, seed: int) -> Any:
            return self.cls(space, seed)

    with pytest.raises(AssertionError, match=r"ask\(\) must return a list of Candidate, not a generator"):
        OfGenerates().test_asks_for_candidates_of_the_space()
    OfGenerates.cls = Seeds
    with pytest.raises(AssertionError, match="numpy"):
        OfGenerates().test_does_not_change_global_random_state()


@pytest.mark.parametrize(
    ("check", "returned", "shown"),
    [
        (partial(checked_estimates, candidates=1), None, ["estimate()", "None"]),
        (partial(checked_estimates, candidates=2), [Estimates({})], ["1 results", "2 candidates"]),
        (partial(checked_estimates, candidates=1), [Estimates({"lut": 3.0})], ["lut", "3.0", "Estimate"]),  # type: ignore[dict-item]
        (partial(checked_estimates, candidates=1), [Estimates({"lut": INFINITE})], ["lut", "inf"]),
        (checked_paths, ["front.yaml"], ["export()", "'front.yaml'", "Path"]),
        (checked_paths, Path("front.yaml"), ["export()", "list of Path"]),
        (checked_report, None, ["synthesize()", "None", "SynthesisReport"]),
        (checked_report, SynthesisReport("a 1", "csynth", {"lut": 3}), ["lut", "3", "measured"]),  # type: ignore[dict-item]
        (checked_availability, False, ["available()", "False"]),
    ],
)
def test_wrong_return_is_shown(check: Callable[[Any], object], returned: object, shown: list[str]) -> None:
    with pytest.raises(WrongReturn) as caught:
        check(returned)
    expect_mentioned(caught.value, shown)


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_numpy_scalars_become_json_able_numbers(kind: type) -> None:
    estimate = Estimate("lut", kind(3), kind(3), kind(3), "predicted", "counted")
    assert json.loads(json.dumps(estimate.value)) == 3


def changed(**splits: object) -> Dataset:
    """The sample data with other training rows or fields."""
    data = sample_dataset()
    if "x" in splits or "y" in splits:
        train = Split(splits.pop("x", data.train.x), splits.pop("y", data.train.y))  # type: ignore[arg-type]
        splits["train"] = train
    return dataclasses.replace(data, input_shape=None, **splits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"x": [[1.0]]}, ["train", "x", "list"]),
        ({"x": np.full((3, 8), np.nan), "y": np.arange(3)}, ["x[0, 0]", "nan"]),
        ({"x": np.ones((3, 8)), "y": np.arange(2)}, ["train", "(3, 8)", "(2,)"]),
        ({"x": np.ones((3, 8)), "y": np.array(["a"] * 3)}, ["train", "y", "<U1"]),
        ({"x": np.ones((1, 8)), "y": np.array([9])}, ["classes 9 to 9"]),
        ({"kind": "clasification"}, ["clasification"]),
        ({"features": ("one",)}, ["1 feature names"]),
    ],
)
def test_unusable_data_of_a_task_are_located(fields: dict[str, Any], shown: list[str]) -> None:
    assert not dataset_fault(sample_dataset())
    expect_mentioned(dataset_fault(changed(**fields)), shown)


def test_messages_for_the_log_file_stay_off_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A run lowers the level of its loggers, so the level of the terminal's handler counts."""
    before = list(logging.root.handlers)
    log = logging.getLogger("hwnas_hls.run.lifecycle")
    with messages_on_terminal():
        log.setLevel(logging.INFO)
        log.info("a traceback")
        log.warning("few rows")
        errors_only()
        log.warning("too late")
    log.setLevel(logging.NOTSET)
    assert capsys.readouterr().err == "WARNING: few rows\n"
    assert logging.root.handlers == before


def test_a_wrong_option_after_quiet_leaves_no_trace() -> None:
    """Options are read before click enters the command, so nothing of it may outlive a usage error."""
    levels = [handler.level for handler in logging.root.handlers]
    assert invoke(["run", "--quiet", "--no-such-option"]) == 2
    assert [handler.level for handler in logging.root.handlers] == levels


def test_network_that_does_not_fit_the_task_is_the_fault_of_the_space(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    class Mine(toy.ToySpace):
        name = "mine"

        def architecture(self, candidate: Candidate) -> Any:
            built = super().architecture(candidate)
            first, *others = built.layers
            return dataclasses.replace(
                built, layers=(dataclasses.replace(first, n_in=first.n_in + 1), *others)
            )

    plugin = type("Plugin", (), {"hwnas_register_spaces": hookimpl(lambda self: [Mine])})
    registry.register(plugin(), "mine")
    spec = toy_spec(space={"name": "mine"}, run={"trials": 2, "batch": 2})
    outcome = runs.start(spec, registry, tmp_path / "run", Observer())
    for record in outcome.front.records:
        expect_mentioned(record.reason, ["space", outcome.front.dataset.n_in, outcome.front.dataset.n_in + 1])
