"""The contracts themselves: the examples of the documentation pass them, broken plugins do not."""

from __future__ import annotations

import dataclasses
import inspect
import random
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.space import Knob, KnobSpace, Space
from hwnas_hls.protocols.strategy import Strategy, batch_rng
from hwnas_hls.protocols.task import Dataset, Task
from hwnas_hls.testing import (
    Contract,
    EstimatorContract,
    SpaceContract,
    StrategyContract,
    TaskContract,
    check,
    sample_dataset,
)
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates, measured
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record


def example(documented: type) -> Any:
    """The class that the docstring of ``documented`` shows as a whole example."""
    text = inspect.getdoc(documented) or ""
    code = textwrap.dedent(text.split("::\n", 1)[1])
    names: dict[str, Any] = {
        "dataclass": dataclasses.dataclass,
        "Strategy": Strategy,
        "batch_rng": batch_rng,
        "KnobSpace": KnobSpace,
        "Knob": Knob,
        "FixedType": FixedType,
        "Dense": Dense,
        "Architecture": Architecture,
    }
    before = set(names)
    exec(code, names)  # noqa: S102
    (made,) = (names[name] for name in names if name not in before and name != "__builtins__")
    return made


class TestExampleStrategy(StrategyContract):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        made = example(Strategy)
        climb: Strategy = made(made.Config(), space, seed)
        return climb


class TestExampleSpace(SpaceContract):
    def space(self) -> Space:
        made = example(KnobSpace)
        space: Space = made(made.Config(), sample_dataset())
        return space


class TestExampleTask(TaskContract):
    def task(self) -> Task:
        return Clusters()


class TestExampleEstimator(EstimatorContract):
    def estimator(self) -> Estimator:
        return Sizes()


class Clusters(Task):
    name = "clusters"

    def load(self) -> Dataset:
        return sample_dataset()


class Sizes(Estimator):
    name = "sizes"
    provides: Sequence[str] = ("parameters",)
    version = "1"
    cost = 0.0

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        return [Estimates({"parameters": self.count(candidate, context)}) for candidate in candidates]

    def count(self, candidate: Candidate, context: Context) -> Any:
        layers = context.architecture(candidate).layers
        return measured("parameters", sum(layer.n_products for layer in layers), "emulated", "counted")


def problems(contract: Contract) -> dict[str, str]:
    return {finding.test: finding.problem for finding in check(contract) if finding.problem}


class Unsure(StrategyContract):
    """Leaves out the fresh process, which wants a class at the top of its file that is not broken."""

    def fresh_transcript(self) -> Any:
        return self.transcript()


def test_contract_finds_strategy_that_forgets_state() -> None:
    climb = example(Strategy)

    class Forgetful(climb):
        def state(self) -> Any:
            return 0

    class Contract(Unsure):
        def strategy(self, space: Space, goal: Goal, seed: int) -> Any:
            return Forgetful(climb.Config(), space, seed)

    found = problems(Contract())
    assert "the run differs when resumed" in found["test_resume_continues_identically"]
    assert "test_does_not_change_global_random_state" not in found


def test_contract_finds_strategy_with_global_random_state() -> None:
    climb = example(Strategy)

    class Global(climb):
        def ask(self, n: int) -> list[Candidate]:
            random.random()
            asked: list[Candidate] = super().ask(n)
            return asked

    class Contract(Unsure):
        def strategy(self, space: Space, goal: Goal, seed: int) -> Any:
            return Global(climb.Config(), space, seed)

    found = problems(Contract())
    assert set(found) == {"test_does_not_change_global_random_state"}
    assert "global random state of random" in found["test_does_not_change_global_random_state"]


def test_contract_finds_strategy_that_fails_on_failed_records() -> None:
    climb = example(Strategy)

    class Careless(climb):
        def tell(self, records: Sequence[Record]) -> None:
            self.best = min(records, key=lambda record: record.losses)

    class Contract(Unsure):
        def strategy(self, space: Space, goal: Goal, seed: int) -> Any:
            return Careless(climb.Config(), space, seed)

    assert "TypeError" in problems(Contract())["test_accepts_incomplete_records"]


def test_contract_finds_strategy_that_accepts_unsupported_space() -> None:
    class Contract(Unsure):
        def strategy(self, space: Space, goal: Goal, seed: int) -> Any:
            climb = example(Strategy)
            return climb(climb.Config(), space, seed)

        def supports(self, space: Space) -> bool:
            return space.name == "tiny"

    assert "mixed" in problems(Contract())["test_rejects_unsupported_spaces_with_an_error"]


def test_a_task_with_another_split_every_time_is_found() -> None:
    class Unsteady(Clusters):
        loads = 0

        def load(self) -> Dataset:
            Unsteady.loads += 1
            return sample_dataset(seed=Unsteady.loads)

    class Contract(TaskContract):
        def task(self) -> Task:
            return Unsteady()

        def fresh_transcript(self) -> Any:
            return self.transcript()

    found = problems(Contract())
    assert "rows differ" in found["test_loads_the_same_split_every_time"]
    assert "test_splits_are_consistent" not in found


def test_a_task_whose_labels_do_not_fit_is_found() -> None:
    class Short(Clusters):
        def load(self) -> Dataset:
            return dataclasses.replace(sample_dataset(), labels=("only", "two"))

    class Contract(TaskContract):
        def task(self) -> Task:
            return Short()

    assert "test_targets_match_the_kind" in problems(Contract())


def test_contract_finds_batch_dependent_estimator() -> None:
    class Relative(Sizes):
        def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
            counted = [self.count(candidate, context).value for candidate in candidates]
            return [
                Estimates(
                    {"parameters": measured("parameters", value / max(counted), "emulated", "relative")}
                )
                for value in counted
            ]

    class Contract(EstimatorContract):
        def estimator(self) -> Estimator:
            return Relative()

    found = problems(Contract())
    assert set(found) == {"test_results_do_not_depend_on_the_batch"}


def test_contract_finds_short_or_inconsistent_estimates() -> None:
    class Broken(Sizes):
        def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
            out = []
            for candidate in candidates[:-1]:
                value = self.count(candidate, context)
                out.append(Estimates({"parameters": dataclasses.replace(value, low=value.value + 1)}))
            return out

    class Contract(EstimatorContract):
        def estimator(self) -> Estimator:
            return Broken()

    found = problems(Contract())
    assert "differ in number" in found["test_returns_one_result_per_candidate"]
    assert "is not in [" in found["test_values_are_in_their_intervals_under_the_right_metric"]


def test_the_sample_dataset_is_the_same_for_everyone() -> None:
    first, second = sample_dataset(), sample_dataset()
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.test.x, second.test.x)
