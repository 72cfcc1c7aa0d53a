"""A space's knobs as an Optuna study, fed by records alone so that a resumed run rebuilds it exactly."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.space import Knob, Space, assemble, knobs_of
from hwnas_hls.values.candidate import Candidate, Value
from hwnas_hls.values.objective import Goal, Mode
from hwnas_hls.values.record import Record, RecordState

#: Loss told where an objective has no number: ``worst`` of every objective is 1 by definition.
MISSING_LOSS = 1.0
#: Violation told of a failed candidate: as bad as ten times over a limit.
FAILED_VIOLATION = 10.0
_LARGEST = 1e9


def told_losses(goal: Goal, record: Record, missing: Sequence[float] | None = None) -> tuple[float, ...]:
    """The loss vector that a sampler is told, never NaN and never infinite.

    A record judged in full tells its own. Of another one (over a limit before it was trained,
    stopped, failed) each objective that has a number tells it and each that has none is told as
    1, the loss of the objective's ``worst``, or as its entry in ``missing``.
    """
    missing = [MISSING_LOSS] * goal.n_losses if missing is None else missing
    if record.losses is not None:
        losses = record.losses
    elif goal.mode == Mode.PARETO:
        losses = tuple(
            objective.loss(record.estimates[objective.metric].value)
            if objective.metric in record.estimates
            else instead
            for objective, instead in zip(goal.objectives, missing, strict=True)
        )
    else:
        losses = goal.losses(record.estimates) or tuple(missing)
    return tuple(
        instead if math.isnan(loss) else min(max(float(loss), -_LARGEST), _LARGEST)
        for loss, instead in zip(losses, missing, strict=True)
    )


def told_violation(record: Record) -> float:
    """Total relative excess over the limits; 0 if none is broken, 10 more for a failed candidate."""
    total = sum(min(amount, _LARGEST) for amount in record.violations.values() if amount > 0)
    return total + (FAILED_VIOLATION if record.state == RecordState.FAILED else 0.0)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's notes on new studies, experimental samplers and optional packages off the
    user's terminal; its errors still reach it."""
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for category in (UserWarning, RuntimeWarning):
            warnings.filterwarnings("ignore", category=category, module="optuna.*")
        _ignore_experimental()
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _ignore_experimental() -> None:
    from optuna.exceptions import ExperimentalWarning

    warnings.simplefilter("ignore", ExperimentalWarning)


class KnobStudy:
    """One in-memory study; every knob is always suggested, so that the search space is fixed.

    A :class:`Coding` says how knobs are written as Optuna's parameters.

    Args:
        strategy: name of the strategy, for messages.
        space: needs knobs.
        goal: gives the number of losses.
        coding: how knobs are written; :class:`Coding` if left out.
    """

    def __init__(self, strategy: str, space: Space, goal: Goal, coding: type[Coding] | None = None) -> None:
        import optuna

        if not knobs_of(space):
            raise UserError(
                f"strategy {strategy} needs a space whose knobs are a table of Knob",
                found=f"space {space.name}",
                remedy="use random or evolution",
                kind=ErrorKind.UNSUPPORTED,
            )
        self.coding = (coding or Coding)(space)
        self._asked: list[Any] = []
        self._drawing: tuple[Any, Any, Mapping[str, Any]] | None = None
        with quiet():
            self.study = optuna.create_study(directions=["minimize"] * goal.n_losses)
        self.n_told = 0

    def trial(
        self,
        candidate: Candidate,
        losses: tuple[float, ...],
        constraints: Mapping[str, float],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> Any:
        """A judged candidate as a finished trial; a constraint above 0 is broken."""
        from optuna.trial import TrialState, create_trial

        trial = create_trial(
            state=TrialState.COMPLETE,
            values=list(losses),
            params=self.coding.params(candidate),
            distributions=self.coding.distributions,
            constraints=dict(constraints),
            system_attrs=dict(system_attrs or {}),
        )
        trial.distributions = self.coding.distributions  # it has made a plain dictionary of them
        return trial

    def tell(self, candidate: Candidate, losses: tuple[float, ...], constraints: Mapping[str, float]) -> None:
        """Add a judged candidate."""
        self.study.add_trial(self.trial(candidate, losses, constraints))
        self.n_told += 1

    def renew(self, trials: Sequence[Any]) -> None:
        """Forget all trials but these."""
        import optuna

        with quiet():
            self.study = optuna.create_study(directions=self.study.directions)
            self.study.add_trials(trials)

    def ask(self, sampler: Any) -> Candidate:
        """What ``sampler`` proposes; it stays a running trial until :meth:`end_batch`."""
        self.study.sampler = sampler
        with quiet():
            trial = self.study.ask(self.coding.distributions)
        self._asked.append(trial)
        return self.coding.candidate(trial.params)

    def draw(self, sampler: Any, system_attrs: Mapping[str, Any] | None = None) -> Candidate:
        """What ``sampler`` proposes, for one that does not look at running trials.

        Most of the time of :meth:`ask` goes into the bookkeeping of a trial that would never be
        finished: the sampler alone takes a fifth of it.

        Args:
            system_attrs: of the trial that the sampler is told it proposes for.
        """
        from optuna.trial import TrialState, create_trial

        if self._drawing is None or self._drawing[0] is not sampler:
            trial = create_trial(state=TrialState.RUNNING, system_attrs=dict(system_attrs or {}))
            relative = sampler.infer_relative_search_space(self.study, trial)
            self._drawing = (sampler, trial, relative)
        _, trial, relative = self._drawing
        params = sampler.sample_relative(self.study, trial, relative)
        return self.coding.candidate(
            {
                name: kind.to_external_repr(kind.to_internal_repr(params[name]))
                if name in params
                else sampler.sample_independent(self.study, trial, name, kind)
                for name, kind in self.coding.distributions.items()
            }
        )

    def end_batch(self) -> None:
        """Close the running trials: the judged candidates come back as trials of their own, which
        are the same whether this process asked for them or a former one did."""
        from optuna.trial import TrialState

        for trial in self._asked:
            self.study.tell(trial, state=TrialState.FAIL)
        self._asked.clear()


class Shared(dict[str, Any]):
    """Distributions of parameters, which nobody changes: Optuna copies them with every trial that it is
    given, which is most of what a trial costs."""

    def __deepcopy__(self, memo: object) -> Shared:
        return self


class Coding:
    """Knobs as Optuna's parameters: ordered choices are whole numbers (their place), unordered ones
    categories, ranges floats; a knob with a single choice is none.

    A knob that is inactive in a candidate gets a value drawn from the candidate's key: noise to
    the sampler, but the same noise in every process.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.knobs = [knob for knob in space.knobs if len(knob.choices) != 1]
        self.fixed = {knob.name: knob.choices[0] for knob in space.knobs if len(knob.choices) == 1}
        self.distributions = Shared()
        for knob in self.knobs:
            self.distributions.update(self._distributions(knob))

    def params(self, candidate: Candidate) -> dict[str, Any]:
        rng = np.random.default_rng(int(candidate.key, 16))
        params: dict[str, Any] = {}
        for knob in self.knobs:
            fresh = knob.draw(rng)
            value = candidate.values.get(knob.name, fresh)
            params[knob.name] = float(value or 0.0) if knob.continuous else knob.choices.index(value)
        return params

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        values: dict[str, Value] = dict(self.fixed)
        for knob in self.knobs:
            place = params[knob.name]
            values[knob.name] = place if knob.continuous else knob.choices[place]
        return assemble(self.space, values)

    def _distributions(self, knob: Knob) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if knob.continuous:
            low, high = float(knob.low or 0.0), float(knob.high or 0.0)
            return {knob.name: FloatDistribution(low, high, log=knob.log)}
        if knob.ordered:
            return {knob.name: IntDistribution(0, len(knob.choices) - 1)}
        return {knob.name: CategoricalDistribution(tuple(range(len(knob.choices))))}


class RelaxedCoding(Coding):
    """Knobs as real numbers between 0 and 1, for samplers that follow gradients: the position of an
    ordered or continuous knob, a score a choice of an unordered one, of which the highest wins.

    On the mlp space a Gaussian process proposes several times faster with it than with whole
    numbers and categories. A knob that is inactive in a candidate lies in the middle.
    """

    def params(self, candidate: Candidate) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for knob in self.knobs:
            present = knob.name in candidate.values
            value = candidate.values.get(knob.name)
            if knob.continuous or knob.ordered:
                params[knob.name] = knob.position(value) if present else 0.5
            else:
                for choice in knob.choices:
                    params[f"{knob.name}={choice}"] = float(value == choice) if present else 0.5
        return params

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        values: dict[str, Value] = dict(self.fixed)
        for knob in self.knobs:
            if knob.continuous or knob.ordered:
                values[knob.name] = knob.at(params[knob.name])
            else:
                scores = [params[f"{knob.name}={choice}"] for choice in knob.choices]
                values[knob.name] = knob.choices[scores.index(max(scores))]
        return assemble(self.space, values)

    def _distributions(self, knob: Knob) -> dict[str, Any]:
        from optuna.distributions import FloatDistribution

        if knob.continuous or knob.ordered:
            return {knob.name: FloatDistribution(0.0, 1.0)}
        return {f"{knob.name}={choice}": FloatDistribution(0.0, 1.0) for choice in knob.choices}
