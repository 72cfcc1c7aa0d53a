"""The performance predictor: it learns, its intervals hold, and what it spares is recorded as stopped."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.task import Split
from hwnas_hls.run.judging.forecast import hopeful, spared
from hwnas_hls.run.lifecycle import Observer, resume, start
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import EstimatorContract, MixedSpace, sample_context, sample_dataset
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls_plugins.estimators.performance_predictor import (
    PerformancePredictorConfig,
    PerformancePredictorEstimator,
)

pytest.importorskip("sklearn")
SPACE = MixedSpace()


def accuracy_of(candidate: Candidate, noise: float = 0.01) -> float:
    """A smooth accuracy of the knobs, and noise that hangs on the key."""
    values: Any = candidate.values
    size = math.log2(values["width_1"]) + 0.5 * math.log2(values.get("width_2", 4))
    value = 0.5 + 0.04 * size + 0.02 * values["weight_bits"] - 0.1 * values.get("sparsity", 0.0)
    rng = np.random.default_rng(int(candidate.key, 16))
    return float(min(1.0, value + noise * rng.standard_normal()))


def records(count: int, seed: int = 1, noise: float = 0.01) -> list[Record]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        candidate = SPACE.sample(rng)
        value = accuracy_of(candidate, noise)
        estimate = Estimate("accuracy", value, value, value, "emulated", "made up")
        found.append(Record(number, 0, candidate, RecordState.COMPLETE, {"accuracy": estimate}, (1 - value,)))
    return found


def context(past: Sequence[Record], **more: Any) -> Context:
    return dataclasses.replace(sample_context(SPACE), records=past, **more)


class TestPerformancePredictor(EstimatorContract):
    def estimator(self) -> PerformancePredictorEstimator:
        return PerformancePredictorEstimator()

    def context(self, space: Space) -> Context:
        return context(records(60))

    def test_every_candidate_gets_a_forecast(self) -> None:
        estimator, candidates, context_ = self._case()
        assert all("predicted_accuracy" in item.values for item in estimator.estimate(candidates, context_))


def predicted(known: Sequence[Record], candidates: Sequence[Candidate], **config: Any) -> list[Estimates]:
    settings = PerformancePredictorConfig(**config)
    return PerformancePredictorEstimator(settings).estimate(candidates, context(known))


@pytest.mark.parametrize("noise", [0.002, 0.03])
def test_predictor_ranks_unseen_candidates_within_intervals(noise: float) -> None:
    unseen = [record.candidate for record in records(300, seed=2)]
    found = [item.values["predicted_accuracy"] for item in predicted(records(150, noise=noise), unseen)]
    truth = np.array([accuracy_of(candidate, noise) for candidate in unseen])
    values = np.array([item.value for item in found])
    pairs = np.sign(values[:, None] - values) * np.sign(truth[:, None] - truth)
    assert pairs.sum() / (len(truth) * (len(truth) - 1)) > 0.5
    inside = [item.low <= value <= item.high for item, value in zip(found, truth, strict=True)]
    assert 0.84 <= np.mean(inside) <= 0.98
    assert {item.coverage for item in found} == {0.9}
    assert {item.source for item in found} == {"predicted"}
    assert all(0 <= item.low <= item.value <= item.high <= 1 for item in found)
    widths = np.array([item.high - item.low for item in found])
    # Not one width for all: where there is more to miss, the interval is wider.
    assert widths.max() > 1.5 * widths.min()


def test_a_stated_coverage_is_kept() -> None:
    unseen = [record.candidate for record in records(300, seed=2)]
    half = predicted(records(150), unseen, coverage=0.5)
    inside = [
        item.values["predicted_accuracy"].low
        <= accuracy_of(candidate)
        <= item.values["predicted_accuracy"].high
        for item, candidate in zip(half, unseen, strict=True)
    ]
    assert 0.4 <= np.mean(inside) <= 0.7


def test_there_is_no_forecast_before_enough_examples() -> None:
    candidates = [record.candidate for record in records(3, seed=2)]
    assert all(item.values == {} and not item.failure for item in predicted(records(39), candidates))
    assert all(item.values for item in predicted(records(40), candidates))


def test_predictor_learns_only_from_finished_trainings() -> None:
    known = records(60)
    wrong = Estimate("accuracy", 0.0, 0.0, 0.0, "emulated", "made up")
    forecast = dataclasses.replace(wrong, source="predicted")
    rng = np.random.default_rng(9)
    noise = [
        Record(100, 1, SPACE.sample(rng), RecordState.STOPPED, {"accuracy": wrong}),
        Record(101, 1, SPACE.sample(rng), RecordState.FAILED, {"accuracy": wrong}),
        Record(102, 1, SPACE.sample(rng), RecordState.INFEASIBLE, {}),
        Record(103, 1, SPACE.sample(rng), RecordState.COMPLETE, {"accuracy": forecast}),
    ]
    candidates = [record.candidate for record in records(5, seed=2)]
    assert predicted([*known, *noise], candidates) == predicted(known, candidates)
    trained = Record(104, 1, noise[2].candidate, RecordState.INFEASIBLE, {"accuracy": wrong})
    assert predicted([*known, trained], candidates) != predicted(known, candidates)


def test_metrics_of_other_estimators_can_be_features() -> None:
    """One that tells the truth makes the forecast nearly exact; one that is not there is named."""
    known = []
    for record in records(80, noise=0.05):
        hint = dataclasses.replace(record.estimates["accuracy"], metric="hint")
        known.append(dataclasses.replace(record, estimates={**record.estimates, "hint": hint}))
    unseen = [record.candidate for record in records(100, seed=2)]
    truth = np.array([accuracy_of(candidate, 0.05) for candidate in unseen])
    hints = {
        candidate.key: {"hint": Estimate("hint", value, value, value, "predicted", "made up")}
        for candidate, value in zip(unseen, truth, strict=True)
    }

    def error(found: Sequence[Estimates]) -> float:
        values = np.array([item.values["predicted_accuracy"].value for item in found])
        return float(np.mean(np.abs(values - truth)))

    informed = PerformancePredictorEstimator(PerformancePredictorConfig(features=("hint",)))
    assert error(informed.estimate(unseen, context(known, known=hints))) < 0.6 * error(
        predicted(known, unseen)
    )
    (lacking,) = informed.estimate(unseen[:1], context(known))
    assert "hint" in lacking.failure


def test_the_test_split_is_never_read() -> None:
    dataset = sample_dataset()
    poisoned = dataclasses.replace(dataset, test=Split(np.full((5, 6), np.nan), np.full(5, 99)))
    candidates = [record.candidate for record in records(5, seed=2)]
    estimator = PerformancePredictorEstimator()
    first = estimator.estimate(candidates, context(records(60), dataset=dataset))
    again = PerformancePredictorEstimator().estimate(candidates, context(records(60), dataset=poisoned))
    assert first == again


GOAL = Goal((Objective("accuracy", "max", 1.0, 0.0), Objective("lut", "min", 10.0, 1000.0)))


def numbers(accuracy: tuple[float, float, float], lut: tuple[float, float, float]) -> dict[str, Estimate]:
    return {
        "forecast": Estimate("forecast", *accuracy, "predicted", "made up"),
        "lut": Estimate("lut", *lut, "predicted", "made up"),
    }


def finished(accuracy: float, lut: float) -> Record:
    candidate = Candidate("toy", {"accuracy": accuracy, "lut": lut})
    estimates = {
        "accuracy": Estimate("accuracy", accuracy, accuracy, accuracy, "emulated", "made up"),
        "lut": Estimate("lut", lut, lut, lut, "predicted", "made up"),
    }
    return Record(0, 0, candidate, RecordState.COMPLETE, estimates, GOAL.losses(estimates))


def test_only_candidates_dominated_at_optimistic_end_are_spared() -> None:
    front = [finished(0.9, 200.0), finished(0.7, 50.0)]
    good = numbers((0.95, 0.94, 0.96), (100.0, 90.0, 110.0))
    known = [
        good,
        numbers((0.80, 0.75, 0.89), (300.0, 250.0, 350.0)),  # dominated by the first
        numbers((0.80, 0.75, 0.91), (300.0, 250.0, 350.0)),  # may be more accurate
        numbers((0.80, 0.75, 0.89), (190.0, 150.0, 350.0)),  # smaller
        numbers((0.60, 0.50, 0.65), (60.0, 55.0, 65.0)),  # dominated by the second
        {"lut": good["lut"]},  # without a forecast
    ]
    reasons = spared(GOAL, "accuracy", "forecast", known, front)
    assert [bool(reason) for reason in reasons] == [False, True, False, False, True, False]
    assert front[0].key in reasons[1]
    assert front[1].key in reasons[4]
    assert "0.8 (0.75 to 0.89)" in reasons[1]
    assert spared(GOAL, "accuracy", "forecast", known, []) == [""] * 6
    failed = dataclasses.replace(front[0], state=RecordState.FAILED, losses=None)
    assert spared(GOAL, "accuracy", "forecast", known, [failed]) == [""] * 6
    assert hopeful(GOAL, "accuracy", good["forecast"]).value == 0.96
    least = Goal((Objective("error", "min", 0.0, 1.0),))
    assert hopeful(least, "error", good["forecast"]).value == 0.94
    open_end = dataclasses.replace(good["forecast"], high=math.inf)
    assert hopeful(GOAL, "accuracy", open_end).value == 0.95


def test_best_tenth_by_forecast_is_always_trained() -> None:
    front = [finished(0.99, 10.0)]
    known = [numbers((0.5 + 0.01 * n, 0.4, 0.5 + 0.01 * n), (100.0, 100.0, 100.0)) for n in range(20)]
    reasons = spared(GOAL, "accuracy", "forecast", known, front)
    assert [place for place, reason in enumerate(reasons) if not reason] == [18, 19]


CHEAP = ["toy-cost", "performance-predictor", "toy-training"]


def stored(folder: Path) -> list[Record]:
    with Store(folder) as store:
        return store.records()


def outline(folder: Path) -> list[Any]:
    return [(record.key, record.state, record.reason, record.metrics()) for record in stored(folder)]


def test_forecast_saves_trainings_and_keeps_front(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(name: str, names: list[str], **tables: Any) -> tuple[list[Record], float, int]:
        monkeypatch.setenv("TOY_CALLS", str(tmp_path / f"{name}.calls"))
        run = {"trials": 200, "batch": 25, "estimators": names}
        spec = toy_spec(run=run, export={"members": 1, "restarts": 1}, **tables)
        outcome = start(spec, all_plugins, tmp_path / name, Observer())
        calls = len((tmp_path / f"{name}.calls").read_text().split())
        return stored(tmp_path / name), outcome.front.hypervolume, calls

    with_it, volume, calls = go("with", CHEAP)
    without, whole, every = go("without", ["toy-cost", "toy-training"])
    spared_ones = [record for record in with_it if record.state == RecordState.STOPPED]
    assert len(spared_ones) > 20
    trained = {record.key for record in with_it if record.state != RecordState.STOPPED}
    assert calls == len(trained) + 1 < every  # and the exported one
    assert volume == pytest.approx(whole, rel=0.01)
    for record in spared_ones:
        expect_mentioned(record.reason, ["performance-predictor: ", "predicted_accuracy"])
        # The number that strategies are informed is a forecast, and says so.
        assert record.estimates["accuracy"].source == "predicted"
        assert record.batch > 0
    complete = [record for record in with_it if record.state == RecordState.COMPLETE]
    assert all(record.estimates["accuracy"].source == "emulated" for record in complete)
    assert not [record for record in with_it if record.state == RecordState.FAILED]
    # What was spared would indeed have been dominated, nearly always.
    truth = {record.key: record for record in without if record.losses is not None}
    front = [record.losses for record in without if record.losses is not None]
    wrong = [
        record
        for record in spared_ones
        if record.key in truth
        and not any(
            all(a <= b for a, b in zip(other, truth[record.key].losses or (), strict=True))
            and other != truth[record.key].losses
            for other in front
        )
    ]
    assert len(wrong) <= 0.1 * len(spared_ones)
    off, *_ = go("off", CHEAP, estimators={"performance-predictor": {"prefilter": False}})
    assert {record.state for record in off} == {RecordState.COMPLETE}
    assert any("predicted_accuracy" in record.estimates for record in off)


def test_a_forecast_breaks_no_limit(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    """A limit on accuracy is held against trained accuracies only."""
    spec = toy_spec(
        run={"trials": 75, "batch": 25, "estimators": CHEAP},
        limits={"min": {"accuracy": 0.5}},
        estimators={"performance-predictor": {"startup": 10}},
    )
    start(spec, all_plugins, tmp_path / "run", Observer())
    for record in stored(tmp_path / "run"):
        if record.state == RecordState.INFEASIBLE:
            assert record.estimates["accuracy"].source == "emulated"


@pytest.mark.parametrize("kill_at", [2, 5])
def test_an_interrupted_run_continues_identically(
    all_plugins: Registry,
    toy_spec: Callable[..., Spec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
) -> None:
    spec = toy_spec(run={"trials": 120, "batch": 20, "estimators": CHEAP})
    start(spec, all_plugins, tmp_path / "whole", Observer())
    estimate = PerformancePredictorEstimator.estimate
    calls: list[int] = []

    def dies(self: Any, candidates: Any, context: Any) -> Any:
        calls.append(len(candidates))
        if len(calls) == kill_at:
            raise KeyboardInterrupt
        return estimate(self, candidates, context)

    monkeypatch.setattr(PerformancePredictorEstimator, "estimate", dies)
    assert start(spec, all_plugins, tmp_path / "cut", Observer()).interrupted
    resume(tmp_path / "cut", all_plugins, Observer())
    assert outline(tmp_path / "cut") == outline(tmp_path / "whole")
    assert {RecordState.STOPPED, RecordState.COMPLETE} <= {
        record.state for record in stored(tmp_path / "whole")
    }


def test_earlier_runs_train_predictor_from_first_batch(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(toy_spec(run={"trials": 60}), all_plugins, tmp_path / "earlier", Observer())
    monkeypatch.chdir(tmp_path)
    spec = toy_spec(
        run={"trials": 20, "seed": 5, "estimators": CHEAP},
        estimators={"performance-predictor": {"runs": ["earlier"]}},
    )
    start(spec, all_plugins, tmp_path / "later", Observer())
    first = [record for record in stored(tmp_path / "later") if record.batch == 0]
    assert all("predicted_accuracy" in record.estimates for record in first)
    assert "60 of earlier runs" in first[0].estimates["predicted_accuracy"].evidence
    assert os.fspath(tmp_path / "earlier") in (tmp_path / "later" / "spec.toml").read_text()


def test_earlier_runs_of_other_data_or_spaces_are_refused(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    start(toy_spec(run={"trials": 20}), all_plugins, tmp_path / "earlier", Observer())

    def ask(**changes: Any) -> None:
        table = {"performance-predictor": {"runs": [str(tmp_path / "earlier")]}}
        spec = toy_spec(run={"trials": 20, "estimators": CHEAP}, estimators=table, **changes)
        start(spec, all_plugins, tmp_path / "later", Observer())

    with refused(ErrorKind.CHANGED, mentions=[tmp_path / "earlier"]):
        ask(task={"n_in": 4})
    with refused(ErrorKind.MISSING, where=str(tmp_path / "nowhere")):
        start(
            toy_spec(
                run={"estimators": CHEAP},
                estimators={"performance-predictor": {"runs": [str(tmp_path / "nowhere")]}},
            ),
            all_plugins,
            tmp_path / "x",
            Observer(),
        )


@pytest.mark.parametrize("bad", [{"startup": 3}, {"trees": 1}, {"coverage": 1.0}])
def test_settings_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        PerformancePredictorConfig(**bad)


def test_forecast_without_run_records_also_spares_trainings(
    toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    """An estimator that only forecasts is judged against the run's own front all the same."""
    import toy

    class Oracle(Estimator):
        """Knows that wide networks come to nothing."""

        name = "oracle"
        provides = ("oracle_accuracy",)
        version = "1"
        cost = 1e-6
        forecast = "oracle_accuracy"

        @dataclass(frozen=True)
        class Config:
            """Nothing to set."""

        def estimate(self, candidates: Sequence[Any], context: Any) -> list[Estimates]:
            return [
                Estimates({"oracle_accuracy": Estimate("oracle_accuracy", v, v, v, "predicted", "informed")})
                for v in (0.0 if candidate.values["width"] > 32 else 1.0 for candidate in candidates)
            ]

    class Plugin:
        @hookimpl
        def hwnas_register_estimators(self) -> list[type]:
            return [Oracle]

    registry = Registry(entry_points=[])
    registry.register(toy, "toy")
    registry.register(Plugin(), "oracle")
    spec = toy_spec(run={"estimators": ["toy-cost", "oracle", "toy-training"]})
    front = start(spec, registry, tmp_path / "run", Observer()).front
    spared = [record for record in front.records if record.reason.startswith("oracle:")]
    assert spared
    assert all(record.candidate.values["width"] > 32 for record in spared)
