"""Bayesian optimisation: Gaussian processes over the knobs, for several objectives and limits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.space import Space
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls_plugins.strategies.evolution import Individual, best_first
from hwnas_hls_plugins.strategies.optuna_samplers import OptunaStrategy
from hwnas_hls_plugins.strategies.optuna_study import (
    FAILED_VIOLATION,
    RelaxedCoding,
    finite_losses,
    total_violation,
)

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.values.candidate import Candidate

log = logging.getLogger(__name__)
#: A limit gets no process while all candidates are farther inside than this, relative to its bound.
_FAR_INSIDE = -0.5


class BayesianStrategy(OptunaStrategy):
    """Optuna's Gaussian-process sampler: expected (hypervolume) improvement times feasibility.

    There is one process per objective, and one per limit that some candidate has come close to. For a
    limit, the process models the signed relative distance of the interval's pessimistic end from the
    bound, clipped to -1 to 10, and 0 if the metric was not estimated. A missing loss is replaced by the
    mean of the known ones. Knobs are relaxed to real numbers and rounded to the nearest choice.

    The processes are fitted to at most ``history`` candidates: the best, and the newest of the others. A
    proposal takes about a second, so this strategy suits expensive evaluations and a few hundred trials.

    Source: Optuna's ``GPSampler``; Daulton et al., "Differentiable expected hypervolume
    improvement for parallel multi-objective Bayesian optimization", NeurIPS 2020.
    """

    name = "bayesian"
    _coding = RelaxedCoding

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of Bayesian optimisation.

        Args:
            startup: number of random candidates before the processes are used.
            history: maximum number of candidates for fitting the processes.
            deterministic: assume that evaluations have no noise.
        """

        startup: int = 24
        history: int = 96
        deterministic: bool = False

        def __post_init__(self) -> None:
            if self.startup < 2:
                raise ValueError(f"startup must be at least 2, not {self.startup}")
            if self.history < self.startup:
                raise ValueError(f"history must be at least startup ({self.startup}), not {self.history}")

    config: Config

    def __init__(self, config: Config, space: Space, goal: Goal, seed: int) -> None:
        self.config = config
        super().__init__(space, goal, seed, config.startup)
        self._sums = [0.0] * goal.n_losses
        self._complete = 0
        self._records: list[Record] = []
        self._near: dict[str, None] = {}

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import GPSampler

        # The data for the processes are updated once per batch.
        self._study.renew([self._trial(record) for record in self._history()])
        return GPSampler(
            seed=seed,
            n_startup_trials=self.config.startup,
            deterministic_objective=self.config.deterministic,
        )

    def _propose(self, sampler: Any, rng: np.random.Generator) -> Candidate:
        # If the kernel matrix cannot be factorised, or the acquisition is nowhere finite (for
        # example with equal candidates), a random proposal replaces the failed one.
        try:
            return self._study.ask(sampler)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            log.warning(
                "strategy bayesian draws a random candidate, because no process could be fitted: %s", error
            )
            return self.space.sample(rng)

    def tell(self, records: Sequence[Record]) -> None:
        self.proposals.tell(records)
        for record in records:
            if record.losses is not None:
                self._complete += 1
                self._sums = [
                    total + loss
                    for total, loss in zip(self._sums, finite_losses(self.goal, record), strict=True)
                ]
            for name, slack in self._slack(record).items():
                if slack > _FAR_INSIDE:
                    self._near.setdefault(name)
            self._records.append(record)
            self._study.n_records += 1

    def _history(self) -> list[Record]:
        """The records for fitting: half the best, half the newest of the others, in order of arrival."""
        if len(self._records) <= self.config.history:
            return self._records
        places = {record.key: place for place, record in enumerate(self._records)}
        members = [
            Individual(record.candidate, finite_losses(self.goal, record), total_violation(record))
            for record in self._records
        ]
        kept = {places[member.candidate.key] for member in best_first(members)[: self.config.history // 2]}
        for place in reversed(range(len(self._records))):
            if len(kept) == self.config.history:
                break
            kept.add(place)
        return [self._records[place] for place in sorted(kept)]

    def _trial(self, record: Record) -> Any:
        # A candidate over a limit was not trained. The worst loss would distort the process
        # around it; the mean is neutral.
        mean = [total / self._complete for total in self._sums] if self._complete else None
        slack = self._slack(record)
        return self._study.trial(
            record.candidate,
            finite_losses(self.goal, record, mean),
            {name: slack.get(name, 0.0) for name in self._near},
        )

    def _slack(self, record: Record) -> dict[str, float]:
        """Limit -> excess over the bound (negative inside), for limits whose metric is known."""
        if record.state == RecordState.FAILED:
            return {str(limit): FAILED_VIOLATION for limit in self.goal.limits}
        excesses = {}
        for limit in self.goal.limits:
            if limit.metric in record.estimates:
                estimate = record.estimates[limit.metric]
                excess = estimate.high - limit.bound if limit.kind == "max" else limit.bound - estimate.low
                excesses[str(limit)] = min(max(excess / max(abs(limit.bound), 1e-12), -1.0), 10.0)
        return excesses
