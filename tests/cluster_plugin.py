"""A plugin for tests with workers: it logs what runs where, and can be made to wait.

Every line of the log (``CLUSTER_LOG``) is ``what pid begin end keys``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toy import ToySynthesizer, ToyTraining

from hwnas_hls import hookimpl
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Context, Estimator, Paused, Resumable
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates


@contextmanager
def logged(what: str, log: str, keys: Sequence[str]) -> Iterator[None]:
    """Write a line about what was done in between; one write, so that processes do not mix theirs."""
    begin = time.time()
    yield
    if log:
        line = f"{what} {os.getpid()} {begin:.6f} {time.time():.6f} {','.join(keys)}\n"
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def wait_to_be_killed(marker: str) -> None:
    """The first process that comes here writes its number into ``marker`` and stays."""
    if not marker:
        return
    try:
        descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    time.sleep(600)


class RungTraining(ToyTraining, Resumable):
    """The toy training in three stretches; who is halfway scores a little less."""

    name = "rung-training"

    @dataclass(frozen=True)
    class Config(ToyTraining.Config):
        log: str = ""
        marker: str = ""
        die_width: int = -1

    rungs = (0.25, 0.5)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.settings = config

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        going = list(range(len(candidates)))
        states: dict[int, bytes] = {}
        out: dict[int, Estimates] = {}
        for until in (*self.rungs, 1.0):
            reached = self.advance(
                [candidates[p] for p in going], context, [states.get(p) for p in going], until
            )
            scores = {}
            for place, item in zip(going, reached, strict=True):
                if isinstance(item, Paused):
                    states[place], scores[place] = item.state, item.score
                else:
                    out[place] = item
            going = list(scores)
            if until < 1:
                kept = context.keep(going, list(scores.values()), until)
                going = [p for p, stays in zip(going, kept, strict=True) if stays]
        ended = sorted(states)
        concluded = self.conclude([candidates[p] for p in ended], context, [states[p] for p in ended])
        out |= zip(ended, concluded, strict=True)
        return [out[place] for place in range(len(candidates))]

    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        with logged(f"advance-{until:g}", self.settings.log, [candidate.key for candidate in candidates]):
            time.sleep(self.settings.sleep_s)
            wait_to_be_killed(self.settings.marker)
            found: list[Paused | Estimates] = []
            for candidate, state in zip(candidates, states, strict=True):
                if candidate.values["width"] == self.settings.die_width:
                    os._exit(9)
                begun = float(state or b"0")
                assert begun < until
                one = self._one(candidate, context)
                if one.failure:
                    found.append(one)
                    continue
                score = one.values["accuracy"].value * (0.8 + 0.2 * until)
                found.append(Paused(f"{until:g}".encode(), score))
        return found

    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        with logged("conclude", self.settings.log, [candidate.key for candidate in candidates]):
            found = []
            for candidate, state in zip(candidates, states, strict=True):
                one = self._one(candidate, context)
                stopped = "" if state == b"1" else f"stopped at {float(state):.0%}"
                found.append(Estimates(one.values, one.failure, stopped, one.design))
        return found


class WeightReader(Estimator):
    """Dear, and reads the weights: counts those that are not zero."""

    name = "weight-reader"
    provides = ("parameters",)
    version = "1"
    cost = 1.0
    uses_weights = True

    @dataclass(frozen=True)
    class Config:
        log: str = ""

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        from hwnas_hls.values.estimate import measured

        with logged("read", self.config.log, [candidate.key for candidate in candidates]):
            found = []
            for candidate in candidates:
                design = context.designs.get(candidate.key)
                count = -1.0 if design is None else float(sum((w != 0).sum() for w in design.weights))
                found.append(Estimates({"parameters": measured("parameters", count, "trained", "counted")}))
        return found


class SlowSynthesizer(ToySynthesizer):
    """The toy synthesis, with a log, taking its time."""

    name = "slow-synthesis"

    @dataclass(frozen=True)
    class Config(ToySynthesizer.Config):
        log: str = ""
        seconds: float = 0.0

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.settings = config

    def synthesize(self, design: Design, target: object, stage: str) -> SynthesisReport:
        with logged("synthesize", self.settings.log, [design.digest()]):
            time.sleep(self.settings.seconds)
            return super().synthesize(design, target, stage)

    def clocked(self, design: Design, target: Target, rows: NDArray[np.int64] | None = None) -> Design:
        with logged("clocked", self.settings.log, [design.digest()]):
            return replace(design, architecture=replace(design.architecture, clock_ns=3.25))


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    what: str
    pid: int
    begin: float
    end: float
    keys: tuple[str, ...]


def read_log(path: Path) -> list[Line]:
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        what, pid, begin, end, keys = line.split(" ")
        found.append(Line(what, int(pid), float(begin), float(end), tuple(keys.split(","))))
    return found


def workers_of(lines: Iterable[Line]) -> set[int]:
    """Processes that did the work; scores on the test rows are computed in the run's own process."""
    return {line.pid for line in lines if line.what != "read" or line.pid != os.getpid()}


@hookimpl
def hwnas_register_estimators() -> list[type]:
    return [RungTraining, WeightReader]


@hookimpl
def hwnas_register_synthesizers() -> list[type]:
    return [SlowSynthesizer]
