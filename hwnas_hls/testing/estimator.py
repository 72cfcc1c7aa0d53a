"""The contract of estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas_hls.protocols.estimator import Context, Estimator, Resumable
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.space import Space
from hwnas_hls.testing.contract import (
    Contract,
    expect,
    expect_equal,
    expect_finite,
    expect_list,
    expect_type,
    untouched_random_state,
)
from hwnas_hls.testing.samples import MixedSpace, sample_context
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import SOURCES, Estimate, Estimates, Metric

_CANDIDATES = 6


class EstimatorContract(Contract):
    """Inherit and override :meth:`estimator`, and :meth:`space` and :meth:`context` if necessary.

    Set ``batch_independent = False`` for an estimator whose numbers depend on the other candidates of
    the batch.
    """

    batch_independent = True

    kind = Estimator

    def estimator(self) -> Estimator:
        raise NotImplementedError

    def space(self) -> Space:
        return MixedSpace()

    def context(self, space: Space) -> Context:
        return sample_context(space)

    def plugins(self) -> Sequence[Plugin]:
        return [self.estimator()]

    def test_has_a_version_a_cost_and_metrics(self) -> None:
        estimator = self.estimator()
        expect(bool(estimator.version), "the estimator has no version")
        expect(bool(estimator.provides), "the estimator provides no metric")
        expect(not isinstance(estimator.provides, str), "provides is a string; write a tuple: ('metric',)")
        expect(
            isinstance(estimator.cost, int | float) and estimator.cost >= 0,
            f"the cost is {estimator.cost!r}; it must be the seconds per candidate, 0 or more",
        )
        provided = {item.name if isinstance(item, Metric) else item for item in estimator.provides}
        expect(
            estimator.forecast in ("", *provided),
            f"forecast is {estimator.forecast!r}, which is not in provides: {', '.join(sorted(provided))}",
        )

    def test_returns_one_result_per_candidate(self) -> None:
        estimator, candidates, context = self._case()
        answers = _answers(estimator, candidates, context)
        expect_equal(len(answers), len(candidates), "answers and candidates differ in number")
        expect_equal(list(estimator.estimate([], context)), [], "an empty batch gives results")
        judged = [answer for answer in answers if not answer.failure]
        expect(bool(judged), f"every sample failed: {answers[0].failure}")

    def test_values_are_in_their_intervals_under_the_right_metric(self) -> None:
        estimator, candidates, context = self._case()
        provided = {item.name if isinstance(item, Metric) else item for item in estimator.provides}
        for answer in _answers(estimator, candidates, context):
            for metric, estimate in answer.values.items():
                expect(
                    metric in provided,
                    f"{metric} is not in provides, which has {', '.join(sorted(provided))}",
                )
                expect_type(estimate, Estimate, f"the value of {metric} in Estimates")
                expect(estimate.source in SOURCES, f"{metric}: unknown source {estimate.source!r}")
                expect_finite(estimate.value, metric)
                expect_equal(
                    estimate.metric, metric, "an estimate is stored under the name of another metric"
                )
                expect(
                    estimate.low <= estimate.value <= estimate.high,
                    f"{metric}: {estimate.value} is not in [{estimate.low}, {estimate.high}]",
                )
                expect(bool(estimate.evidence), f"the estimate of {metric} has no evidence")

    def test_results_are_reproducible(self) -> None:
        estimator, candidates, context = self._case()
        first = _numbers(_answers(estimator, candidates, context))
        expect_equal(_numbers(_answers(self.estimator(), candidates, context)), first, "results differ")

    def test_results_do_not_depend_on_the_batch(self) -> None:
        if not self.batch_independent:
            return
        estimator, candidates, context = self._case()
        together = _numbers(_answers(estimator, candidates, context))
        apart = [_numbers(_answers(estimator, [candidate], context))[0] for candidate in candidates]
        expect_equal(apart, together, "results depend on the batch")

    def test_pausing_at_rungs_changes_nothing(self) -> None:
        """For a ``Resumable``: the batch is divided differently at every rung."""
        estimator, candidates, context = self._case()
        if not isinstance(estimator, Resumable):
            return
        whole = _numbers(_answers(estimator, candidates, context))
        found: dict[int, Estimates] = {}
        states: dict[int, bytes] = {}
        going = list(range(len(candidates)))
        for number, until in enumerate([*estimator.rungs, 1.0]):
            parts = [going[: number + 1], going[number + 1 :]]
            for part in [part for part in parts if part]:
                chosen = [candidates[place] for place in part]
                reached = estimator.advance(chosen, context, [states.get(place) for place in part], until)
                expect_equal(len(reached), len(part), "answers and candidates differ in number")
                for place, item in zip(part, reached, strict=True):
                    if isinstance(item, Estimates):
                        found[place] = item
                    else:
                        states[place] = item.state
            going = [place for place in going if place not in found]
        ended = estimator.conclude(
            [candidates[place] for place in going], context, [states[place] for place in going]
        )
        found |= dict(zip(going, ended, strict=True))
        apart = _numbers([found[place] for place in range(len(candidates))])
        expect_equal(apart, whole, "pausing the training changes the numbers")

    def test_does_not_change_global_random_state(self) -> None:
        estimator, candidates, context = self._case()
        with untouched_random_state():
            estimator.estimate(candidates, context)

    def _case(self) -> tuple[Estimator, list[Candidate], Context]:
        space = self.space()
        rng = np.random.default_rng(3)
        return self.estimator(), [space.sample(rng) for _ in range(_CANDIDATES)], self.context(space)


def _answers(estimator: Estimator, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
    answers = estimator.estimate(candidates, context)
    expect_list(answers, Estimates, "estimate()")
    return answers


def _numbers(answers: list[Estimates]) -> list[Any]:
    return [
        {metric: (item.value, item.low, item.high) for metric, item in answer.values.items()}
        or answer.failure
        for answer in answers
    ]
