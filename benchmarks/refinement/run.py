"""Refinement of single weights: how much smaller at which accuracy, and how long a sweep takes.

``python benchmarks/refinement/run.py [--rows 1200] [--seeds 1 2] [--output TABLE.md]``

Networks of six shapes are trained quantisation-aware on ten synthetic classes (scikit-learn's
``make_classification``, 16 inputs), then refined on the training rows at every price of the ladder. Accuracy
is that of the integer emulator on 20,000 rows that nobody saw; cost is da4ml's own.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.refinement import PRICES, ladder
from hwnas_hls_plugins.estimators.training import TrainingConfig, train
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION

TEST_ROWS = 20_000
SHAPES = (((8,), 4, 4), ((16,), 4, 5), ((32,), 3, 4), ((32,), 5, 6), ((24, 16), 4, 4), ((32, 24), 4, 5))


def dataset(seed: int, rows: int) -> Dataset:
    from sklearn.datasets import make_classification

    validation = rows // 4
    count = rows + validation + TEST_ROWS
    x, y = make_classification(
        *(count, 16),
        n_informative=10,
        n_redundant=2,
        n_classes=10,
        n_clusters_per_class=1,
        class_sep=1.6,
        random_state=seed,
    )
    ends = (0, rows, rows + validation, count)
    train_rows, held, test = (
        Split(x[start:end], y[start:end].astype(np.int64)) for start, end in itertools.pairwise(ends)
    )
    names = tuple(f"feature {place}" for place in range(16))
    return Dataset(train_rows, held, test, "classification", tuple("abcdefghij"), names, "synthetic")


def architecture(hidden: Sequence[int], weight_bits: int, value_bits: int) -> Architecture:
    sides = (16, *hidden, 10)
    layers = []
    for place, (n_in, n_out) in enumerate(itertools.pairwise(sides)):
        last = place == len(sides) - 2
        layers.append(
            Dense(
                n_in,
                n_out,
                "linear" if last else "relu",
                FixedType(weight_bits, 1),
                FixedType(weight_bits + 4, 3),
                None,
                None if last else FixedType.parse(f"ufixed<{value_bits},2,RND,SAT>"),
                strategy="distributed_arithmetic",
                normalisation="none" if last else "batch",
            )
        )
    return Architecture(FixedType(6, 3), tuple(layers), 5.0)


def accuracy(design: Design, split: Split) -> float:
    return float((emulate(design, input_integers(design, split.x)).argmax(axis=1) == split.y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--seeds", type=int, nargs="*", default=(1, 2))
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sys.setrecursionlimit(RECURSION)
    found: dict[float, list[tuple[float, float]]] = {price: [] for price in (0.0, *PRICES)}
    seconds = []
    for seed in options.seeds:
        data = dataset(seed, options.rows)
        architectures = [architecture(*shape) for shape in SHAPES]
        for trained in train(architectures, data, epochs=options.epochs, config=TrainingConfig()):
            design = getattr(trained, "design", trained)
            rows = input_integers(design, data.train.x)
            began = time.process_time()
            stops = ladder(design, rows, data.train.y, PRICES)
            seconds.append((time.process_time() - began) / len(PRICES))
            before = cost(design, 5.0, None).cost_lut, accuracy(design, data.test)
            found[0.0].append((1.0, 0.0))
            for stop in stops:
                share = cost(stop.design, 5.0, None).cost_lut / before[0]
                found[stop.price].append((share, accuracy(stop.design, data.test) - before[1]))
    lines = ["| price, loss a LUT | da4ml's cost over that before | test accuracy gained, points |"]
    lines.append("| --- | --- | --- |")
    for price, pairs in found.items():
        share = statistics.geometric_mean(pair[0] for pair in pairs)
        gains = [100 * pair[1] for pair in pairs]
        gained = f"{statistics.mean(gains):+.2f} ({min(gains):+.2f} to {max(gains):+.2f})"
        lines.append(f"| {price:g} | {share:.3f} | {gained} |")
    took = f"{statistics.median(seconds) * 1e3:.0f} ms of CPU a price in the median"
    most = f"{max(seconds) * 1e3:.0f} ms at most"
    lines += ["", f"{len(seconds)} networks, {options.rows} rows: {took}, {most}"]
    print("\n".join(lines))
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
