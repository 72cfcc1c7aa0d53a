"""A space's knobs as an Optuna study, fed by records alone so that a resumed run rebuilds it exactly."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwnas_hls.candidate import Candidate, Value
from hwnas_hls.errors import UserError
from hwnas_hls.objective import Goal
from hwnas_hls.record import FAILED, Record
from hwnas_hls.space import Knob, Space, assemble

#: Loss told where an objective has no number: ``worst`` of every objective is 1 by definition.
MISSING_LOSS = 1.0
#: Violation told of a failed candidate: as bad as ten times over a limit.
FAILED_VIOLATION = 10.0
_LARGEST = 1e9


def told_losses(goal: Goal, record: Record) -> tuple[float, ...]:
    """The loss vector that a sampler is told, never NaN and never infinite.

    A record judged in full tells its own. Of another one (over a limit before it was trained,
    stopped, failed) each objective that has a number tells it and each that has none is told as
    1, the loss of the objective's ``worst``.
    """
    if record.losses is not None:
        losses = record.losses
    elif goal.mode == "pareto":
        losses = tuple(
            objective.loss(record.estimates[objective.metric].value)
            if objective.metric in record.estimates
            else MISSING_LOSS
            for objective in goal.objectives
        )
    else:
        losses = goal.losses(record.estimates) or (MISSING_LOSS,)
    return tuple(
        MISSING_LOSS if math.isnan(loss) else min(max(float(loss), -_LARGEST), _LARGEST) for loss in losses
    )


def told_violation(record: Record) -> float:
    """Total relative excess over the limits; 0 if none is broken, 10 more for a failed candidate."""
    total = sum(min(amount, _LARGEST) for amount in record.violations.values() if amount > 0)
    return total + (FAILED_VIOLATION if record.state == FAILED else 0.0)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's notes on new studies and experimental samplers off the user's terminal."""
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna.*")
        _ignore_experimental()
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)


def _ignore_experimental() -> None:
    from optuna.exceptions import ExperimentalWarning

    warnings.simplefilter("ignore", ExperimentalWarning)


class KnobStudy:
    """One in-memory study; every knob is always suggested, so that the search space is fixed.

    Ordered choices become whole numbers (their place), unordered ones categories, ranges floats.
    Knobs that are inactive in a candidate are told with a value drawn from the candidate's key:
    noise to the sampler, but the same noise in every process.

    Args:
        strategy: name of the strategy, for messages.
        space: needs knobs.
        goal: gives the number of losses.
    """

    def __init__(self, strategy: str, space: Space, goal: Goal) -> None:
        import optuna

        if not space.knobs:
            raise UserError(f"strategy {strategy} needs a space with knobs", found=f"space {space.name}")
        self.space = space
        self.goal = goal
        self.distributions = {
            knob.name: _distribution(knob) for knob in space.knobs if len(knob.choices) != 1
        }
        self._knobs = {knob.name: knob for knob in space.knobs}
        self._asked: list[Any] = []
        with quiet():
            self.study = optuna.create_study(directions=["minimize"] * goal.n_losses)
        self.n_told = 0

    def tell(
        self,
        candidate: Candidate,
        losses: tuple[float, ...],
        constraints: Mapping[str, float],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a judged candidate; a constraint above 0 is broken."""
        from optuna.trial import TrialState, create_trial

        self.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=list(losses),
                params=self._params(candidate),
                distributions=self.distributions,
                constraints=dict(constraints),
                system_attrs=dict(system_attrs or {}),
            )
        )
        self.n_told += 1

    def ask(self, sampler: Any) -> Candidate:
        """What ``sampler`` proposes; it stays a running trial until :meth:`end_batch`."""
        self.study.sampler = sampler
        with quiet():
            trial = self.study.ask(self.distributions)
        self._asked.append(trial)
        values: dict[str, Value] = {}
        for name, knob in self._knobs.items():
            if name not in self.distributions:
                values[name] = knob.choices[0]
            elif knob.continuous:
                values[name] = trial.params[name]
            else:
                values[name] = knob.choices[trial.params[name]]
        return assemble(self.space, values)

    def choose_parents(self, sampler: Any) -> None:
        """Let a genetic sampler choose, and the study keep, the parents of the generation to come.

        A sampler does so for the first trial of a generation, so one begins and fails.
        """
        from optuna.trial import TrialState

        self.study.sampler = sampler
        with quiet():
            self.study.tell(self.study.ask(self.distributions), state=TrialState.FAIL)

    def end_batch(self) -> None:
        """Close the running trials: the judged candidates come back as trials of their own, which
        are the same whether this process asked for them or a former one did."""
        from optuna.trial import TrialState

        for trial in self._asked:
            self.study.tell(trial, state=TrialState.FAIL)
        self._asked.clear()

    def _params(self, candidate: Candidate) -> dict[str, Any]:
        rng = np.random.default_rng(int(candidate.key, 16))
        params: dict[str, Any] = {}
        for name in self.distributions:
            knob = self._knobs[name]
            fresh = knob.draw(rng)
            value = candidate.values.get(name, fresh)
            params[name] = float(value or 0.0) if knob.continuous else knob.choices.index(value)
        return params


def _distribution(knob: Knob) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.continuous:
        return FloatDistribution(float(knob.low or 0.0), float(knob.high or 0.0), log=knob.log)
    if knob.ordered:
        return IntDistribution(0, len(knob.choices) - 1)
    return CategoricalDistribution(tuple(range(len(knob.choices))))
