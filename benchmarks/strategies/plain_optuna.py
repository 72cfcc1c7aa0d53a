"""Optuna's NSGA-II as its own documentation uses it: define by run, one study, its default settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnas_hls.protocols.space import KnobSpace
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.values.candidate import Candidate, Value
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState


class PlainNsga2(Strategy):
    """Suggests each active knob, tells losses and broken limits; nothing else of this package's strategies.

    A candidate that was not trained to its end gets the numbers that it has, and 1 (the worst)
    for those it has not; a broken limit is a constraint. Failed ones are failed trials.

    Args:
        space: a table of knobs.
        goal: gives the number of losses.
        seed: of the sampler.
    """

    name = "optuna-nsga2"

    def __init__(self, space: KnobSpace, goal: Goal, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.goal = space, goal
        sampler = optuna.samplers.NSGAIISampler(seed=seed)
        self.study = optuna.create_study(directions=["minimize"] * goal.n_losses, sampler=sampler)
        self._asked: list[tuple[Candidate, Any]] = []

    def ask(self, n: int) -> list[Candidate]:
        for _ in range(n):
            trial = self.study.ask()
            values: dict[str, Value] = {}
            for knob in self.space.knobs:
                if not knob.active(values):
                    continue
                if knob.continuous:
                    values[knob.name] = trial.suggest_float(knob.name, knob.low, knob.high, log=knob.log)
                elif knob.ordered:
                    place = trial.suggest_int(knob.name, 0, len(knob.choices) - 1)
                    values[knob.name] = knob.choices[place]
                else:
                    values[knob.name] = trial.suggest_categorical(knob.name, knob.choices)
            self._asked.append((self.space.candidate(values), trial))
        return [candidate for candidate, _ in self._asked]

    def tell(self, records: Sequence[Record]) -> None:
        from optuna.trial import TrialState

        for record, (_, trial) in zip(records, self._asked, strict=True):
            if record.state == RecordState.FAILED:
                self.study.tell(trial, state=TrialState.FAIL)
                continue
            trial.set_constraint("limits", sum(record.violations.values()))
            self.study.tell(trial, self._losses(record))
        self._asked.clear()

    def _losses(self, record: Record) -> list[float]:
        if record.state == RecordState.COMPLETE and record.losses is not None:
            return list(record.losses)
        return [
            objective.loss(record.estimates[objective.metric].value)
            if objective.metric in record.estimates
            else 1.0
            for objective in self.goal.objectives
        ]

    def state(self) -> None:
        return None

    def restore(self, state: object) -> None:
        raise NotImplementedError("a run of the baseline is not resumed")
