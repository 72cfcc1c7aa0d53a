"""Proxies of estimators and synthesizers that run on workers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hwnas_hls.cluster import tasks
from hwnas_hls.cluster.chunks import chunks
from hwnas_hls.cluster.workers import TaskFailed, WorkerKilled, Workers
from hwnas_hls.network.design import Design
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.protocols.estimator import Context, Resumable, keep_all
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates

log = logging.getLogger(__name__)


class RemoteEstimator:
    """The proxy of an estimator; it sends each batch to the workers in chunks.

    Early stopping is decided here, over the whole batch: a
    :class:`~hwnas_hls.protocols.estimator.Resumable` estimator pauses at its rungs. Any other estimator that
    trains runs in this process while early stopping is on, so the same candidates are stopped as
    without workers.
    """

    def __init__(self, workers: Workers, part: ConfiguredPlugin) -> None:
        self._workers = workers
        self._part = part
        self._name = workers.part_name(part)
        self._instance = part.instance
        self._isolated = part.instance.isolated
        self._resumable = isinstance(part.instance, Resumable) and not self._isolated
        self._said = False

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """As :meth:`hwnas_hls.protocols.estimator.Estimator.estimate`.

        Raises:
            TaskFailed: a chunk failed; call :meth:`each` for its candidates.
            ClusterLost: there are no workers.
        """
        stops = context.keep is not keep_all and self._instance.trains
        if stops and self._resumable and not self._instance.rungs:
            stops = False  # keep is not called before the end
        if stops and self._resumable:
            return _Halving(self._workers, self._name, self._instance, candidates, context).run()
        if stops and not self._isolated:
            if not self._said:
                log.warning(
                    "estimator %s cannot pause at rungs, so it runs in the main process; "
                    "with run.early_stop = false it runs on workers",
                    self._part.name,
                )
                self._said = True
            return list(self._instance.estimate(candidates, context))
        return self._divided(candidates, context, self._workers.slots(), self._workers.table.chunk)

    def each(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """Estimate each candidate in a separate task; an error fails only that candidate."""
        futures = [self._submit([candidate], context) for candidate in candidates]
        found: list[Estimates | None] = []
        for candidate, future in zip(candidates, futures, strict=True):
            answer: Estimates | None
            try:
                answer = self._one(candidate, future)
            except WorkerKilled:
                answer = None
            except TaskFailed as error:
                answer = self._failure(candidate, error)
            found.append(answer)
        # If a worker dies, any task that waited on it may be the cause; separate tasks show
        # which one it is.
        for place, candidate in enumerate(candidates):
            if found[place] is None:
                try:
                    found[place] = self._one(candidate, self._submit([candidate], context))
                except TaskFailed as error:
                    found[place] = self._failure(candidate, error)
        return [answer for answer in found if answer is not None]

    def _one(self, candidate: Candidate, future: Any) -> Estimates:
        result, parts = self._workers.results([future])[0]
        return _estimates([candidate], result, parts)[0]

    def _failure(self, candidate: Candidate, error: TaskFailed) -> Estimates:
        log.warning("estimator %s failed on %s: %s", self._part.name, candidate.key, error)
        return Estimates.failed(error)

    def _divided(
        self, candidates: Sequence[Candidate], context: Context, slots: int, most: int
    ) -> list[Estimates]:
        groups = chunks([context.architecture(candidate) for candidate in candidates], slots, most)
        futures = [self._submit([candidates[place] for place in group], context) for group in groups]
        answers = self._workers.results(futures)
        found: dict[int, Estimates] = {}
        for group, (result, parts) in zip(groups, answers, strict=True):
            found |= zip(group, _estimates([candidates[p] for p in group], result, parts), strict=True)
        if self._instance.trains:
            _remember(self._workers, found, zip(groups, futures, strict=True))
        return [found[place] for place in range(len(candidates))]

    def _submit(self, candidates: Sequence[Candidate], context: Context) -> Any:
        if not context.designs:
            return self._workers.estimate(tasks.estimate, _request(self._name, candidates, context))
        # Trained weights go directly from worker to worker, not through the main process.
        held = {
            c.key: self._workers.holder(context.designs[c.key].digest())
            for c in candidates
            if c.key in context.designs
        }
        rest = {key: design for key, design in context.designs.items() if held.get(key) is None}
        shipped = [key for key, future in held.items() if future is not None]
        request = _request(self._name, candidates, replace(context, designs=rest), shipped=shipped)
        needed = {id(held[key]): held[key] for key in shipped}
        return self._workers.estimate(tasks.estimate, request, *needed.values())


class _Halving:
    """The training of one batch from rung to rung.

    The state of a training stays on the worker that computed it, and moves to another only if the new
    division of the batch requires it.
    """

    def __init__(
        self,
        workers: Workers,
        name: str,
        instance: Resumable,
        candidates: Sequence[Candidate],
        context: Context,
    ) -> None:
        self._workers, self._name = workers, name
        self._candidates = candidates
        self._architectures = [context.architecture(candidate) for candidate in candidates]
        built = {c.key: found for c, found in zip(candidates, self._architectures, strict=True)}
        # Built once, not per rung.
        self._context = replace(context, architecture=lambda c: built.get(c.key) or context.architecture(c))
        self._rungs = tuple(instance.rungs)
        self._state_of: dict[int, Any] = {}
        self._found: dict[int, Estimates] = {}
        self._ending: list[tuple[list[int], Any]] = []

    def run(self) -> list[Estimates]:
        going = list(range(len(self._candidates)))
        for until in self._rungs:
            scores = self._advance(going, until)
            going = [place for place in going if place in scores]
            if not going:
                break
            kept = self._context.keep(going, [scores[place] for place in going], until)
            dropped = [place for place, stays in zip(going, kept, strict=True) if not stays]
            going = [place for place, stays in zip(going, kept, strict=True) if stays]
            if dropped:
                self._ending += [
                    (group, self._submit(tasks.conclude, group)) for group in self._divide(dropped)
                ]
        self._ending += [
            (group, self._submit(tasks.advance, group, until=1.0, conclude=True))
            for group in self._divide(going)
        ]
        answers = self._workers.results([future for _, future in self._ending])
        for (group, _), (result, parts) in zip(self._ending, answers, strict=True):
            found = _estimates([self._candidates[place] for place in group], result, parts)
            self._found |= zip(group, found, strict=True)
        _remember(self._workers, self._found, self._ending)
        return [self._found[place] for place in range(len(self._candidates))]

    def _advance(self, going: Sequence[int], until: float) -> dict[int, float]:
        """Train up to a rung; returns index -> interim score of the candidates that did not fail."""
        groups = self._divide(going)
        states = [self._submit(tasks.advance, group, until=until, conclude=False) for group in groups]
        heads = [self._workers.headline(state) for state in states]
        scores: dict[int, float] = {}
        for group, state, (result, _) in zip(groups, states, self._workers.results(heads), strict=True):
            for place, item in zip(group, result, strict=True):
                if "score" in item:
                    scores[place] = item["score"]
                    self._state_of[place] = state
                else:
                    self._found[place] = transfer.estimates_from_json(item, "", {})
        return scores

    def _divide(self, places: Sequence[int]) -> list[list[int]]:
        if not places:
            return []
        table = self._workers.table
        groups = chunks([self._architectures[place] for place in places], self._workers.slots(), table.chunk)
        return [[places[number] for number in group] for group in groups]

    def _submit(self, function: Any, group: Sequence[int], **more: Any) -> Any:
        needed = {id(self._state_of[p]): self._state_of[p] for p in group if p in self._state_of}
        request = _request(self._name, [self._candidates[place] for place in group], self._context, **more)
        return self._workers.estimate(function, request, *needed.values())


def _request(
    name: str, candidates: Sequence[Candidate], context: Context, shipped: Sequence[str] = (), **more: Any
) -> bytes:
    """A request; ``shipped`` names the candidates whose designs the task receives with other answers."""
    parts: dict[str, bytes] = {}
    batch = transfer.batch_to_json(candidates, context, parts)
    for item, candidate in zip(batch["items"], candidates, strict=True):
        if candidate.key in shipped:
            item["design"] = tasks.design_part(candidate.key)
    return transfer.pack({"part": name, "batch": batch, **more}, parts)


def _remember(
    workers: Workers, found: Mapping[int, Estimates], answers: Iterable[tuple[Sequence[int], Any]]
) -> None:
    held = {}
    for group, future in answers:
        for place in group:
            design = found[place].design
            if design is not None:
                held[design.digest()] = future
    workers.remember(held)


def _estimates(
    candidates: Sequence[Candidate], result: Sequence[Any], parts: Mapping[str, bytes]
) -> list[Estimates]:
    held = dict(parts)
    return [
        transfer.estimates_from_json(item, tasks.design_part(candidate.key), held)
        for candidate, item in zip(candidates, result, strict=True)
    ]


class RemoteSynthesizer:
    """The proxy of a synthesizer; every synthesis is a task that reserves its resources."""

    def __init__(self, workers: Workers, synthesizer: Any) -> None:
        self.name: str = synthesizer.name
        self.default_stage = synthesizer.default_stage
        self._workers = workers

    def available(self, target: Target) -> str:
        """Like ``Synthesizer.available``, on a worker with the resources."""
        available, _ = self._answer(tasks.available, transfer.pack({}, {}))
        return str(available)

    def synthesize(self, design: Design, target: Target, stage: str, rows: Any = None) -> SynthesisReport:
        """Like :meth:`hwnas_hls.protocols.synthesizer.Synthesizer.synthesize`."""
        parts = {"design": design.to_bytes()}
        if rows is not None:
            parts["rows"] = transfer.array_to_bytes(rows)
        result, _ = self._answer(tasks.synthesize, transfer.pack({"stage": stage}, parts))
        return transfer.report_from_json(result)

    def clocked(self, design: Design, target: Target, rows: Any = None) -> Design:
        """Like :meth:`hwnas_hls.protocols.synthesizer.Synthesizer.clocked`."""
        parts = {"design": design.to_bytes()}
        if rows is not None:
            parts["rows"] = transfer.array_to_bytes(rows)
        _, answer = self._answer(tasks.clocked, transfer.pack({}, parts))
        return Design.from_bytes(answer["design"])

    def _answer(self, function: Any, request: bytes) -> tuple[Any, dict[str, bytes]]:
        workers = self._workers
        needs = workers.table.needs
        data, parts = workers.results([workers.submit(function, request, resources=needs)], needs)[0]
        return data, parts
