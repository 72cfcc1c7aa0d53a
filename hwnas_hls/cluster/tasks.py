"""The tasks of a worker. Arguments and results are bytes (JSON and npz); this package pickles nothing.

A *delivery* contains what a worker needs once: data set, target, plugins and their settings. Its key,
which every task names, is the hash of its content together with the id of the run.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hwnas_hls import __version__
from hwnas_hls.cluster.cache import CACHE_BYTES, BoundedCache
from hwnas_hls.errors import HwnasError
from hwnas_hls.network.design import Design
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words
from hwnas_hls.plugin.isolation import guarded, release
from hwnas_hls.plugin.rebuild import BuildArgs
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.values.estimate import Estimates

_deliveries: dict[str, bytes] = {}
_benches: dict[str, Bench] = {}
#: Estimators run one at a time: torch and most plugins are not thread-safe. Syntheses run in parallel.
_one_at_a_time = threading.Lock()


class Unfit(HwnasError):
    """A worker cannot use a delivery, because a plugin or a version is missing."""


class Bench:
    """The plugins of one delivery, built once in this process.

    Raises:
        Unfit: this process has a different version of the tool than the main process.
    """

    def __init__(self, delivery: bytes) -> None:
        data, parts = transfer.unpack(delivery)
        if data["version"] != __version__:
            raise Unfit(
                f"the worker runs hwnas-hls {__version__}, the main process {data['version']}: "
                "install the same version on all"
            )
        self.build_args = BuildArgs.load(data["build_args"], parts, "a worker")
        self.dataset, self.target = self.build_args.facts["task"], self.build_args.facts["target"]
        # The constructors of estimators may take the synthesizer.
        self._more = (
            {"synthesizer": self.build_args.build("synthesizer")}
            if "synthesizer" in self.build_args.built
            else {}
        )
        self.space = self.build_args.build("space", **self._more)
        self.cache = BoundedCache(CACHE_BYTES)
        self._tools: dict[str, Any] = {}
        self._tools_lock = threading.Lock()

    def tool(self, name: str) -> Any:
        """An estimator or synthesizer of the delivery; in a separate process if it is isolated."""
        # Syntheses run in several threads, so two may arrive here at the same time.
        with self._tools_lock:
            if name not in self._tools:
                try:
                    built = self.build_args.build(name, **self._more)
                except Exception as error:
                    raise Unfit(f"{type(error).__name__}: {error}") from error
                item = self.build_args.built[name]
                facts = self.build_args.facts if item["kind"] == "estimator" else {}
                self._tools[name] = guarded(
                    self.build_args.registry, item["kind"], built, item["table"], **facts
                )
            return self._tools[name]

    def close(self) -> None:
        """End the processes of isolated plugins."""
        with self._tools_lock:
            for tool in self._tools.values():
                release(tool)


def receive(key: str, delivery: bytes) -> None:
    """Store a delivery; its plugins are built when a task first needs them."""
    _deliveries[key] = delivery


def forget(key: str) -> None:
    """Remove a delivery and its plugins."""
    _deliveries.pop(key, None)
    bench = _benches.pop(key, None)
    if bench is not None:
        bench.close()


def _bench(key: str) -> Bench:
    with _one_at_a_time:
        if key not in _benches:
            if key not in _deliveries:
                raise Unfit("the run's data did not reach the worker")
            try:
                _benches[key] = Bench(_deliveries[key])
            except Unfit:
                raise
            except Exception as error:
                raise Unfit(f"{type(error).__name__}: {error}") from error
        return _benches[key]


# -- tasks -------------------------------------------------------------------------------


def estimate(key: str, request: bytes, *shipped: bytes) -> bytes:
    """``Estimator.estimate`` for a chunk; ``shipped`` contains answers with its designs."""

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        candidates, context = _batch(bench, data, parts)
        with _one_at_a_time:
            found = list(bench.tool(data["part"]).estimate(candidates, context))
        return _estimates(candidates, found)

    return _answer(key, request, shipped, work)


def advance(key: str, request: bytes, *shipped: bytes) -> bytes:
    """``Resumable.advance`` for a chunk; ``shipped`` contains answers with the states to continue from.

    With ``conclude`` in the request, finished candidates are concluded immediately.
    """

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        candidates, context = _batch(bench, data, parts)
        states = [parts.get(f"state-{candidate.key}") for candidate in candidates]
        tool = bench.tool(data["part"])
        with _one_at_a_time:
            found = list(tool.advance(candidates, context, states, data["until"]))
            refused = {place: item for place, item in enumerate(found) if isinstance(item, Estimates)}
            if data["conclude"]:
                going = [place for place in range(len(found)) if place not in refused]
                ended = tool.conclude(
                    [candidates[place] for place in going], context, [found[place].state for place in going]
                )
                whole = {**refused, **dict(zip(going, ended, strict=True))}
                return _estimates(candidates, [whole[place] for place in range(len(found))])
        answer, out = _estimates(candidates, [refused.get(place) for place in range(len(found))])
        for place, (candidate, item) in enumerate(zip(candidates, found, strict=True)):
            if place not in refused:
                out[f"state-{candidate.key}"] = item.state
                answer[place] = {"score": item.score}
        return answer, out

    return _answer(key, request, shipped, work)


def conclude(key: str, request: bytes, *shipped: bytes) -> bytes:
    """``Resumable.conclude`` for a chunk that stops here."""

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        candidates, context = _batch(bench, data, parts)
        states = [parts[f"state-{candidate.key}"] for candidate in candidates]
        with _one_at_a_time:
            found = list(bench.tool(data["part"]).conclude(candidates, context, states))
        return _estimates(candidates, found)

    return _answer(key, request, shipped, work)


def design_part(key: str) -> str:
    """The name of the answer's part with the design of a candidate."""
    return f"design-{key}.npz"


def headline(answer: bytes) -> bytes:
    """An answer without its binary parts, which stay on the worker."""
    data, _ = transfer.unpack(answer)
    return transfer.pack(data, {})


def available(key: str, request: bytes) -> bytes:
    """Whether the synthesizer can run on this worker."""

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        return str(bench.tool("synthesizer").available(bench.target)), {}

    return _answer(key, request, (), work)


def synthesize(key: str, request: bytes) -> bytes:
    """``Synthesizer.synthesize`` for one design."""

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        design, more = _design(parts)
        report = bench.tool("synthesizer").synthesize(design, bench.target, data["stage"], **more)
        return transfer.report_to_json(report), {}

    return _answer(key, request, (), work)


def clocked(key: str, request: bytes) -> bytes:
    """``Synthesizer.clocked`` for one design."""

    def work(bench: Bench, data: Any, parts: dict[str, bytes]) -> tuple[Any, dict[str, bytes]]:
        design, more = _design(parts)
        return None, {"design": bench.tool("synthesizer").clocked(design, bench.target, **more).to_bytes()}

    return _answer(key, request, (), work)


def _design(parts: Mapping[str, bytes]) -> tuple[Design, dict[str, Any]]:
    """The design of a request, and the rows to simulate if it has some."""
    rows = {"rows": transfer.array_from_bytes(parts["rows"])} if "rows" in parts else {}
    return Design.from_bytes(parts["design"]), rows


def _batch(bench: Bench, data: Any, parts: Mapping[str, bytes]) -> tuple[list[Any], Context]:
    candidates, context = transfer.batch_from_json(data["batch"], dict(parts), bench.dataset, bench.target)
    return candidates, replace(context, space=bench.space, cache=bench.cache)


def _estimates(candidates: list[Any], found: list[Any]) -> tuple[list[Any], dict[str, bytes]]:
    """Answers as JSON with their designs; ``None`` for a candidate without an answer yet."""
    if len(found) != len(candidates):
        raise ValueError(f"{len(found)} results for {len(candidates)} candidates")
    parts: dict[str, bytes] = {}
    answers: list[Any] = []
    for candidate, item in zip(candidates, found, strict=True):
        if item is not None and not isinstance(item, Estimates):
            raise TypeError(f"a result is {type(item).__name__}, not Estimates")
        name = design_part(candidate.key)
        answers.append(None if item is None else transfer.estimates_to_json(item, name, parts))
    return answers, parts


def _answer(
    key: str,
    request: bytes,
    shipped: tuple[bytes, ...],
    work: Callable[[Bench, Any, dict[str, bytes]], tuple[Any, dict[str, bytes]]],
) -> bytes:
    """The result of ``work``, or its exception as text; exception objects are not sent."""
    answer: dict[str, Any] = {"worker": f"{socket.gethostname()} process {os.getpid()}"}
    parts: dict[str, bytes] = {}
    try:
        data, given = transfer.unpack(request)
        for message in shipped:
            given |= transfer.unpack(message)[1]
        answer["result"], parts = work(_bench(key), data, given)
    except Unfit as error:
        answer["unfit"] = str(error)
    except PLUGIN_FAULTS as error:
        answer["error"] = in_words(error)
    return transfer.pack(answer, parts)
