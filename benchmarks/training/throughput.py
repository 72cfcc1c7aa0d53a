"""Training throughput: many candidates at once against one torch model at a time.

Both sides train the same mix of networks (16 to 64 inputs, widths 4 to 128, 1 to 6 layers, weights,
inputs and activations of 2 to 16 bits) on the same rows, with the same fixed-point arithmetic, Adam,
schedule and batch size, in one process with one thread; further processes multiply either side alike.
The two sides alternate; the figures are medians over the repeats, in candidates times epochs a second.

    python benchmarks/training/throughput.py --candidates 24 --rows 8192 --repeats 3

``--clock cpu`` (the default) counts processor seconds, which a busy machine distorts less.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.emulator import emulate, input_integers
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.loop import Training
from hwnas_hls_plugins.estimators.training.plan import plan
from hwnas_hls_plugins.estimators.training.rows import InputKind, quantised

WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def mix(count: int, n_in: int, n_out: int, seed: int, normalisation: str) -> list[Architecture]:
    """The networks of a search in its first, random phase; ``mixed`` normalises every second one."""
    rng = np.random.default_rng(seed)
    found = []
    for place in range(count):
        kind = ("none", "batch")[place % 2] if normalisation == "mixed" else normalisation
        depth = int(rng.integers(1, 7))
        widths = [int(width) for width in rng.choice(WIDTHS, depth - 1)]
        layers, before = [], n_in
        for number, width in enumerate([*widths, n_out]):
            bits, last = int(rng.integers(2, 17)), number == depth - 1
            result = None if last else FixedType(int(rng.integers(2, 17)), 2, False, "RND", "SAT")
            layers.append(
                Dense(
                    before,
                    width,
                    "linear" if last else "relu",
                    FixedType(bits, 1),
                    FixedType(bits + 4, 4),
                    result=result,
                    normalisation="none" if last else kind,
                )
            )
            before = width
        found.append(Architecture(FixedType(int(rng.integers(4, 17)), 3), tuple(layers)))
    return found


def data(rows: int, n_in: int, n_out: int) -> Dataset:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(n_out, n_in))
    splits = []
    for size in (rows, 512, 8):
        y = rng.integers(n_out, size=size)
        splits.append(Split(centres[y] + rng.normal(size=(size, n_in)), y))
    features = tuple(f"f{number}" for number in range(n_in))
    return Dataset(*splits, "classification", tuple(map(str, range(n_out))), features, "clusters")


class Rounded(torch.autograd.Function):
    """``clamp(floor(x * scale + 0.5), low, high) / scale`` with a straight-through gradient."""

    @staticmethod
    def forward(ctx, values: Tensor, scale: float, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def, override]
        counted = values.mul(scale).add_(0.5).floor_()
        whole = counted.clamp(low, high)
        ctx.save_for_backward(whole == counted)
        return whole.mul_(1 / scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[no-untyped-def, override]
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None


class Plain(nn.Module):
    """One network, as one writes it: quantised linear layers, quantised ReLUs."""

    def __init__(self, architecture: Architecture, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.architecture = architecture
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.norms = nn.ModuleList()
        for layer in architecture.layers:
            spread = math.sqrt(2 / layer.n_in)
            self.weights.append(
                nn.Parameter(torch.randn(layer.n_out, layer.n_in, generator=generator) * spread)
            )
            self.biases.append(nn.Parameter(torch.zeros(layer.n_out)))
            batch = layer.normalisation == "batch"
            self.norms.append(nn.BatchNorm1d(layer.n_out) if batch else nn.Identity())

    def forward(self, values: Tensor) -> Tensor:
        layers = self.architecture.layers
        for layer, weight, bias, norm in zip(layers, self.weights, self.biases, self.norms, strict=True):
            kind, bias_kind = layer.weight, layer.bias
            whole = Rounded.apply(weight, 2.0**kind.fraction, kind.lowest, kind.highest)
            shift = None
            if bias_kind is not None:
                shift = Rounded.apply(bias, 2.0**bias_kind.fraction, bias_kind.lowest, bias_kind.highest)
            values = norm(nn.functional.linear(values, whole, shift))
            if layer.activation == "relu":
                values = nn.functional.relu(values)
            if layer.result is not None:
                result = layer.result
                values = Rounded.apply(values, 2.0**result.fraction, result.lowest, result.highest)
        return values


def plain_loop(
    architectures: list[Architecture], dataset: Dataset, config: TrainingConfig, adam: dict[str, bool]
) -> list[Plain]:
    """One model after another; everything that can be done once for all models is done once."""
    trained = []
    mean, scale = dataset.standardisation
    rows = torch.as_tensor((dataset.train.x - mean) / scale, dtype=torch.float32)
    targets = torch.as_tensor(dataset.train.y)
    batch = min(config.batch_size, len(rows))
    steps = len(rows) // batch
    total = steps * config.epochs
    for architecture in architectures:
        kind = architecture.input
        inputs = torch.clamp(torch.floor(rows * 2.0**kind.fraction + 0.5), kind.lowest, kind.highest)
        inputs = inputs * 2.0**-kind.fraction
        model = Plain(architecture, 0)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99), **adam)
        done = 0
        for epoch in range(config.epochs):
            order = torch.as_tensor(np.random.default_rng([0, epoch]).permutation(len(rows)))
            shuffled, shuffled_targets = inputs[order], targets[order]
            for step in range(steps):
                part = slice(step * batch, (step + 1) * batch)
                loss = nn.functional.cross_entropy(model(shuffled[part]), shuffled_targets[part])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                done += 1
                optimiser.param_groups[0]["lr"] = 1e-2 * 0.5 * (1 + math.cos(math.pi * done / total))
                optimiser.step()
        trained.append(model)
    return trained


def batched(architectures: list[Architecture], dataset: Dataset, config: TrainingConfig) -> None:
    plans = [plan(architecture, str(number), 0) for number, architecture in enumerate(architectures)]
    Training(plans, dataset, config, 0, "cpu").run(lambda indices, scores, progress: [True] * len(indices))


def check_same_arithmetic(architectures: list[Architecture], dataset: Dataset) -> None:
    """The plain model, given a trained design's integers, answers as the emulator does."""
    config = TrainingConfig(epochs=1, batch_size=128)
    plans = [plan(architecture, str(number), 0) for number, architecture in enumerate(architectures)]
    outcomes = Training(plans, dataset, config, 0, "cpu").run(lambda indices, *_: [True] * len(indices))
    for outcome in outcomes:
        design = outcome.design
        model = Plain(design.architecture, 0).double().eval()
        with torch.no_grad():
            for number, layer in enumerate(design.architecture.layers):
                weight, bias = design.weights[number], design.biases[number]
                assert bias is not None
                assert layer.bias is not None
                model.weights[number].copy_(torch.as_tensor(weight.T * 2.0**-layer.weight.fraction))
                model.biases[number].copy_(torch.as_tensor(bias * 2.0**-layer.bias.fraction))
                model.norms[number] = nn.Identity()
            assert design.preprocessing is not None
            kind = design.architecture.input
            features = torch.as_tensor(design.preprocessing(dataset.validation.x).T)
            rows = quantised(features, InputKind(kind, design.features), torch.float64)[:-1].T
            answers = model(rows * 2.0**-kind.fraction).numpy()
        integers = emulate(design, input_integers(design, dataset.validation.x))
        fraction = design.layer_types()[-1][2].fraction
        np.testing.assert_array_equal(answers, integers * 2.0**-fraction)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--inputs", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--outputs", type=int, default=5)
    parser.add_argument("--normalisation", choices=("none", "batch", "mixed"), default="none")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--kernels", choices=("auto", "native", "torch"), default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    clock: Callable[[], float] = time.process_time if options.clock == "cpu" else time.perf_counter
    tasks = []
    for n_in in options.inputs:
        dataset = data(options.rows, n_in, options.outputs)
        networks = mix(options.candidates, n_in, options.outputs, n_in, options.normalisation)
        if options.normalisation == "none":
            check_same_arithmetic(networks[:6], dataset)
        tasks.append((dataset, networks))
    products = statistics.mean(sum(layer.n_products for layer in a.layers) for _, n in tasks for a in n)
    table = [
        {"batch": size, **compare(tasks, size, options.epochs, options.repeats, clock, options.kernels)}
        for size in options.batch_sizes
    ]
    for row in table:
        row["gflops"] = row["batched"] * 6 * products * options.rows / 1e9
    if options.json:
        print(json.dumps({"products": products, "rows": options.rows, "table": table}))
        return
    count = len(tasks) * options.candidates
    print(f"{count} networks of {products:.0f} products, {options.rows} rows; candidates x epochs / s:")
    print(f"{'batch':>6} {'plain':>8} {'batched':>8} {'ratio':>6} {'batched GFLOP/s':>16}")
    for row in table:
        numbers = f"{row['plain']:8.2f} {row['batched']:8.2f} {row['ratio']:6.1f} {row['gflops']:16.1f}"
        print(f"{row['batch']:6d} {numbers}")


def compare(
    tasks: list[tuple[Dataset, list[Architecture]]],
    batch_size: int,
    epochs: int,
    repeats: int,
    clock: Callable[[], float],
    kernels: str = "auto",
) -> dict[str, float]:
    """Medians of both sides, in candidates times epochs a second, and of their ratio."""
    config = TrainingConfig(epochs=epochs, batch_size=batch_size, max_rows=0, rungs=(), kernels=kernels)
    adam = quickest_adam(tasks[0], config, clock)
    count = sum(len(networks) for _, networks in tasks) * epochs
    plain, fast = [], []
    for _ in range(repeats):
        began = clock()
        for dataset, networks in tasks:
            plain_loop(networks, dataset, config, adam)
        between = clock()
        for dataset, networks in tasks:
            batched(networks, dataset, config)
        plain.append(count / (between - began))
        fast.append(count / (clock() - between))
    ratio = statistics.median(b / a for a, b in zip(plain, fast, strict=True))
    return {"plain": statistics.median(plain), "batched": statistics.median(fast), "ratio": ratio}


def quickest_adam(
    task: tuple[Dataset, list[Architecture]], config: TrainingConfig, clock: Callable[[], float]
) -> dict[str, bool]:
    """The plain side gets the fastest of torch's Adams on this machine."""
    dataset, networks = task
    timed = []
    for adam in ({"fused": True}, {"foreach": True}, {"foreach": False}):
        began = clock()
        plain_loop(networks[:4], dataset, config, adam)
        timed.append((clock() - began, adam))
    return min(timed, key=lambda pair: pair[0])[1]


if __name__ == "__main__":
    main()
