"""Training under torch's fake tensors on a device that is not the CPU; run as a script of its own.

A process in which torch has registered such a device keeps it. Fake tensors have shapes and devices, but no
values: an operation on tensors of two devices is an error, and so is one that needs a value. Writes, as
JSON, how many copies between devices there were, by the kind of networks and by what the training was at.
All kinds in one process, since importing this part of torch takes longer than the training.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import test_graph_training as graphs
import test_training_exact as chains
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from hwnas_hls.network.architecture import Architecture, Conv2D, Dense
from hwnas_hls.protocols.task import Dataset
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.loop import Training
from hwnas_hls_plugins.estimators.training.routing import planned
from hwnas_hls_plugins.estimators.training.step import Step

GPU = "gpu"


class Fake(FakeTensorMode):
    """Makes a device's tensors of numbers on the CPU first: there is no device."""

    avoid_device_init = True


class Crossings(TorchDispatchMode):
    """Counts copies from one device to another.

    Attributes:
        at: what the training is at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at, self.found = "start", Counter[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [item for item in pytree.tree_leaves((args, kwargs, out)) if isinstance(item, torch.Tensor)]
        if len({tensor.device.type for tensor in tensors}) > 1:
            self.found[f"{self.at}: {func}"] += 1
        return out


def named(crossings: Crossings, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before, crossings.at = crossings.at, name
        try:
            return function(*args, **kwargs)
        finally:
            crossings.at = before

    return wrapped


def networks(kind: str) -> tuple[list[Architecture], Dataset]:
    """Some networks of one kind, all that they can have among them, and rows for them."""
    rng = np.random.default_rng(11)
    if kind in ("chains", "odd chains"):
        dataset = chains.toy(kind="regression" if kind == "odd chains" else "classification")
        plain = kind == "chains"
        found = [chains.random_architecture(rng, plain=plain, dataset=dataset) for _ in range(4)]
        return [with_dropout(item) if place % 2 else item for place, item in enumerate(found)], dataset
    draw, n_in = {
        "vectors": (graphs.vector_graph, 6),
        "images": (graphs.image_graph, graphs.HEIGHT * graphs.WIDTH * graphs.CHANNELS),
    }[kind.removeprefix("odd ")]
    found = [draw(rng, not kind.startswith("odd ")) for _ in range(3)]
    return [with_dropout(item) if place % 2 else item for place, item in enumerate(found)], graphs.toy(n_in)


def with_dropout(architecture: Architecture) -> Architecture:
    layers = [
        replace(layer, dropout=0.3) if isinstance(layer, Dense | Conv2D) else layer
        for layer in architecture.layers[:-1]
    ]
    return replace(architecture, layers=(*layers, architecture.layers[-1]))


def crossings_of(kind: str, crossings: Crossings) -> dict[str, Any]:
    """Train the networks of one kind; the groups there were, and the copies between devices."""
    architectures, dataset = networks(kind)
    plans = [
        planned(architecture, str(number), 0, regression=dataset.kind != "classification")
        for number, architecture in enumerate(architectures)
    ]
    config = TrainingConfig(epochs=2, batch_size=80, rungs=(), kernels="torch", group_elements=10**6)
    crossings.at, crossings.found = "start", Counter()
    with Fake(), torch.no_grad(), crossings:
        training = Training(plans, dataset, config, 0, f"{GPU}:0")
        for member in training.members:
            member.start(training.dtype)
        alive, steps = training.members, 0
        # Half of them go after the first epoch; what is left makes smaller groups.
        for epoch in (0, 1):
            for network in training.stretch(alive, epoch, epoch + 1):
                assert network.logits.device.type == GPU
                crossings.at = "answers"
                for _ in training.answers(network, training.validation):
                    pass
                crossings.at = "save"
                network.save_members()
                crossings.at = "between"
                steps += 1
            alive = alive[::2]
        for tensor in (piece for member in training.members for piece in member.latent):
            assert tensor.device.type == "cpu"
    return {"groups": steps, "crossings": crossings.found}


def main() -> None:
    _setup_privateuseone_for_python_backend(GPU)
    crossings = Crossings()
    Step.compute = named(crossings, "step", Step.compute)  # type: ignore[method-assign]
    Step.take = named(crossings, "draw", Step.take)  # type: ignore[method-assign]
    found = {}
    for kind in sys.argv[1:]:
        try:
            found[kind] = crossings_of(kind, crossings)
        except Exception:
            found[kind] = {"error": traceback.format_exc()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
