"""Bayesian optimisation: Gaussian processes over the knobs, several objectives, limits as constraints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.objective import Goal
from hwnas_hls.record import FAILED, Record
from hwnas_hls.space import Space
from hwnas_hls_plugins.optuna_strategies import OptunaStrategy
from hwnas_hls_plugins.optuna_study import FAILED_VIOLATION, RelaxedCoding, told_losses

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.candidate import Candidate

log = logging.getLogger(__name__)


class BayesianStrategy(OptunaStrategy):
    """Optuna's Gaussian-process sampler: expected (hypervolume) improvement times feasibility.

    Each objective and each limit gets a process of its own. A limit is told with its sign, so
    that the process learns how far inside a candidate lies: the relative distance of the
    interval's bad end from the bound, between -1 and 10, 0 where the metric was not estimated.
    A loss that is missing is told as the mean of those known so far. Knobs are relaxed to
    real numbers, and the nearest choice is taken.

    A proposal costs about a second and more with every candidate judged; meant for dear
    evaluations and a few hundred of them.

    Source: Optuna's ``GPSampler``; Daulton et al., "Differentiable expected hypervolume
    improvement for parallel multi-objective Bayesian optimization", NeurIPS 2020.
    """

    name = "bayesian"
    coding = RelaxedCoding

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of Bayesian optimisation.

        Args:
            startup: candidates drawn at random before the processes are used.
            deterministic: take equal candidates to have equal losses (no noise is fitted).
        """

        startup: int = 24
        deterministic: bool = False

        def __post_init__(self) -> None:
            if self.startup < 2:
                raise ValueError(f"startup is at least 2, found {self.startup}")

    def __init__(self, config: Config, space: Space, goal: Goal, seed: int) -> None:
        self.config = config
        super().__init__(space, goal, seed, config.startup)
        self._sums = [0.0] * goal.n_losses
        self._complete = 0

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import GPSampler

        return GPSampler(
            seed=seed,
            n_startup_trials=self.config.startup,
            deterministic_objective=self.config.deterministic,
        )

    def _propose(self, sampler: Any, rng: np.random.Generator) -> Candidate:
        # A kernel matrix that cannot be factorised, or an acquisition that is nowhere a number
        # (all candidates alike, say), costs one random proposal and not the run.
        try:
            return self._study.ask(sampler)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            log.warning("strategy bayesian draws at random where no process could be fitted: %s", error)
            return self.space.sample(rng)

    def tell(self, records: Sequence[Record]) -> None:
        self._proposals.tell(records)
        for record in records:
            if record.losses is not None:
                self._complete += 1
                self._sums = [
                    total + loss
                    for total, loss in zip(self._sums, told_losses(self.goal, record), strict=True)
                ]
            # A worst loss for what was over a limit, and so not trained, would bend the process of
            # the loss around it; the mean says nothing.
            mean = [total / self._complete for total in self._sums] if self._complete else None
            self._study.tell(
                record.candidate, told_losses(self.goal, record, mean), self._constraints(record)
            )

    def _constraints(self, record: Record) -> dict[str, float]:
        if record.state == FAILED:
            return {str(limit): FAILED_VIOLATION for limit in self.goal.limits}
        told = {}
        for limit in self.goal.limits:
            slack = 0.0
            if limit.metric in record.estimates:
                estimate = record.estimates[limit.metric]
                excess = estimate.high - limit.bound if limit.kind == "max" else limit.bound - estimate.low
                slack = min(max(excess / max(abs(limit.bound), 1e-12), -1.0), 10.0)
            told[str(limit)] = slack
        return told
