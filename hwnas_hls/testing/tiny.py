"""A plugin for tests: a space, a task and a trainer with which a whole search takes about a second.

The ``hwnas`` fixture registers it, so that a run under test may say ``--space tiny --task tiny``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls import hookimpl
from hwnas_hls.errors import Unsupported
from hwnas_hls.evidence.scoring import scored
from hwnas_hls.network import emulator
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.layers import Dense
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Task
from hwnas_hls.testing.samples import MixedSpace, TinySpace, sample_dataset
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates

_RIDGE = 1e-3


class Tiny(TinySpace):
    """Twelve networks with one hidden layer, with the task's inputs and outputs."""

    def __init__(self, task: Dataset) -> None:
        super().__init__(task.n_in, task.n_out)


class Mixed(MixedSpace):
    """Networks with one or two hidden layers; knobs of every kind, some conditional."""

    def __init__(self, task: Dataset) -> None:
        super().__init__(task.n_in, task.n_out)


class TinyTask(Task):
    """Three overlapping clusters in six features."""

    name = "tiny"

    @dataclass(frozen=True, slots=True)
    class Config:
        """Args: rows: of all three splits together."""

        rows: int = 240

    config: Config

    def load(self) -> Dataset:
        return sample_dataset(rows=self.config.rows)


class LeastSquares(Estimator):
    """Random hidden layers and an output layer solved by least squares: accuracy in milliseconds.

    The accuracy is measured on the returned design with the integer emulator; only the training is
    simple. Source: Schmidt, Kraaijveld and Duin, "Feedforward neural networks with random weights",
    ICPR 1992.
    """

    name = "least-squares"
    provides = ("accuracy",)
    version = "1"
    cost = 1e-2
    trains = True

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        if context.dataset.kind != CLASSIFICATION:
            raise Unsupported("least-squares trains classifications only")
        return [self._one(candidate, context) for candidate in candidates]

    def _one(self, candidate: Candidate, context: Context) -> Estimates:
        data = context.dataset
        rng = np.random.default_rng([context.seed, int(candidate.key, 16)])
        design = _trained(context.architecture(candidate), data, rng)
        estimate = scored(
            design,
            data,
            data.validation,
            source="emulated",
            evidence=f"least squares; integer emulation on {len(data.validation)} validation rows",
        )
        return Estimates({"accuracy": estimate}, design=design)


def _trained(architecture: Architecture, data: Dataset, rng: np.random.Generator) -> Design:
    layers = architecture.chain
    mean, scale = data.train.x.mean(axis=0), data.train.x.std(axis=0)
    preprocessing = Preprocessing(mean, np.where(scale > 0, scale, 1.0), data.features)
    weights = [_onto_grid(rng.standard_normal((layer.n_in, layer.n_out)), layer) for layer in layers]
    biases = tuple(None if layer.bias is None else np.zeros(layer.n_out, np.int64) for layer in layers)
    features = preprocessing(data.train.x)
    if len(layers) > 1:
        body = Architecture(architecture.input, layers[:-1], architecture.clock_ns)
        hidden = Design(body, tuple(weights[:-1]), biases[:-1], preprocessing)
        features = emulator.outputs(hidden, data.train.x)
    wanted = 2.0 * np.eye(data.n_out)[data.train.y] - 1.0
    normal = features.T @ features + _RIDGE * len(features) * np.eye(features.shape[1])
    # The class is the largest output, so a common factor does not matter.
    weights[-1] = _onto_grid(np.linalg.solve(normal, features.T @ wanted), layers[-1])
    return Design(architecture, tuple(weights), biases, preprocessing, data.labels)


def _onto_grid(values: NDArray[np.float64], layer: Dense) -> NDArray[np.int64]:
    """Scale values so the largest one becomes the largest integer of the weight type, and round."""
    largest = float(np.abs(values).max()) or 1.0
    whole = np.rint(values / largest * layer.weight.highest)
    return np.clip(whole, layer.weight.lowest, layer.weight.highest).astype(np.int64)


@hookimpl
def hwnas_register_spaces() -> list[type]:
    """The spaces of the tests."""
    return [Tiny, Mixed]


@hookimpl
def hwnas_register_tasks() -> list[type]:
    """The task of the tests."""
    return [TinyTask]


@hookimpl
def hwnas_register_estimators() -> list[type]:
    """An estimator that trains by least squares."""
    return [LeastSquares]
