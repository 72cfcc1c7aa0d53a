"""Calls of estimators: one estimator for the candidates of one batch, with stored results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hwnas_hls.cluster import ClusterLost, Workers
from hwnas_hls.cluster.remote import RemoteEstimator
from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.scaling import scaled_design, unscaled
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words, in_words_with_place
from hwnas_hls.plugin.isolation import guarded, release
from hwnas_hls.plugin.returned import checked_estimates
from hwnas_hls.protocols.estimator import Context, Keep, keep_all, no_siblings
from hwnas_hls.run.goal import metrics_of
from hwnas_hls.run.judging.halving import halving
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
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
    estimated_by: set[str] = field(default_factory=set)
    design: Design | None = None
    layers: tuple[Mapping[str, Estimate], ...] = ()
    state: RecordState = RecordState.COMPLETE
    reason: str = ""
    violations: dict[str, float] = field(default_factory=dict)

    def end(self, state: RecordState, reason: str) -> None:
        self.state, self.reason = state, reason


def evaluation_of(problem: Problem, candidate: Candidate) -> Evaluation:
    """A candidate with its architecture, or ended if the space cannot build it."""
    case = Evaluation(candidate)
    try:
        architecture = problem.architecture(candidate)
    except PLUGIN_FAULTS as error:
        case.end(RecordState.FAILED, f"the space could not build the architecture: {in_words(error)}")
        return case
    built, task = (architecture.n_in, architecture.n_out), (problem.dataset.n_in, problem.dataset.n_out)
    if built != task:
        words = "the space built a network of {} inputs and {} outputs, but the task has {} and {}"
        case.end(RecordState.FAILED, words.format(*built, *task))
    else:
        case.architecture = architecture
    return case


class EstimatorCalls:
    """Calls estimators for candidates; results in the store are not computed again.

    The results of one call are stored together. A killed run repeats at most the call that was
    interrupted, with the same candidates in the batch, so its numbers are bit-identical.

    Attributes:
        batch: number of the current batch.
        purpose: what the calls are for if not for a batch of the search; empty for a batch.
        front: (task metric, adder bits) of the designs of earlier batches, for trainers in the search.
        past: records of earlier batches, for estimators that learn from them.
        on_phase: called with a description of each step.
    """

    def __init__(self, problem: Problem, store: Store, workers: Workers | None = None) -> None:
        self.problem = problem
        self.store = store
        self.workers = workers
        self.batch = 0
        self.purpose = ""
        self.front: Sequence[tuple[float, float]] = ()
        self.past: Sequence[Record] = ()
        self.on_phase: Callable[[str], None] = lambda words: None
        self._isolated: dict[ConfiguredPlugin, Any] = {}

    def close(self) -> None:
        """End the processes of isolated estimators."""
        for estimator in self._isolated.values():
            release(estimator)
        self._isolated.clear()

    def report(self, part: ConfiguredPlugin, words: str) -> None:
        """Describe a step of an estimator."""
        batch = "known designs" if self.batch < 0 else f"batch {self.batch + 1}"
        self.on_phase(f"{self.purpose or batch}: {part.name}, {words}")

    def halving(self, cases: Sequence[Evaluation]) -> Keep:
        """Which candidates continue at a rung."""
        known = [case.estimates for case in cases]
        fronts = [len(self._siblings_of(case.candidate)) > 1 for case in cases]
        share = self.problem.spec.run.keep_share
        return halving(self.problem.goal, self.problem.dataset.metric, known, share, fronts)

    def evaluate(
        self, part: ConfiguredPlugin, cases: Sequence[Evaluation], *, early_stop: bool
    ) -> list[Estimates]:
        problem = self.problem
        keys = [self.key(part, case, early_stop=early_stop) for case in cases]
        held = self.store.evaluations(dict.fromkeys(keys))
        missing: dict[str, Evaluation] = {}
        for key, case in zip(keys, cases, strict=True):
            if key not in held:
                missing.setdefault(key, case)
        if missing:
            asked = list(missing.values())
            fresh = self._ask(part, asked, early_stop=early_stop)
            if part.instance.trains:
                fresh = [
                    self._with_scaling(item, case.architecture)
                    for item, case in zip(fresh, asked, strict=True)
                ]
            answered = dict(zip(missing, fresh, strict=True))
            names = {
                candidate: self.key(part, evaluation_of(problem, candidate), early_stop=early_stop)
                for item in fresh
                for candidate, _ in item.siblings
            }
            self.store.add_evaluations(answered, names)
            held |= answered
        return [held[key] for key in keys]

    def stored(self, part: ConfiguredPlugin, case: Evaluation) -> Estimates | None:
        """The answer for a candidate in the search if it is in the store; the estimator is not called."""
        key = self.key(part, case, early_stop=True)
        return self.store.evaluations([key]).get(key)

    def key(self, part: ConfiguredPlugin, case: Evaluation, *, early_stop: bool) -> str:
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
                [problem.dataset.metric, problem.dataset.signal, problem.dataset.false_positive_rate],
                problem.target.to_json(),
                problem.spec.run.seed,
                self._stopping(part) if early_stop else None,
                self._learnt(part),
                case.design.digest() if case.design and part.instance.uses_weights else None,
                self._read(part, case),
                # Left out otherwise: earlier runs have no such entry.
                *([{"finds_clock": True}] if problem.finds_clock and part.instance.uses_weights else []),
            ]
        )

    def _stopping(self, part: ConfiguredPlugin) -> object:
        # The goal determines which candidates are dominated and therefore stopped.
        stops = self.problem.spec.run.early_stop and part.instance.trains
        return [self.problem.goal.to_json(), self.problem.spec.run.keep_share] if stops else None

    def _learnt(self, part: ConfiguredPlugin) -> object:
        # Records are only appended, so their number and the last key identify them.
        if not part.instance.learns or not self.past:
            return None
        return [len(self.past), self.past[-1].key]

    @staticmethod
    def _read(part: ConfiguredPlugin, case: Evaluation) -> object:
        if not part.instance.combines:
            return None
        own = metrics_of(part.instance)
        return {name: item.to_json() for name, item in sorted(case.estimates.items()) if name not in own}

    def _ask(
        self, part: ConfiguredPlugin, cases: Sequence[Evaluation], *, early_stop: bool
    ) -> list[Estimates]:
        keep: Keep = keep_all
        if early_stop and self.problem.spec.run.early_stop:
            keep = self.halving(cases)
        built = {case.candidate.key: case.architecture for case in cases if case.architecture is not None}

        def architecture(candidate: Candidate) -> Architecture:
            found = built.get(candidate.key) or self.problem.architecture(candidate)
            # What trains takes standardised features: the scaling of raw words is no part of the training.
            return unscaled(found) if part.instance.trains or part.instance.proxies else found

        context = Context(
            architecture=architecture,
            dataset=self.problem.dataset,
            target=self.problem.target,
            clock_ns=self.problem.clock_ns,
            finds_clock=self.problem.finds_clock,
            seed=self.problem.spec.run.seed,
            device=self.problem.spec.run.device,
            designs={case.candidate.key: case.design for case in cases if case.design is not None},
            keep=keep,
            space=self.problem.space,
            siblings=self._siblings_of if early_stop else no_siblings,
            front=self.front if early_stop else (),
            known={case.candidate.key: dict(case.estimates) for case in cases},
            records=self.past if part.instance.learns else (),
            progress=lambda words: self.report(part, words),
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
                    "estimator %s failed on a batch, asking one by one: %s",
                    part.name,
                    in_words_with_place(error),
                )
                return estimator.each(candidates, replace(context, keep=keep_all))
            if len(candidates) == 1:
                log.warning("estimator %s failed: %s", part.name, in_words_with_place(error))
                return [_failed(error)]
            # One candidate must not fail the others: call the estimator for each separately.
            log.warning(
                "estimator %s failed on a batch, asking one by one: %s", part.name, in_words_with_place(error)
            )
            alone = replace(context, keep=keep_all)
            return [self._alone(part, candidate, alone) for candidate in candidates]

    def _with_scaling(self, found: Estimates, architecture: Architecture | None) -> Estimates:
        """What a trainer returned, its designs with the scaling of raw words that their candidates have."""
        if architecture is None or architecture.scaling is None:
            return found
        siblings = tuple(
            (candidate, self._with_scaling(item, self.problem.architecture(candidate)))
            for candidate, item in found.siblings
        )
        design = None if found.design is None else scaled_design(found.design, architecture.scaling)
        return replace(found, design=design, siblings=siblings)

    def _siblings_of(self, candidate: Candidate) -> Sequence[Candidate]:
        return self.problem.siblings(candidate)

    def _alone(self, part: ConfiguredPlugin, candidate: Candidate, context: Context) -> Estimates:
        try:
            return self._call(part, [candidate], context)[0]
        except PLUGIN_FAULTS as error:
            log.warning("estimator %s failed on %s: %s", part.name, candidate.key, in_words_with_place(error))
            return _failed(error)

    def _call(
        self, part: ConfiguredPlugin, candidates: Sequence[Candidate], context: Context
    ) -> list[Estimates]:
        return checked_estimates(self._estimator(part).estimate(candidates, context), len(candidates))

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


def _failed(error: BaseException) -> Estimates:
    """The answer for a candidate on which an estimator raised."""
    kind = error.kind if isinstance(error, HwnasError) else ErrorKind.PLUGIN_FAULT
    return Estimates(failure=in_words(error), failure_kind=kind)
