"""A space as an Optuna study, built from records only, so a resumed run rebuilds it exactly."""

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

#: Loss of an objective without a number: that of its ``worst``, which is 1 by definition.
MISSING_LOSS = 1.0
#: Violation of a failed candidate: equivalent to an excess of ten times a limit.
FAILED_VIOLATION = 10.0
_LARGEST = 1e9


def finite_losses(goal: Goal, record: Record, missing: Sequence[float] | None = None) -> tuple[float, ...]:
    """The losses of a record for a sampler, always finite.

    For a complete record, these are its losses. For any other record (over a limit before training,
    stopped, failed), an objective without a number gets the loss 1, that of its ``worst``, or its
    entry in ``missing``. A candidate that was stopped without a number of its own is worst in every
    objective: its predicted cost alone would place it on the front.
    """
    missing = [MISSING_LOSS] * goal.n_losses if missing is None else missing
    if record.losses is not None:
        losses = record.losses
    elif record.state == RecordState.STOPPED and goal.losses(record.estimates) is None:
        losses = tuple(missing)
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


def total_violation(record: Record) -> float:
    """Total relative excess over the limits; 0 if none is broken, 10 more for a failed candidate."""
    total = sum(min(amount, _LARGEST) for amount in record.violations.values() if amount > 0)
    return total + (FAILED_VIOLATION if record.state == RecordState.FAILED else 0.0)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress Optuna's messages on new studies, experimental samplers and optional packages, but not
    its errors."""
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
    """An in-memory study with a fixed search space: every knob is always suggested.

    A :class:`Coding` converts knobs to Optuna's parameters.

    Args:
        strategy: name of the strategy, for messages.
        space: a space with knobs.
        goal: determines the number of losses.
        coding: coding of the knobs; default :class:`Coding`.
    """

    def __init__(self, strategy: str, space: Space, goal: Goal, coding: type[Coding] | None = None) -> None:
        import optuna

        if not knobs_of(space):
            raise UserError(
                f"strategy {strategy} needs a space described by a table of knobs",
                found=f"space {space.name}",
                remedy="use random or evolution",
                kind=ErrorKind.UNSUPPORTED,
            )
        self.coding = (coding or Coding)(space)
        self._asked: list[Any] = []
        self._drawing: tuple[Any, Any, Mapping[str, Any]] | None = None
        with quiet():
            self.study = optuna.create_study(directions=["minimize"] * goal.n_losses)
        self.n_records = 0

    def trial(
        self,
        candidate: Candidate,
        losses: tuple[float, ...],
        constraints: Mapping[str, float],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> Any:
        """An evaluated candidate as a finished trial; a constraint above 0 is violated."""
        from optuna.trial import TrialState, create_trial

        trial = create_trial(
            state=TrialState.COMPLETE,
            values=list(losses),
            params=self.coding.params(candidate),
            distributions=self.coding.distributions,
            constraints=dict(constraints),
            system_attrs=dict(system_attrs or {}),
        )
        trial.distributions = self.coding.distributions  # Optuna replaced them by a plain dictionary
        return trial

    def tell(self, candidate: Candidate, losses: tuple[float, ...], constraints: Mapping[str, float]) -> None:
        """Add an evaluated candidate."""
        self.study.add_trial(self.trial(candidate, losses, constraints))
        self.n_records += 1

    def renew(self, trials: Sequence[Any]) -> None:
        """Remove all trials except these."""
        import optuna

        with quiet():
            self.study = optuna.create_study(directions=self.study.directions)
            self.study.add_trials(trials)

    def ask(self, sampler: Any) -> Candidate:
        """A proposal of ``sampler``; it remains a running trial until :meth:`end_batch`."""
        self.study.sampler = sampler
        with quiet():
            trial = self.study.ask(self.coding.distributions)
        self._asked.append(trial)
        return self.coding.candidate(trial.params)

    def draw(self, sampler: Any, system_attrs: Mapping[str, Any] | None = None) -> Candidate:
        """A proposal of ``sampler``, for samplers that do not use running trials.

        This avoids the bookkeeping of a trial that would never be finished, which is four fifths of
        the time of :meth:`ask`.

        Args:
            system_attrs: attributes of the trial passed to the sampler.
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
        """Close the running trials. The evaluated candidates are added as new trials, which do not
        depend on the process that proposed them."""
        from optuna.trial import TrialState

        for trial in self._asked:
            self.study.tell(trial, state=TrialState.FAIL)
        self._asked.clear()


class Shared(dict[str, Any]):
    """Immutable distributions of parameters, which are not copied: Optuna copies them for every trial,
    which takes most of the time per trial."""

    def __deepcopy__(self, memo: object) -> Shared:
        return self


class Coding:
    """Knobs as Optuna's parameters: ordered choices are integers (indices), unordered ones categories,
    ranges floats; a knob with a single choice is not a parameter.

    An inactive knob gets a value drawn from the candidate's key: noise for the sampler, but the same
    in every process.
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
    """Knobs as real numbers between 0 and 1, for samplers that use gradients: the position of an ordered
    or continuous knob; for an unordered one, a score per choice, of which the highest is selected.

    On the mlp space, a Gaussian process makes proposals several times faster than with integers and
    categories. An inactive knob is set to the middle.
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
