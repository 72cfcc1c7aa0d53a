"""Full and partial training: what is promoted goes on from where it was, and ends where it would have."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.run.lifecycle import Observer, resume, start
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.testing import EstimatorContract, sample_dataset, sample_target
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls.values.record import RecordState
from hwnas_hls_plugins.estimators.multi_fidelity import (
    FullTrainingConfig,
    FullTrainingEstimator,
    PartialTrainingConfig,
    PartialTrainingEstimator,
)

torch = pytest.importorskip("torch")

DATA = sample_dataset(rows=600)


class TestFullTraining(EstimatorContract):
    def estimator(self) -> FullTrainingEstimator:
        return FullTrainingEstimator(FullTrainingConfig(epochs=3))


class TestPartialTraining(EstimatorContract):
    def estimator(self) -> PartialTrainingEstimator:
        return PartialTrainingEstimator(PartialTrainingConfig(epochs=2, schedule_epochs=6))


def networks() -> list[Architecture]:
    """Everything that has a state of its own: normalisation, dropout, pruning, any rounding."""
    found = []
    for width, more, modes in (
        (8, {}, ("RND", "SAT")),
        (12, {"normalisation": "batch"}, ("RND", "SAT")),
        (8, {"dropout": 0.3}, ("RND", "SAT")),
        (16, {"sparsity": 0.5}, ("RND_CONV", "SAT")),
        (16, {"sparsity": 0.5}, ("TRN", "WRAP")),
    ):
        weight, bias = FixedType(6, 1), FixedType(10, 4)
        result = FixedType(6, 2, False, *modes)
        hidden = Dense(6, width, "relu", weight, bias, result=result, **more)  # type: ignore[arg-type]
        found.append(Architecture(FixedType(8, 3), (hidden, Dense(width, 3, "linear", weight, bias))))
    return found


def context(cache: MutableMapping[str, bytes], architectures: Sequence[Architecture]) -> Context:
    return Context(
        lambda candidate: architectures[int(candidate.values["number"])],  # type: ignore[call-overload]
        DATA,
        sample_target(),
        5.0,
        seed=7,
        device="cpu",
        cache=cache,
    )


def ask(
    estimator: Any, cache: MutableMapping[str, bytes], numbers: Sequence[int] = range(5)
) -> list[Estimates]:
    return estimator.estimate(  # type: ignore[no-any-return]
        [Candidate("toy", {"number": number}) for number in numbers], context(cache, networks())
    )


def digests(found: Sequence[Estimates]) -> list[str]:
    return [item.design.digest() if item.design else item.failure for item in found]


@pytest.mark.parametrize("begin", [1, 4, 7])
def test_continued_training_equals_uninterrupted_training(begin: int) -> None:
    """Five networks, left after ``begin`` of ten epochs and continued by another estimator."""
    once = ask(FullTrainingEstimator(FullTrainingConfig(epochs=10)), {})
    cache: dict[str, bytes] = {}
    partial = PartialTrainingConfig(epochs=begin, schedule_epochs=10)
    first = ask(PartialTrainingEstimator(partial), cache)
    assert len(cache) == 5
    # Continued alone and in another order, from nothing but bytes.
    kept = {name: bytes(data) for name, data in cache.items()}
    continued = ask(FullTrainingEstimator(FullTrainingConfig(epochs=10)), kept, [3, 1, 0, 2, 4])
    continued = [continued[place] for place in (2, 1, 3, 0, 4)]
    assert digests(continued) == digests(once)
    assert not set(digests(first)) & set(digests(once))
    for whole, resumed in zip(once, continued, strict=True):
        assert whole.values["accuracy"].value == resumed.values["accuracy"].value


def test_continued_training_costs_fewer_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators.training.loop import Training

    spans: list[tuple[int, int]] = []
    train = Training._train

    def watched(self: Any, network: Any, begin: int, end: int) -> None:
        spans.extend([(begin, end)] * len(network.members))
        train(self, network, begin, end)

    monkeypatch.setattr(Training, "_train", watched)
    cache: dict[str, bytes] = {}
    ask(PartialTrainingEstimator(PartialTrainingConfig(epochs=4, schedule_epochs=6)), cache, [0, 2])
    ask(FullTrainingEstimator(FullTrainingConfig(epochs=6)), cache, [0, 1, 2])
    assert sorted(spans) == [(0, 4), (0, 4), (0, 6), (4, 6), (4, 6)]


def test_other_schedule_or_seed_restarts_training() -> None:
    cache: dict[str, bytes] = {}
    ask(PartialTrainingEstimator(PartialTrainingConfig(epochs=2, schedule_epochs=6)), cache, [0])
    fresh = ask(FullTrainingEstimator(FullTrainingConfig(epochs=5)), {}, [0])
    assert digests(ask(FullTrainingEstimator(FullTrainingConfig(epochs=5)), cache, [0])) == digests(fresh)
    slower = FullTrainingConfig(epochs=6, learning_rate=0.01)
    fresh = ask(FullTrainingEstimator(slower), {}, [0])
    assert digests(ask(FullTrainingEstimator(slower), cache, [0])) == digests(fresh)


def test_a_partial_training_records_its_epochs() -> None:
    found = ask(PartialTrainingEstimator(PartialTrainingConfig(epochs=2, schedule_epochs=6)), {})
    assert all("2 of 6 epochs" in item.values["accuracy"].evidence for item in found)
    assert not any(item.stopped for item in found)
    with refused(ErrorKind.CONFLICT, found="epochs 7, schedule_epochs 6"):
        PartialTrainingConfig(epochs=7, schedule_epochs=6)


def test_an_annealed_partial_training_is_a_short_training() -> None:
    cache: dict[str, bytes] = {}
    short = PartialTrainingConfig(epochs=5, schedule_epochs=0)
    found = ask(PartialTrainingEstimator(short), cache)
    assert digests(found) == digests(ask(FullTrainingEstimator(FullTrainingConfig(epochs=5)), {}))
    assert cache == {}


TABLES: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "task": {"name": "toy-task"},
    "space": {"name": "toy"},
    "strategy": {"name": "toy-random"},
    "run": {
        "trials": 24,
        "batch": 12,
        "device": "cpu",
        "estimators": ["toy-cost", "partial-training", "full-training"],
        "exporters": [],
    },
    "estimators": {
        "partial-training": {"epochs": 2, "schedule_epochs": 8},
        "full-training": {"epochs": 8},
    },
    "export": {"members": 1, "restarts": 1, "csim": False, "training": {"epochs": 2}},
}


def outline(folder: Path) -> list[Any]:
    with Store(folder) as store:
        return [
            (record.key, record.state, record.reason, record.metrics().get("accuracy"))
            for record in store.records()
        ]


def test_halving_promotes_and_what_it_promotes_is_trained_in_full(
    all_plugins: Registry, tmp_path: Path
) -> None:
    start(spec_from_tables(TABLES, "test"), all_plugins, tmp_path / "run", Observer())
    with Store(tmp_path / "run") as store:
        records = store.records()
    promoted = [record for record in records if record.state == RecordState.COMPLETE]
    stopped = [record for record in records if record.state == RecordState.STOPPED]
    assert len(promoted) >= 12
    assert stopped
    assert all("2 of 8 epochs" in record.estimates["accuracy"].evidence for record in stopped)
    assert all(record.reason.startswith("partial-training: ") for record in stopped)
    assert all("epochs" not in record.estimates["accuracy"].evidence for record in promoted)
    share = {**TABLES["run"], "keep_share": 1.0}
    start(spec_from_tables({**TABLES, "run": share}, "test"), all_plugins, tmp_path / "all", Observer())
    assert {state for _, state, *_ in outline(tmp_path / "all")} == {RecordState.COMPLETE}


def test_a_run_killed_between_the_fidelities_continues_identically(
    all_plugins: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(spec_from_tables(TABLES, "test"), all_plugins, tmp_path / "whole", Observer())
    estimate: Callable[..., Any] = FullTrainingEstimator.estimate

    def dies(self: Any, candidates: Any, context: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(FullTrainingEstimator, "estimate", dies)
    outcome = start(spec_from_tables(TABLES, "test"), all_plugins, tmp_path / "cut", Observer())
    assert outcome.interrupted
    assert outline(tmp_path / "cut") == []
    monkeypatch.setattr(FullTrainingEstimator, "estimate", estimate)
    asked: list[str] = []
    partial: Callable[..., Any] = PartialTrainingEstimator.estimate

    def counted(self: Any, candidates: Sequence[Candidate], context: Any) -> Any:
        asked.extend(candidate.key for candidate in candidates)
        return partial(self, candidates, context)

    monkeypatch.setattr(PartialTrainingEstimator, "estimate", counted)
    resume(tmp_path / "cut", all_plugins, Observer())
    assert outline(tmp_path / "cut") == outline(tmp_path / "whole")
    # The first batch's first fidelity came from the store, weights and all.
    first = {key for key, *_ in outline(tmp_path / "cut")[:12]}
    assert not first & set(asked)
