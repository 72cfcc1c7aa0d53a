"""Evaluation of a batch of candidates: cheap estimators, limits, then training; all results are stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hwnas_hls.cluster import ClusterLost, Workers
from hwnas_hls.cluster.remote import RemoteEstimator
from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words
from hwnas_hls.plugin.isolation import guarded, release
from hwnas_hls.protocols.estimator import Context, Keep, keep_all, no_siblings
from hwnas_hls.run.contention import contend
from hwnas_hls.run.family import Family
from hwnas_hls.run.forecast import spared
from hwnas_hls.run.halving import halving
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.store import Store
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.record import Record, RecordState

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Evaluation:
    """The state of one candidate while its batch is evaluated."""

    candidate: Candidate
    architecture: Architecture | None = None
    estimates: dict[str, Estimate] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    told_by: set[str] = field(default_factory=set)
    design: Design | None = None
    layers: tuple[Mapping[str, Estimate], ...] = ()
    state: RecordState = RecordState.COMPLETE
    reason: str = ""
    violations: dict[str, float] = field(default_factory=dict)

    def end(self, state: RecordState, reason: str) -> None:
        self.state, self.reason = state, reason


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


def metrics_of(part: ConfiguredPlugin) -> set[str]:
    """Names of the metrics that an estimator may give."""
    return {item if isinstance(item, str) else item.name for item in part.instance.provides}


class Judge:
    """Turns batches of candidates into records.

    The results of one estimator for one batch are stored together. A killed run repeats at most the
    call that was interrupted, with the same candidates in the batch, so its numbers are bit-identical.
    """

    def __init__(self, problem: Problem, store: Store, workers: Workers | None = None) -> None:
        self.problem = problem
        self.store = store
        self.workers = workers
        self._isolated: dict[ConfiguredPlugin, Any] = {}
        self._past: Sequence[Record] = ()
        #: Called with a description of each step of a batch.
        self.on_phase: Callable[[str], None] = lambda words: None
        self._batch = 0
        self._family = Family(problem.dataset.metric, problem.dataset.direction)
        self._family.take(store.records())

    def close(self) -> None:
        """End the processes of isolated estimators."""
        for estimator in self._isolated.values():
            release(estimator)
        self._isolated.clear()

    def records(self, candidates: Sequence[Candidate], batch: int, first_number: int) -> list[Record]:
        """One record per candidate, in order, then one per sibling that has a design from the same
        training. A candidate that fails gets a failed record."""
        began = time.perf_counter()
        self._batch = batch
        cases = [self._evaluation_of(candidate) for candidate in candidates]
        instances = [part.instance for part in self.problem.estimators]
        if any(one.learns or one.forecast for one in instances):
            self._past = [record for record in self.store.records() if record.batch < batch]
        trainers = self._trainers()
        for number, part in enumerate(self.problem.estimators):
            alive = sum(case.state == RecordState.COMPLETE for case in cases)
            self.on_phase(f"batch {batch + 1}: {part.name}, {counted(alive, 'candidate')}")
            # Who is asked of contenders alone is asked after each training, see `_refine`.
            found = [] if self._cheaper(part) else self._apply(part, cases)
            if part in trainers:
                cases += self._siblings(part, self.problem.estimators[:number], cases, found)
                self._refine(cases)
            if part in trainers[:-1]:
                self._promote(part, cases)
            if forecast := part.instance.forecast:
                self._spare(part, forecast, cases)
        self._combine(cases)
        share = (time.perf_counter() - began) / max(len(cases), 1)
        return [self._record(c, first_number + place, batch, share) for place, c in enumerate(cases)]

    def take(self, records: Sequence[Record]) -> None:
        """Records of a batch as they are stored, with what syntheses have taught meanwhile: later batches
        are judged against them."""
        self._family.take(records)

    def designs(self, candidates: Sequence[Candidate]) -> list[FullTraining]:
        """Train candidates in full with the problem's trainer, and estimate with their weights.

        Returns:
            one :class:`FullTraining` per candidate, in order.
        """
        cases = [self._evaluation_of(candidate) for candidate in candidates]
        if self.problem.trainer is None:
            raise ValueError("no estimator of this run trains")
        self._apply(self.problem.trainer, cases, early_stop=False, check=False)
        self._ask_others(cases)
        return [FullTraining(case.estimates, case.design, case.layers, case.reason) for case in cases]

    def with_designs(self, candidates: Sequence[Candidate], designs: Sequence[Design]) -> list[FullTraining]:
        """Estimate candidates with given designs, using the estimators that do not train."""
        cases = [self._evaluation_of(candidate) for candidate in candidates]
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
        """Estimates in which those that are computed from others follow the others."""
        cases = [self._evaluation_of(candidate) for candidate in candidates]
        for case, design, known in zip(cases, designs, estimates, strict=True):
            case.design = design
            case.estimates.update(known)
        self._combine(cases, check=False)
        return [case.estimates for case in cases]

    def again(self, candidates: Sequence[Candidate], number: int) -> list[FullTraining]:
        """As :meth:`designs`, from the seed ``number`` after the run's."""
        run = self.problem.spec.run
        spec = replace(self.problem.spec, run=replace(run, seed=(run.seed + number) % 2**63))
        other = Judge(replace(self.problem, spec=spec), self.store, self.workers)
        try:
            return other.designs(candidates)
        finally:
            other.close()

    def design(self, record: Record) -> Design | None:
        """The design of a record from the training of the search, read from the store."""
        case = self._evaluation_of(record.candidate)
        for part in self._trainers():
            if case.state == RecordState.COMPLETE:
                case.design = self._evaluate(part, [case], early_stop=True)[0].design or case.design
        return case.design

    def _evaluation_of(self, candidate: Candidate) -> Evaluation:
        case = Evaluation(candidate)
        try:
            architecture = self.problem.architecture(candidate)
        except PLUGIN_FAULTS as error:
            case.end(RecordState.FAILED, f"the space could not build the architecture: {in_words(error)}")
        else:
            case.architecture = architecture
        return case

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
            if key in known or estimates.stopped or self._family.recorded_before(key, self._batch):
                continue
            fresh.setdefault(key, (self._evaluation_of(candidate), estimates))
        siblings = [case for case, _ in fresh.values()]
        for other in earlier:
            self._apply(other, siblings)
        for case, estimates in fresh.values():
            if case.state == RecordState.COMPLETE:
                self._take(part, case, estimates, check=True)
        # The next estimators, above all da4ml's solver, are expensive; skip siblings far from the front.
        rivals = [case.estimates for case in (*cases, *siblings) if case.state == RecordState.COMPLETE]
        behind = self._family.far_behind(rivals, self._batch)
        return [case for case in siblings if not behind(case.estimates)]

    def _refine(self, cases: Sequence[Evaluation]) -> None:
        """Call the estimators that use weights again, now with the trained designs."""
        trained = [case for case in cases if case.design is not None]
        for part in self.problem.estimators:
            if part.instance.uses_weights:
                asked = [
                    case for case in self._contenders(part, trained) if case.state == RecordState.COMPLETE
                ]
                self.on_phase(f"batch {self._batch + 1}: {part.name}, {counted(len(asked), 'design')}")
                self._apply(part, asked)

    def _contenders(self, part: ConfiguredPlugin, cases: Sequence[Evaluation]) -> Sequence[Evaluation]:
        """Whom a dear estimator is asked about: all, or those that a cheaper one says may enter the front."""
        cheaper = self._cheaper(part)
        if cheaper is None:
            return cases
        judged = [
            case for case in cases if case.state == RecordState.COMPLETE and cheaper.name in case.told_by
        ]
        contending = contend(
            self.problem.goal,
            [case.estimates for case in judged],
            metrics_of(cheaper),
            part.instance.contends_within,
            self._family.losses(self._batch),
        )
        behind = {id(case) for case, may in zip(judged, contending, strict=True) if not may}
        return [case for case in cases if id(case) not in behind]

    def _cheaper(self, part: ConfiguredPlugin) -> ConfiguredPlugin | None:
        """The estimator of this run whose word decides whether ``part`` is asked in the search."""
        if not part.instance.uses_weights:
            return None
        return next(
            (other for other in self.problem.estimators if other.name == part.instance.contends_by), None
        )

    def _combine(self, cases: Sequence[Evaluation], *, check: bool = True) -> None:
        """Ask again those whose numbers follow from the numbers of others."""
        for part in self.problem.estimators:
            if part.instance.combines:
                self._apply(part, cases, check=check)

    def _ask_others(self, cases: Sequence[Evaluation]) -> None:
        """All estimators that neither train nor learn, of designs as they are."""
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
        for case, stays in zip(alive, self._halving(alive)(range(len(alive)), scores, 1.0), strict=True):
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
        reasons = spared(self.problem.goal, metric, forecast, known, self._past)
        for case, reason in zip(alive, reasons, strict=True):
            if reason:
                case.estimates[metric] = replace(case.estimates[forecast], metric=metric)
                case.end(RecordState.STOPPED, f"{part.name}: {reason}")

    def _halving(self, cases: Sequence[Evaluation]) -> Keep:
        known = [case.estimates for case in cases]
        fronts = [len(self._siblings_of(case.candidate)) > 1 for case in cases]
        share = self.problem.spec.run.keep_share
        return halving(self.problem.goal, self.problem.dataset.metric, known, share, fronts)

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
        found = self._evaluate(part, alive, early_stop=early_stop)
        for case, estimates in zip(alive, found, strict=True):
            self._take(part, case, estimates, check=check)
        return found

    def _take(self, part: ConfiguredPlugin, case: Evaluation, estimates: Estimates, *, check: bool) -> None:
        case.estimates.update(estimates.values)
        if estimates.values:
            case.told_by.add(part.name)
        case.warnings.extend(f"{part.name}: {warning}" for warning in estimates.warnings)
        case.layers = estimates.layers or case.layers
        if estimates.design is not None:
            case.design = estimates.design
        if estimates.failure:
            case.end(RecordState.FAILED, f"{part.name}: {estimates.failure}")
        elif estimates.stopped:
            case.end(RecordState.STOPPED, f"{part.name}: {estimates.stopped}")
        elif check:
            self._check(case)

    def _check(self, case: Evaluation) -> None:
        case.violations = self.problem.goal.violations(case.estimates)
        if case.violations:
            worst = ", ".join(f"{limit} by {amount:.0%}" for limit, amount in sorted(case.violations.items()))
            case.end(RecordState.INFEASIBLE, f"over the limit {worst} (pessimistic end of the interval)")

    # -- one estimator, one batch --------------------------------------------------------

    def _evaluate(
        self, part: ConfiguredPlugin, cases: Sequence[Evaluation], *, early_stop: bool
    ) -> list[Estimates]:
        keys = [self._key(part, case, early_stop) for case in cases]
        held = self.store.evaluations(dict.fromkeys(keys))
        missing: dict[str, Evaluation] = {}
        for key, case in zip(keys, cases, strict=True):
            if key not in held:
                missing.setdefault(key, case)
        if missing:
            fresh = self._ask(part, list(missing.values()), early_stop=early_stop)
            answered = dict(zip(missing, fresh, strict=True))
            names = {
                candidate: self._key(part, self._evaluation_of(candidate), early_stop)
                for item in fresh
                for candidate, _ in item.siblings
            }
            self.store.add_evaluations(answered, names)
            held |= answered
        return [held[key] for key in keys]

    def _key(self, part: ConfiguredPlugin, case: Evaluation, early_stop: bool) -> str:
        """The key of an evaluation: a hash of everything that its numbers depend on."""
        problem = self.problem
        architecture = case.architecture
        return digest(
            [
                case.candidate.to_json(),
                None if architecture is None else architecture.to_json(),
                part.name,
                part.provider,
                str(part.instance.version),
                dict(part.config),
                problem.dataset.fingerprint,
                problem.target.to_json(),
                problem.spec.run.seed,
                self._stopping(part) if early_stop else None,
                self._learnt(part),
                case.design.digest() if case.design and part.instance.uses_weights else None,
                self._read(part, case),
            ]
        )

    def _stopping(self, part: ConfiguredPlugin) -> object:
        # The goal determines which candidates are dominated and therefore stopped.
        stops = self.problem.spec.run.early_stop and part.instance.trains
        return [self.problem.goal.to_json(), self.problem.spec.run.keep_share] if stops else None

    def _learnt(self, part: ConfiguredPlugin) -> object:
        # Records are only appended, so their number and the last key identify them.
        if not part.instance.learns or not self._past:
            return None
        return [len(self._past), self._past[-1].key]

    @staticmethod
    def _read(part: ConfiguredPlugin, case: Evaluation) -> object:
        if not part.instance.combines:
            return None
        own = metrics_of(part)
        return {name: item.to_json() for name, item in sorted(case.estimates.items()) if name not in own}

    def _ask(
        self, part: ConfiguredPlugin, cases: Sequence[Evaluation], *, early_stop: bool
    ) -> list[Estimates]:
        keep: Keep = keep_all
        if early_stop and self.problem.spec.run.early_stop:
            keep = self._halving(cases)
        built = {case.candidate.key: case.architecture for case in cases if case.architecture is not None}
        context = Context(
            architecture=lambda candidate: built.get(candidate.key) or self.problem.architecture(candidate),
            dataset=self.problem.dataset,
            target=self.problem.target,
            clock_ns=self.problem.clock_ns,
            seed=self.problem.spec.run.seed,
            device=self.problem.spec.run.device,
            designs={case.candidate.key: case.design for case in cases if case.design is not None},
            keep=keep,
            space=self.problem.space,
            siblings=self._siblings_of if early_stop else no_siblings,
            front=self._family.front(self._batch),
            known={case.candidate.key: dict(case.estimates) for case in cases},
            records=self._past if part.instance.learns else (),
            progress=lambda words: self.on_phase(f"batch {self._batch + 1}: {part.name}, {words}"),
            cache=self.store.cache,
        )
        candidates = [case.candidate for case in cases]
        try:
            return self._call(part, candidates, context)
        except ClusterLost:
            raise
        except PLUGIN_FAULTS as error:
            estimator = self._estimator(part)
            if isinstance(estimator, RemoteEstimator):
                log.warning(
                    "estimator %s failed on a batch, asking one by one: %s", part.name, in_words(error)
                )
                return estimator.each(candidates, replace(context, keep=keep_all))
            if len(candidates) == 1:
                log.warning("estimator %s failed: %s", part.name, in_words(error))
                return [_failed(error)]
            # One candidate must not fail the others: call the estimator for each separately.
            log.warning("estimator %s failed on a batch, asking one by one: %s", part.name, in_words(error))
            alone = replace(context, keep=keep_all)
            return [self._alone(part, candidate, alone) for candidate in candidates]

    def _siblings_of(self, candidate: Candidate) -> Sequence[Candidate]:
        return self.problem.space.siblings(candidate)

    def _alone(self, part: ConfiguredPlugin, candidate: Candidate, context: Context) -> Estimates:
        try:
            return self._call(part, [candidate], context)[0]
        except PLUGIN_FAULTS as error:
            log.warning("estimator %s failed on %s: %s", part.name, candidate.key, in_words(error))
            return _failed(error)

    def _call(
        self, part: ConfiguredPlugin, candidates: Sequence[Candidate], context: Context
    ) -> list[Estimates]:
        found = list(self._estimator(part).estimate(candidates, context))
        if len(found) != len(candidates):
            raise ValueError(f"{len(found)} results for {len(candidates)} candidates")
        for item in found:
            if not isinstance(item, Estimates):
                raise TypeError(f"a result is {type(item).__name__}, not Estimates")
        return found

    def _estimator(self, part: ConfiguredPlugin) -> Any:
        """The estimator, or its proxy if it runs on workers or in a separate process."""
        if part not in self._isolated and self.workers is not None and self.workers.takes(part):
            self._isolated[part] = RemoteEstimator(self.workers, part)
        if part not in self._isolated:
            problem = self.problem
            facts: dict[str, Any] = {"seed": problem.spec.run.seed, "clock_ns": problem.clock_ns}
            facts |= {"task": problem.dataset, "target": problem.target}
            self._isolated[part] = guarded(problem.registry, "estimator", part.instance, part.config, **facts)
        return self._isolated[part]

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
        )


def _failed(error: BaseException) -> Estimates:
    """The answer for a candidate on which an estimator raised."""
    kind = error.kind if isinstance(error, HwnasError) else ErrorKind.PLUGIN_FAULT
    return Estimates(failure=in_words(error), failure_kind=kind)
