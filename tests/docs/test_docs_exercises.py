"""The exercises of the documentation: as printed they keep their contracts, and do what they say."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import ROOT

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.testing import sample_context
from hwnas_hls.testing.plugin_check import check_plugin
from hwnas_hls.values.record import RecordState

PAGE = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
FAST, TRADEOFF = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FAST_SPEC, TRADEOFF_SPEC = (
    tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
SHORT: dict[str, Any] = {"trials": 24, "batch": 12, "exporters": [], "device": "cpu"}


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The built-in plugins and both exercises."""
    registry = Registry()
    for name, code in (("fast", FAST), ("tradeoff_plugin", TRADEOFF)):
        module = types.ModuleType(f"exercise_{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(code, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 (run as printed)
        registry.register(module, f"exercise_{name}")
    assert registry.faults == []
    return registry


@pytest.mark.parametrize("name", ["fast-mlps", "tradeoff"])
def test_exercise_plugins_keep_their_contracts(plugins: Registry, name: str) -> None:
    found = list(check_plugin(plugins, name))
    assert len(found) >= 4
    assert [f"{item.test}: {item.problem}" for item in found if item.problem] == []


def test_the_evaluation_function_is_short() -> None:
    assert len(TRADEOFF.splitlines()) <= 40


def built(plugins: Registry, dataset: Any, **config: Any) -> Any:
    offer = plugins.offer("space", "fast-mlps", "test")
    return plugins.build(offer, config, "test", task=dataset, clock_ns=5.0)


def test_no_member_of_the_space_is_slow(plugins: Registry) -> None:
    """By the hardware model's best guess none, by the upper end of its interval few; without the
    repair many are."""
    task = plugins.build(plugins.offer("task", "digits", "test"), {}, "test").load()
    space = built(plugins, task)
    model = plugins.build(plugins.offer("estimator", "hls-model", "test"), {}, "test")

    def slow(space_: Any) -> tuple[float, float]:
        """(slowest by the best guess, share over the limit at the upper end)."""
        rng = np.random.default_rng(0)
        candidates = [space_.sample(rng) for _ in range(60)]
        candidates += [space_.mutate(candidate, rng) for candidate in candidates]
        found = model.estimate(candidates, sample_context(space_, task))
        assert not [item.failure for item in found if item.failure]
        values = [item.values["latency_ns"] for item in found]
        return max(item.value for item in values), float(np.mean([item.high > 1000 for item in values]))

    slowest, refused = slow(space)
    slowest_without, refused_without = slow(built(plugins, task, max_latency_ns=1e6))
    assert slowest <= 1000 < 1500 < slowest_without
    assert refused < 0.3
    assert refused_without > refused + 0.1


def test_the_space_is_searched_as_in_its_spec(plugins: Registry, tmp_path: Path) -> None:
    short = {"epochs": 1, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}
    tables = {
        **FAST_SPEC,
        "run": {**SHORT, "estimators": ["static", "hls-model", "training"]},
        "estimators": {"training": short},
        "export": {"members": 1, "restarts": 1, "csim": False, "training": short},
    }
    outcome = start(spec_from_tables(tables, "exercise"), plugins, tmp_path / "run", Observer())
    assert outcome.front.members
    for member in outcome.front.members:
        assert member.record.estimates["latency_ns"].high <= 1000


def test_best_design_of_run_is_best_by_function(plugins: Registry, tmp_path: Path) -> None:
    short = {"epochs": 2, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}
    estimators = {**TRADEOFF_SPEC["estimators"], "training": short}
    tables = {
        **TRADEOFF_SPEC,
        "synthesis": {"synthesizer": "none"},
        "run": {**SHORT, **TRADEOFF_SPEC["run"]},
        "estimators": estimators,
        "export": {"members": 1, "restarts": 1, "csim": False, "folds": 0, "training": {"epochs": 4}},
    }
    outcome = start(spec_from_tables(tables, "exercise"), plugins, tmp_path / "run", Observer())
    complete = [record for record in outcome.front.records if record.state == RecordState.COMPLETE]
    assert len(complete) > 5

    def by_hand(record: Any) -> float:
        return float(record.estimates["accuracy"].value - 2.0 * record.estimates["latency_ns"].value / 1000)

    for record in complete:
        assert record.estimates["tradeoff"].value == pytest.approx(by_hand(record))
        assert record.estimates["tradeoff"].low < record.estimates["tradeoff"].value
    (member,) = outcome.front.members
    assert by_hand(member.record) == max(by_hand(record) for record in complete)
    # By the final numbers, the score on the test rows among them, it was asked again.
    assert member.estimates["tradeoff"].value == pytest.approx(by_hand(member))
    assert member.estimates["tradeoff"].value != member.record.estimates["tradeoff"].value
