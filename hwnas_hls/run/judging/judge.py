"""Evaluation of a batch of candidates: cheap estimators, limits, then training; all results are stored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwnas_hls.cluster import Workers
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.run.goal import metrics_of
from hwnas_hls.run.judging.contention import contend
from hwnas_hls.run.judging.estimator_calls import EstimatorCalls, Evaluation, evaluation_of
from hwnas_hls.run.judging.family import Family
from hwnas_hls.run.judging.forecast import spared
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
from hwnas_hls.run.task_metrics import missing_scores
from hwnas_hls.spec.notation import counted, percent
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.record import Record, RecordState


@dataclass(frozen=True, slots=True)
class FullTraining:
    """The result of a full training.

    Args:
        estimates: metric -> estimate, based on the trained weights.
        design: ``None`` if training failed.
        layers: per layer, metric -> estimate.
        reason: why there is no design; empty otherwise.
    """

    estimates: Mapping[str, Estimate]
    design: Design | None
    layers: tuple[Mapping[str, Estimate], ...]
    reason: str


class Judge:
    """Turns batches of candidates into records, and records into full trainings.

    Its :attr:`calls` reach the estimators; :attr:`origins` (key -> origin) are those of known designs.
    """

    def __init__(self, problem: Problem, store: Store, workers: Workers | None = None) -> None:
        self.problem = problem
        self.store = store
        self.calls = EstimatorCalls(problem, store, workers)
        self.origins: Mapping[str, str] = {}

    @cached_property
    def _family(self) -> Family:
        """Built from the store on first use: full trainings do not need it."""
        family = Family(self.problem.dataset.metric, self.problem.dataset.direction)
        family.take(self.store.records())
        return family

    def close(self) -> None:
        """End the processes of isolated estimators."""
        self.calls.close()

    def records(self, candidates: Sequence[Candidate], batch: int, first_number: int) -> list[Record]:
        """One record per candidate, in order, then one per sibling that has a design from the same
        training. A candidate that fails gets a failed record."""
        began = time.perf_counter()
        self.calls.batch, self.calls.front = batch, self._family.front(batch)
        cases = [evaluation_of(self.problem, candidate) for candidate in candidates]
        instances = [part.instance for part in self.problem.estimators]
        if any(one.learns or one.forecast for one in instances):
            self.calls.past = [record for record in self.store.records() if record.batch < batch]
        trainers = self._trainers()
        for number, part in enumerate(self.problem.estimators):
            alive = sum(case.state == RecordState.COMPLETE for case in cases)
            self.calls.report(part, counted(alive, "candidate"))
            # An estimator for contenders only is called after each training.
            found = [] if self._cheaper(part) else self._apply(part, cases)
            if part in trainers:
                cases += self._siblings(part, self.problem.estimators[:number], cases, found)
                self._estimate_trained(cases)
            if part in trainers[:-1]:
                self._promote(part, cases)
            if forecast := part.instance.forecast:
                self._spare(part, forecast, cases)
        self._combine(cases)
        share = (time.perf_counter() - began) / max(len(cases), 1)
        return [self._record(c, first_number + place, batch, share) for place, c in enumerate(cases)]

    def take(self, records: Sequence[Record]) -> None:
        """Add the stored records of a batch, corrected by syntheses; later batches are compared with them."""
        self._family.take(records)

    def designs(self, candidates: Sequence[Candidate]) -> list[FullTraining]:
        """Train candidates in full with the problem's trainer, and estimate with their weights.

        Returns:
            one :class:`FullTraining` per candidate, in order.
        """
        cases = [evaluation_of(self.problem, candidate) for candidate in candidates]
        if self.problem.trainer is None:
            raise ValueError("no estimator of this run trains")
        self._apply(self.problem.trainer, cases, early_stop=False, check=False)
        self._ask_others(cases)
        return [FullTraining(case.estimates, case.design, case.layers, case.reason) for case in cases]

    def with_designs(self, candidates: Sequence[Candidate], designs: Sequence[Design]) -> list[FullTraining]:
        """Estimate candidates with given designs, using the estimators that do not train."""
        cases = [evaluation_of(self.problem, candidate) for candidate in candidates]
        for case, design in zip(cases, designs, strict=True):
            case.design = design
        self._ask_others(cases)
        return [FullTraining(case.estimates, case.design, case.layers, case.reason) for case in cases]

    def combined(
        self,
        candidates: Sequence[Candidate],
        designs: Sequence[Design],
        estimates: Sequence[Mapping[str, Estimate]],
    ) -> list[dict[str, Estimate]]:
        """The estimates, with those that are computed from other estimates computed again."""
        cases = [evaluation_of(self.problem, candidate) for candidate in candidates]
        for case, design, known in zip(cases, designs, estimates, strict=True):
            case.design = design
            case.estimates.update(known)
        self._combine(cases, check=False)
        return [case.estimates for case in cases]

    def again(
        self, candidates: Sequence[Candidate], number: int, *, recovering: bool = False
    ) -> list[FullTraining]:
        """As :meth:`designs`, with the seed of the run plus ``number``.

        Args:
            recovering: whether earlier full trainings of these failed; it then trains here, more slowly.
        """
        seed = (self.problem.spec.run.seed + number) % 2**63
        problem = self.problem.with_seed(seed)
        other = (
            Judge(problem.recovering(), self.store)
            if recovering
            else Judge(problem, self.store, self.calls.workers)
        )
        try:
            return other.designs(candidates)
        finally:
            other.close()

    def design(self, record: Record) -> Design | None:
        """The design of a record from the training of the search, read from the store."""
        case = evaluation_of(self.problem, record.candidate)
        for part in self._trainers():
            if case.state == RecordState.COMPLETE:
                case.design = self.calls.evaluate(part, [case], early_stop=True)[0].design or case.design
        return case.design

    def stored_training(self, candidate: Candidate) -> Estimates | None:
        """The last training of a candidate in the search, from the store; never trains.

        ``None`` if there is none, or if it failed or was stopped.
        """
        case = evaluation_of(self.problem, candidate)
        if case.state != RecordState.COMPLETE:
            return None
        for part in reversed(self._trainers()):
            found = self.calls.stored(part, case)
            if found is not None and not found.failure and not found.stopped and found.design is not None:
                return found
        return None

    def training_keys(self, candidate: Candidate) -> list[str]:
        """The keys under which the trainings of a candidate in the search are stored."""
        case = evaluation_of(self.problem, candidate)
        return [self.calls.key(part, case, early_stop=True) for part in self._trainers()]

    def _siblings(
        self,
        part: ConfiguredPlugin,
        earlier: Sequence[ConfiguredPlugin],
        cases: Sequence[Evaluation],
        found: Sequence[Estimates],
    ) -> list[Evaluation]:
        """Evaluations of the siblings that have designs from the trainings of ``cases``.

        Excluded are candidates of the batch, candidates with a record, and those that the trainer stopped.
        """
        known = {case.candidate.key for case in cases}
        fresh: dict[str, tuple[Evaluation, Estimates]] = {}
        for candidate, estimates in (pair for item in found for pair in item.siblings):
            key = candidate.key
            if key in known or estimates.stopped or self._family.recorded_before(key, self.calls.batch):
                continue
            fresh.setdefault(key, (evaluation_of(self.problem, candidate), estimates))
        siblings = [case for case, _ in fresh.values()]
        for other in earlier:
            self._apply(other, siblings)
        for case, estimates in fresh.values():
            if case.state == RecordState.COMPLETE:
                self._take(part, case, estimates, check=True)
        # The next estimators, above all da4ml's solver, are expensive; skip siblings far from the front.
        rivals = [case.estimates for case in (*cases, *siblings) if case.state == RecordState.COMPLETE]
        behind = self._family.far_behind(rivals, self.calls.batch)
        return [case for case in siblings if not behind(case.estimates)]

    def _estimate_trained(self, cases: Sequence[Evaluation]) -> None:
        """Call the estimators that use weights again, now with the trained designs."""
        trained = [case for case in cases if case.design is not None]
        for part in self.problem.estimators:
            if part.instance.uses_weights:
                asked = [
                    case for case in self._contenders(part, trained) if case.state == RecordState.COMPLETE
                ]
                self.calls.report(part, counted(len(asked), "design"))
                self._apply(part, asked)

    def _contenders(self, part: ConfiguredPlugin, cases: Sequence[Evaluation]) -> Sequence[Evaluation]:
        """The candidates for an expensive estimator: all, or those that a cheaper one lets into the front."""
        cheaper = self._cheaper(part)
        if cheaper is None:
            return cases
        judged = [
            case for case in cases if case.state == RecordState.COMPLETE and cheaper.name in case.estimated_by
        ]
        contending = contend(
            self.problem.goal,
            [case.estimates for case in judged],
            metrics_of(cheaper.instance),
            part.instance.contends_within,
            self._family.losses(self.calls.batch),
        )
        behind = {id(case) for case, may in zip(judged, contending, strict=True) if not may}
        return [case for case in cases if id(case) not in behind]

    def _cheaper(self, part: ConfiguredPlugin) -> ConfiguredPlugin | None:
        """The estimator of this run that selects the candidates for ``part`` in the search."""
        if not part.instance.uses_weights:
            return None
        return next(
            (other for other in self.problem.estimators if other.name == part.instance.contends_by), None
        )

    def _combine(self, cases: Sequence[Evaluation], *, check: bool = True) -> None:
        """Call the estimators again whose metrics are computed from other estimates."""
        for part in self.problem.estimators:
            if part.instance.combines:
                self._apply(part, cases, check=check)

    def _ask_others(self, cases: Sequence[Evaluation]) -> None:
        """Call all estimators that neither train nor learn, with the designs as given."""
        for other in self.problem.estimators:
            if other not in self._trainers() and not other.instance.learns:
                self._apply(other, cases, check=False)
        self._combine(cases, check=False)

    def _trainers(self) -> list[ConfiguredPlugin]:
        return [part for part in self.problem.estimators if part.instance.trains]

    def _promote(self, part: ConfiguredPlugin, cases: Sequence[Evaluation]) -> None:
        """The rung between two estimators that train: dominated candidates are not passed to the next one."""
        metric = self.problem.dataset.metric
        alive = [case for case in cases if case.state == RecordState.COMPLETE and metric in case.estimates]
        if not alive or not self.problem.spec.run.early_stop:
            return
        scores = [case.estimates[metric].value for case in alive]
        for case, stays in zip(alive, self.calls.halving(alive)(range(len(alive)), scores, 1.0), strict=True):
            if not stays:
                case.end(RecordState.STOPPED, f"{part.name}: dominated, so not promoted to the next training")

    def _spare(self, part: ConfiguredPlugin, forecast: str, cases: Sequence[Evaluation]) -> None:
        """Stop the candidates that a forecast excludes; the forecast becomes their score."""
        metric = self.problem.dataset.metric
        alive = [
            case for case in cases if case.state == RecordState.COMPLETE and metric not in case.estimates
        ]
        if not self.problem.spec.run.early_stop:
            return
        known = [case.estimates for case in alive]
        reasons = spared(self.problem.goal, metric, forecast, known, self.calls.past)
        for case, reason in zip(alive, reasons, strict=True):
            if reason:
                case.estimates[metric] = replace(case.estimates[forecast], metric=metric)
                case.end(RecordState.STOPPED, f"{part.name}: {reason}")

    def _apply(
        self,
        part: ConfiguredPlugin,
        cases: Sequence[Evaluation],
        *,
        early_stop: bool = True,
        check: bool = True,
    ) -> list[Estimates]:
        """Call an estimator for the candidates that have not ended; returns its results."""
        alive = [case for case in cases if case.state == RecordState.COMPLETE]
        if not alive:
            return []
        found = self.calls.evaluate(part, alive, early_stop=early_stop)
        for case, estimates in zip(alive, found, strict=True):
            self._take(part, case, estimates, check=check)
        return found

    def _take(self, part: ConfiguredPlugin, case: Evaluation, estimates: Estimates, *, check: bool) -> None:
        case.estimates.update(estimates.values)
        if estimates.values:
            case.estimated_by.add(part.name)
        case.warnings.extend(f"{part.name}: {warning}" for warning in estimates.warnings)
        case.layers = estimates.layers or case.layers
        if estimates.design is not None:
            case.design = estimates.design
            if not estimates.stopped:
                case.estimates.update(self._missing(estimates.design, estimates.values))
        if estimates.failure:
            case.end(RecordState.FAILED, f"{part.name}: {estimates.failure}")
        elif estimates.stopped:
            case.end(RecordState.STOPPED, f"{part.name}: {estimates.stopped}")
        elif check:
            self._check(case)

    def _missing(self, design: Design, known: Mapping[str, Estimate]) -> dict[str, Estimate]:
        """The metrics of predictions that the goal needs and the trainer did not measure."""
        return missing_scores(self.problem.dataset, self.problem.spec.run.seed, design, known)

    def _check(self, case: Evaluation) -> None:
        case.violations = self.problem.goal.violations(case.estimates)
        if case.violations:
            worst = ", ".join(
                f"{limit} by {percent(amount)}" for limit, amount in sorted(case.violations.items())
            )
            case.end(RecordState.INFEASIBLE, f"over the limit {worst} (pessimistic end of the interval)")

    def _record(self, case: Evaluation, number: int, batch: int, seconds: float) -> Record:
        losses = None
        state, reason = case.state, case.reason
        if state == RecordState.COMPLETE:
            losses = self.problem.goal.losses(case.estimates)
            if losses is None:
                missing: Mapping[str, None] = {
                    o.metric: None for o in self.problem.goal.objectives if o.metric not in case.estimates
                }
                state, reason = RecordState.FAILED, f"no estimator returned {', '.join(missing)}"
        return Record(
            number,
            batch,
            case.candidate,
            state,
            case.estimates,
            losses,
            case.violations,
            reason,
            tuple(case.warnings),
            seconds,
            self.origins.get(case.candidate.key, ""),
        )
