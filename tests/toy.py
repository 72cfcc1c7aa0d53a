"""A stranger's plugin in one module: a space, a strategy, estimators and a task without torch.

Its "accuracy" is a smooth function of the architecture, so searches take milliseconds.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls import hookimpl
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.space import Knob, KnobSpace
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.task import Dataset, Split, Task
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, measured

#: The tables of a run of this plugin.
SPEC: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "run": {
        "trials": 60,
        "batch": 20,
        "estimators": ["toy-cost", "toy-training"],
        "exporters": [],
    },
    "task": {"name": "toy-task"},
    "space": {"name": "toy"},
    "strategy": {"name": "toy-random"},
    "objectives": {"metrics": ["accuracy", "lut", "latency_ns"]},
    "export": {"members": 4, "csim": False, "floor": 0.0, "baselines": False},
}


def toy_registry() -> Registry:
    """A registry with this plugin and nothing else."""
    registry = Registry(entry_points=[])
    registry.register(sys.modules[__name__], "toy")
    return registry


class ToySpace(KnobSpace):
    """One hidden layer: width and weight bits."""

    name = "toy"

    @dataclass(frozen=True)
    class Config:
        max_width: int = 64

    def __init__(self, config: Config, task: Dataset) -> None:
        self.knobs = (
            Knob.integer("width", 1, config.max_width),
            Knob("bits", (2, 3, 4, 6, 8)),
            Knob("layers", (1, 2)),
            Knob("activation", ("relu", "linear"), ordered=False, active_if=("layers", (2,))),
        )
        self.n_in, self.n_out = task.n_in, task.n_out

    def architecture(self, candidate: Candidate) -> Architecture:
        values: Any = candidate.values
        weight, io = FixedType(values["bits"], 2), FixedType(8, 3)
        activation = values.get("activation", "relu")
        widths = [self.n_in, *[values["width"]] * (values["layers"] - 1), self.n_out]
        layers = [
            Dense(n_in, n_out, activation if n_out != self.n_out else "linear", weight, None)
            for n_in, n_out in itertools.pairwise(widths)
        ]
        return Architecture(io, tuple(layers))


class ToyCost(Estimator):
    """LUT and latency from the shape."""

    name = "toy-cost"
    provides = ("lut", "latency_ns", "dsp")
    version = "1"
    cost = 1e-6

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        found = []
        for candidate in candidates:
            architecture = context.architecture(candidate)
            lut = float(sum(layer.n_products * layer.weight.width for layer in architecture.layers))
            latency = context.clock_ns * 2 * len(architecture.layers)
            values = {"lut": (lut, 0.9 * lut, 1.1 * lut), "latency_ns": (latency,) * 3, "dsp": (0.0,) * 3}
            found.append(
                Estimates({n: Estimate(n, *v, "predicted", "toy formula") for n, v in values.items()})
            )
        return found


class ToyTraining(Estimator):
    """Accuracy from size, saturating; designs with seeded random weights that tell the clouds apart."""

    name = "toy-training"
    provides = ("accuracy",)
    version = "1"
    cost = 1.0
    trains = True

    @dataclass(frozen=True)
    class Config:
        fail_width: int = -1
        raise_width: int = -1
        sleep_s: float = 0.0

    config: Config

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        time.sleep(self.config.sleep_s)
        if "TOY_CALLS" in os.environ:
            with Path(os.environ["TOY_CALLS"]).open("a") as calls:
                calls.write("".join(f"{candidate.key}\n" for candidate in candidates))
        return [self._one(candidate, context) for candidate in candidates]

    def _one(self, candidate: Candidate, context: Context) -> Estimates:
        values: Any = candidate.values
        if values["width"] == self.config.raise_width:
            raise RuntimeError("this width breaks the trainer")
        if values["width"] == self.config.fail_width:
            return Estimates(failure="loss is not a number")
        architecture = context.architecture(candidate)
        size = sum(layer.n_products for layer in architecture.layers) * values["bits"] ** 0.5
        accuracy = 1 - 1 / (1 + size / 200) - 0.1 * (values.get("activation") == "linear")
        rng = np.random.default_rng([context.seed, int(candidate.key, 16)])
        weights = [
            rng.integers(1, layer.weight.highest + 1, (layer.n_in, layer.n_out))
            for layer in architecture.layers
        ]
        # The sum of the features tells the clouds apart: the second output grows with it, the first falls.
        weights[-1] = weights[-1] * np.array([-1, *[1] * (architecture.layers[-1].n_out - 1)])
        design = Design(architecture, tuple(weights), (None,) * len(weights), labels=context.dataset.labels)
        estimate = Estimate("accuracy", accuracy, accuracy - 0.01, accuracy + 0.01, "emulated", "toy formula")
        return Estimates({"accuracy": estimate}, design=design)


class ToyStrategy(Strategy):
    """Draws at random; its whole memory is in its state."""

    name = "toy-random"

    def __init__(self, space: ToySpace, seed: int) -> None:
        self.space, self.seed, self.asked = space, seed, 0

    def ask(self, n: int) -> list[Candidate]:
        rng = np.random.default_rng([self.seed, self.asked])
        self.asked += 1
        return [self.space.sample(rng) for _ in range(n)]

    def tell(self, records: Sequence[object]) -> None: ...

    def state(self) -> int:
        return self.asked

    def restore(self, state: int) -> None:
        self.asked = state


class ToySynthesizer(Synthesizer):
    """Real hardware is smaller than the toy formula says, by a factor with a little noise."""

    name = "toy-synthesis"
    default_stage = "logic_synth"

    @dataclass(frozen=True)
    class Config:
        factor: float = 0.5
        fail_every: int = 0
        raises: bool = False
        missing: str = ""

    config: Config

    def available(self, target: object) -> str:
        return self.config.missing

    def synthesize(self, design: Design, target: object, stage: str) -> SynthesisReport:
        if "TOY_CALLS" in os.environ:
            with Path(os.environ["TOY_CALLS"] + ".synthesis").open("a") as calls:
                calls.write(f"{design.digest()}\n")
        if self.config.raises:
            raise RuntimeError("the tool fell over")
        noise = int(design.digest(), 16)
        if self.config.fail_every and noise % self.config.fail_every == 0:
            return SynthesisReport("toy 1", stage, failure="out of registers")
        lut = sum(layer.n_products * layer.weight.width for layer in design.architecture.layers)
        value = lut * self.config.factor * (1 + 0.02 * (noise % 1000) / 1000)
        return SynthesisReport(
            "toy 1", stage, {"lut": measured("lut", value, "logic_synthesis", "toy report")}
        )


class ToyTask(Task):
    """Two Gaussian clouds."""

    name = "toy-task"

    @dataclass(frozen=True)
    class Config:
        n_in: int = 6

    config: Config

    def load(self) -> Dataset:
        rng = np.random.default_rng(0)
        y = np.arange(120) % 2
        x = rng.normal(size=(120, self.config.n_in)) + y[:, None]
        splits = [Split(x[part::3], y[part::3]) for part in range(3)]
        features = tuple(f"f{number}" for number in range(self.config.n_in))
        return Dataset(*splits, "classification", ("no", "yes"), features, "two Gaussian clouds")


@hookimpl
def hwnas_register_spaces() -> list[type]:
    return [ToySpace]


@hookimpl
def hwnas_register_estimators() -> list[type]:
    return [ToyCost, ToyTraining]


@hookimpl
def hwnas_register_strategies() -> list[type]:
    return [ToyStrategy]


@hookimpl
def hwnas_register_tasks() -> list[type]:
    return [ToyTask]


@hookimpl
def hwnas_register_synthesizers() -> list[type]:
    return [ToySynthesizer]
