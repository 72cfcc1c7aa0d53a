"""A plugin that does what a plugin must not, on demand; its estimator and synthesizer ask for isolation."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas_hls import hookimpl
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, measured

MEMORY_LIMIT_MB = 700
TIME_LIMIT_S = 4.0


def harm(how: str) -> None:
    """Segfault, hang, leave, eat memory, or whatever else ``how`` says."""
    if how == "segfault":
        print("about to fall", file=sys.stderr, flush=True)  # noqa: T201
        time.sleep(0.1)
        ctypes.string_at(0)
    elif how == "hang":
        # The parent's number tells the tests whose child this is.
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(600) or {os.getppid()}"])
        time.sleep(600)
    elif how == "exit":
        sys.exit("I have had enough")
    elif how == "leave":
        os._exit(0)
    elif how == "bomb":
        held = []
        while True:
            held.append(bytearray(50_000_000))
    elif how == "raise":
        raise RuntimeError("no such luck")
    elif how == "babble":
        print("x" * 1_000_000)  # noqa: T201
        os.write(1, b"\n\n\n")


class Harmful(Estimator):
    """LUTs that are twice the bits, unless the width is the one that does harm."""

    name = "harmful"
    provides = ("lut", "latency_ns", "parameters")
    version = "1"
    cost = 1e-6
    isolated = True
    memory_limit_mb = MEMORY_LIMIT_MB
    time_limit_s = TIME_LIMIT_S

    @dataclass(frozen=True)
    class Config:
        how: str = ""
        at_width: int = 3

    def __init__(self, config: Config, task: Any, seed: int) -> None:
        self.config, self.seed, self.task = config, seed, task

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        assert len(context.dataset.test) == 0
        return [self._one(candidate, context) for candidate in candidates]

    def _one(self, candidate: Candidate, context: Context) -> Estimates:
        values: Any = candidate.values
        if values["width"] == self.config.at_width:
            harm(self.config.how)
        lut = float(2 * context.architecture(candidate).layers[0].n_products) / 3
        rows = len(context.dataset.train)
        evidence = f"process {os.getpid()}, seed {context.seed}, {rows} rows"
        return Estimates(
            {
                "lut": Estimate("lut", lut, lut, lut, "predicted", evidence),
                "parameters": Estimate("parameters", lut, 0.0, float("inf"), "predicted", evidence),
                "latency_ns": Estimate("latency_ns", context.clock_ns, 0.0, 10.0, "predicted", evidence),
            },
            design=context.designs.get(candidate.key),
            warnings=("from elsewhere",),
        )


class HarmfulSynthesis(Synthesizer):
    """A synthesizer that falls over."""

    name = "harmful-synthesis"
    default_stage = "logic_synth"
    isolated = True
    memory_limit_mb = MEMORY_LIMIT_MB
    time_limit_s = TIME_LIMIT_S

    @dataclass(frozen=True)
    class Config:
        how: str = ""
        available_how: str = ""

    config: Config

    def available(self, target: Any) -> str:
        harm(self.config.available_how)
        return "" if target.name == "xcvu9p" else "only for the VU9P"

    def clocked(self, design: Design, target: Any, rows: Any = None) -> Design:
        harm(self.config.how)
        return replace(design, architecture=replace(design.architecture, clock_ns=3.25))

    def synthesize(self, design: Design, target: Any, stage: str) -> SynthesisReport:
        harm(self.config.how)
        value = float(abs(design.weights[0]).sum())
        found = {"lut": measured("lut", value, "logic_synthesis", f"process {os.getpid()}")}
        return SynthesisReport("harmful 1", stage, found, {"log": Path("a.log")}, counts={"bits": 3})


@hookimpl
def hwnas_register_estimators() -> list[type]:
    return [Harmful]


@hookimpl
def hwnas_register_synthesizers() -> list[type]:
    return [HarmfulSynthesis]
