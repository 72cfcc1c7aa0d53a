"""Bayesian optimisation: Gaussian processes over the knobs, several objectives, limits as constraints."""

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
    told_losses,
    told_violation,
)

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.values.candidate import Candidate

log = logging.getLogger(__name__)
#: A limit that no candidate has come nearer to than this (relative to its bound) needs no process.
_FAR_INSIDE = -0.5


class BayesianStrategy(OptunaStrategy):
    """Optuna's Gaussian-process sampler: expected (hypervolume) improvement times feasibility.

    Each objective gets a process, and each limit that some candidate has come near to. A limit is
    told with its sign, so that the process learns how far inside a candidate lies: the relative
    distance of the interval's bad end from the bound, between -1 and 10, 0 where the metric was not
    estimated. A loss that is missing is told as the mean of those known so far. Knobs are relaxed
    to real numbers, and the nearest choice is taken.

    The processes see at most ``history`` candidates: the best, and the newest of the others. A proposal
    takes about a second all the same; meant for dear evaluations and a few hundred of them.

    Source: Optuna's ``GPSampler``; Daulton et al., "Differentiable expected hypervolume
    improvement for parallel multi-objective Bayesian optimization", NeurIPS 2020.
    """

    name = "bayesian"
    _coding = RelaxedCoding

    @dataclass(frozen=True, slots=True)
    class Config:
        """Settings of Bayesian optimisation.

        Args:
            startup: candidates drawn at random before the processes are used.
            history: candidates that the processes are fitted to, at most.
            deterministic: take equal candidates to have equal losses (no noise is fitted).
        """

        startup: int = 24
        history: int = 96
        deterministic: bool = False

        def __post_init__(self) -> None:
            if self.startup < 2:
                raise ValueError(f"startup is at least 2, found {self.startup}")
            if self.history < self.startup:
                raise ValueError(f"history is at least startup ({self.startup}), found {self.history}")

    config: Config

    def __init__(self, config: Config, space: Space, goal: Goal, seed: int) -> None:
        self.config = config
        super().__init__(space, goal, seed, config.startup)
        self._sums = [0.0] * goal.n_losses
        self._complete = 0
        self._told: list[Record] = []
        self._near: dict[str, None] = {}

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import GPSampler

        # What the processes are fitted to is brought up to date once a batch.
        self._study.renew([self._trial(record) for record in self._history()])
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
        self.proposals.tell(records)
        for record in records:
            if record.losses is not None:
                self._complete += 1
                self._sums = [
                    total + loss
                    for total, loss in zip(self._sums, told_losses(self.goal, record), strict=True)
                ]
            for name, slack in self._slack(record).items():
                if slack > _FAR_INSIDE:
                    self._near.setdefault(name)
            self._told.append(record)
            self._study.n_told += 1

    def _history(self) -> list[Record]:
        """Half of it the best, the other half the newest of the rest, in the order they were told in."""
        if len(self._told) <= self.config.history:
            return self._told
        places = {record.key: place for place, record in enumerate(self._told)}
        members = [
            Individual(record.candidate, told_losses(self.goal, record), told_violation(record))
            for record in self._told
        ]
        kept = {places[member.candidate.key] for member in best_first(members)[: self.config.history // 2]}
        for place in reversed(range(len(self._told))):
            if len(kept) == self.config.history:
                break
            kept.add(place)
        return [self._told[place] for place in sorted(kept)]

    def _trial(self, record: Record) -> Any:
        # A worst loss for what was over a limit, and so not trained, would bend the process of
        # the loss around it; the mean says nothing.
        mean = [total / self._complete for total in self._sums] if self._complete else None
        slack = self._slack(record)
        return self._study.trial(
            record.candidate,
            told_losses(self.goal, record, mean),
            {name: slack.get(name, 0.0) for name in self._near},
        )

    def _slack(self, record: Record) -> dict[str, float]:
        """Limit -> how far beyond the bound, negative inside; of those whose metric is known."""
        if record.state == RecordState.FAILED:
            return {str(limit): FAILED_VIOLATION for limit in self.goal.limits}
        told = {}
        for limit in self.goal.limits:
            if limit.metric in record.estimates:
                estimate = record.estimates[limit.metric]
                excess = estimate.high - limit.bound if limit.kind == "max" else limit.bound - estimate.low
                told[str(limit)] = min(max(excess / max(abs(limit.bound), 1e-12), -1.0), 10.0)
        return told
