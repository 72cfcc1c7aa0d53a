"""What the time of a training goes to, and what a core could do at most.

    python benchmarks/training/shares.py --batch-sizes 128 512 2048 --normalisation mixed

Trains the mix of ``throughput.py`` with the compiled kernels and takes the processor time of each of
their functions; the rest is Python: making the networks, the calls, rounding designs, scoring. Shares are
medians over the repeats. Operations are those of the products alone (forward, gradients of weights, and of
inputs but for first layers); the functions do more than products, so that the rates are lower bounds. The
core's own rate is the best of torch's products of large square matrices, single precision, one thread.
"""

from __future__ import annotations

import argparse
import collections
import statistics
import time
from collections.abc import Callable, Sequence
from ctypes import CDLL
from typing import Any
from unittest import mock

import torch
from throughput import batched, data, mix

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.task import Dataset
from hwnas_hls_plugins.estimators.training import TrainingConfig, native, rows
from hwnas_hls_plugins.estimators.training.kernels import required

FUNCTIONS = ("forward", "backward", "update", "quantise", "cross_entropy", "gather")
Task = tuple[Dataset, list[Architecture]]


class Watched:
    """The compiled kernels with a clock."""

    def __init__(self, kernels: CDLL) -> None:
        self._kernels = kernels
        self.spent = collections.Counter[str]()

    def __getattr__(self, name: str) -> Callable[..., None]:
        function = getattr(self._kernels, name)

        def watched(*arguments: Any) -> None:
            began = time.thread_time_ns()
            function(*arguments)
            self.spent[name] += time.thread_time_ns() - began

        return watched


def spent(tasks: Sequence[Task], config: TrainingConfig) -> dict[str, float]:
    """Seconds of processor time of each function, and of everything else."""
    kernels = Watched(required())
    with (
        mock.patch.object(native, "required", return_value=kernels),
        mock.patch.object(rows, "library", return_value=kernels),
    ):
        began = time.process_time_ns()
        for dataset, networks in tasks:
            batched(networks, dataset, config)
        whole = time.process_time_ns() - began
    found = {name: kernels.spent[name] / 1e9 for name in FUNCTIONS}
    return {**found, "Python": whole / 1e9 - sum(found.values())}


def operations(networks: Sequence[Architecture]) -> tuple[float, float]:
    """Floating-point operations of a row's products, forward and backward, of all networks."""
    forward = sum(2.0 * layer.n_products for network in networks for layer in network.chain)
    first = sum(2.0 * network.chain[0].n_products for network in networks)
    return forward, 2 * forward - first


def core_rate(side: int = 1024, repeats: int = 10) -> float:
    """GFLOP/s of one thread at large products."""
    a, b = torch.ones(side, side), torch.ones(side, side)
    out = torch.empty(side, side)
    best = 0.0
    for _ in range(repeats):
        began = time.thread_time_ns()
        torch.mm(a, b, out=out)
        best = max(best, 2.0 * side**3 / (time.thread_time_ns() - began))
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--inputs", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--outputs", type=int, default=5)
    parser.add_argument("--normalisation", choices=("none", "batch", "mixed"), default="mixed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    tasks = [
        (
            data(options.rows, n_in, options.outputs),
            mix(options.candidates, n_in, options.outputs, n_in, options.normalisation),
        )
        for n_in in options.inputs
    ]
    every = [network for _, networks in tasks for network in networks]
    forward, backward = operations(every)
    print(f"{len(every)} networks; the core: {core_rate():.0f} GFLOP/s in large products")
    print(
        "| batch | us a candidate and step | "
        + " | ".join((*FUNCTIONS, "Python"))
        + " | forward, GFLOP/s | backward, GFLOP/s |"
    )
    print("|--:" * (len(FUNCTIONS) + 5) + "|")
    for size in options.batch_sizes:
        config = TrainingConfig(epochs=options.epochs, batch_size=size, max_rows=0, rungs=())
        seen = [spent(tasks, config) for _ in range(options.repeats)]
        wholes = [sum(found.values()) for found in seen]
        middle = {
            name: statistics.median(found[name] / whole for found, whole in zip(seen, wholes, strict=True))
            for name in seen[0]
        }
        steps = options.rows // size * options.epochs
        trained = steps * size / 1e9
        rates = [
            statistics.median(work * trained / found[name] for found in seen)
            for name, work in (("forward", forward), ("backward", backward))
        ]
        each = statistics.median(wholes) / steps / len(every) * 1e6
        shares = " | ".join(f"{share:.1%}" for share in middle.values())
        print(f"| {size} | {each:.0f} | {shares} | {rates[0]:.0f} | {rates[1]:.0f} |")
    print(f"after: {core_rate():.0f} GFLOP/s in large products")


if __name__ == "__main__":
    main()
