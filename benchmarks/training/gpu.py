"""The same training on the CPU's kernels and on a GPU: steps computed, replayed from graphs, compiled.

    python benchmarks/training/gpu.py --candidates 64 --rows 32768 --batch-size 512 --repeats 5

Sides alternate; figures are medians over the repeats of wall time, in candidates times epochs a second,
and the device is waited for. Making networks, capturing and compiling are part of every side's time,
except for one run of each before the clock starts. Of each side's designs it is said how many are those
of the CPU (in torch's operations), integer by integer: the last bits of gradients differ between devices,
and now and then one takes a weight across a rounding boundary. Graphs are held against steps computed on
the GPU: there every bit must be the same, and the exit code says whether it was.

Needs a GPU that torch finds. The authors had none, and have never seen its figures.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import torch
import torch._dynamo
from throughput import data, mix
from torch import Tensor

from hwnas_hls.errors import UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import Dataset
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.loop import Training
from hwnas_hls_plugins.estimators.training.plan import plan
from hwnas_hls_plugins.estimators.training.schedule import Pace
from hwnas_hls_plugins.estimators.training.step import Step

CPU_TORCH, CPU, EAGER, GRAPHS, COMPILED = (
    "CPU, torch's operations",
    "CPU, compiled kernels",
    "GPU, computed",
    "GPU, CUDA graphs",
    "GPU, torch.compile",
)


@dataclass(frozen=True, slots=True)
class Side:
    """One way to train.

    Args:
        device: where.
        kernels, graphs: see ``TrainingConfig``.
        compiled: hand every step to ``torch.compile``.
    """

    name: str
    device: str
    kernels: str = "auto"
    graphs: str = "off"
    compiled: bool = False


SIDES = (
    Side(CPU_TORCH, "cpu", kernels="torch"),
    Side(CPU, "cpu"),
    Side(EAGER, "cuda"),
    Side(GRAPHS, "cuda", graphs="auto"),
    Side(COMPILED, "cuda", compiled=True),
)


@contextlib.contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Within it, steps go through ``torch.compile``."""
    if not wanted:
        yield
        return
    compiled = torch.compile(Step.compute, dynamic=False)

    def compute(step: Step, inputs: Sequence[Tensor], targets: Tensor, pace: Pace) -> None:
        # As Python's numbers they would be compiled in, and every step would be compiled anew.
        numbers = [
            torch.tensor(number, dtype=torch.float64).to(targets.device)
            for number in (pace.leak, pace.left, pace.size)
        ]
        leak = numbers[0] if pace.leak > 0 else 0.0
        compiled(step, inputs, targets, Pace(pace.momentum, leak, *numbers[1:]))

    torch.compiler.reset()
    with (
        mock.patch.object(Step, "compute", compute),
        torch._dynamo.config.patch(recompile_limit=256, accumulated_recompile_limit=4096),
    ):
        yield


def trained(
    side: Side, networks: Sequence[Architecture], dataset: Dataset, config: TrainingConfig
) -> list[Design]:
    plans = [plan(architecture, str(number), 0) for number, architecture in enumerate(networks)]
    config = replace(config, kernels=side.kernels, graphs=side.graphs)
    with compiling(side.compiled):
        outcomes = Training(plans, dataset, config, 0, side.device).run(
            lambda places, *_: [True] * len(places)
        )
    if side.device == "cuda":
        torch.cuda.synchronize()
    return [outcome.design for outcome in outcomes]


def alike(found: Sequence[Design], others: Sequence[Design]) -> int:
    """How many designs have the same integers."""
    return sum(
        all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for mine, theirs in ((one.weights, other.weights), (one.biases, other.biases))
            for a, b in zip(mine, theirs, strict=True)
        )
        for one, other in zip(found, others, strict=True)
    )


def compare(
    sides: Sequence[Side],
    networks: Sequence[Architecture],
    dataset: Dataset,
    config: TrainingConfig,
    repeats: int,
    say: Callable[[str], None],
) -> bool:
    """Time all sides and say what came of it; whether graphs came to what was computed."""
    designs: dict[str, list[Design]] = {}
    for side in sides:
        # torch.compile fails in many ways; the others go on.
        try:
            designs[side.name] = trained(side, networks, dataset, config)
        except Exception as error:
            say(f"{side.name}: left out ({type(error).__name__}: {str(error).splitlines()[0]})")
    sides = [side for side in sides if side.name in designs]
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            began = time.perf_counter()
            trained(side, networks, dataset, config)
            rates[side.name].append(len(networks) * config.epochs / (time.perf_counter() - began))
    say(f"{len(networks)} networks, {len(dataset.train)} rows, batch {config.batch_size}:")
    say(f"{'':26} {'candidates x epochs / s':>24} {'of the kernels':>15} {'designs as on the CPU':>22}")
    least = statistics.median(rates[CPU]) if CPU in rates else 1.0
    for side in sides:
        middle = statistics.median(rates[side.name])
        same = alike(designs[side.name], designs[CPU_TORCH]) if CPU_TORCH in designs else 0
        say(f"{side.name:26} {middle:24.1f} {middle / least:15.2f} {f'{same} of {len(networks)}':>22}")
    if GRAPHS not in designs or EAGER not in designs:
        return False
    same = alike(designs[GRAPHS], designs[EAGER])
    say(f"CUDA graphs against steps computed on the GPU: {same} of {len(networks)} designs equal")
    return same == len(networks)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--normalisation", choices=("none", "batch", "mixed"), default="mixed")
    options = parser.parse_args(arguments)
    try:
        if not torch.cuda.is_available():
            raise UserError(
                "this benchmark needs a GPU",
                found=f"torch {torch.__version__} finds none",
                remedy="run it where torch.cuda.is_available(); throughput.py measures the CPU",
            )
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    dataset = data(options.rows, options.inputs, 5)
    networks = mix(options.candidates, options.inputs, 5, options.inputs, options.normalisation)
    config = TrainingConfig(
        epochs=options.epochs, batch_size=options.batch_size, max_rows=0, rungs=(), group_candidates=10**6
    )
    return 0 if compare(SIDES, networks, dataset, config, options.repeats, print) else 1


if __name__ == "__main__":
    sys.exit(main())
