"""What class weights, balanced minibatches and label smoothing do for a rare class.

    python benchmarks/training/rare_class.py

Makes a table of 20,000 rows, 1 % of them signal, trains 16 networks with two seeds each in every way, and
prints the mean and the smallest score on the validation and test rows together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwnas_hls.evidence.scoring import real_outputs
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.scores import measure
from hwnas_hls_plugins.estimators.training import TrainingConfig, train

ROWS, SHARE = 20_000, 0.01
METRICS = ("auc", "efficiency_at_fpr", "balanced_accuracy", "f1", "accuracy")


def table() -> Dataset:
    """Ten features, of which five differ between signal and background."""
    rng = np.random.default_rng(11)
    y = (rng.random(ROWS) < SHARE).astype(np.int64)
    x = rng.normal(size=(ROWS, 10))
    x[:, 0] += 1.6 * y
    x[:, 1] = 30 * np.exp(0.5 * x[:, 1] + 0.6 * y)
    x[:, 2] += y * rng.choice([-2, 2], ROWS)
    x[:, 3] = np.abs(x[:, 3]) + 0.8 * y * np.abs(x[:, 0])
    x[:, 5] *= 1 + y
    parts = [Split(x[n::5], y[n::5]) for n in range(5)]
    training = Split(np.concatenate([p.x for p in parts[:3]]), np.concatenate([p.y for p in parts[:3]]))
    features = tuple(f"f{number}" for number in range(10))
    labels = ("background", "signal")
    return Dataset(training, parts[3], parts[4], "classification", labels, features, "made up")


def network(widths: Sequence[int], bits: int) -> Architecture:
    """A chain of dense layers."""
    kind, hidden = FixedType(bits, 1), FixedType(8, 3, False, "RND", "SAT")
    sides = [10, *widths, 2]
    layers = [
        Dense(n_in, n_out, "relu", kind, FixedType(bits + 4, 3), result=hidden, normalisation="batch")
        for n_in, n_out in itertools.pairwise(sides[:-1])
    ]
    layers.append(Dense(sides[-2], 2, "linear", kind, FixedType(bits + 4, 3)))
    return Architecture(FixedType(8, 3), tuple(layers))


def main() -> None:
    data, plain = table(), TrainingConfig(max_rows=0)
    shapes = ([4], [8], [16, 8], [32, 16])
    architectures = [network(widths, bits) for widths in shapes for bits in (2, 3, 4, 6)]
    ways = {
        "no weights": plain,
        "no weights, no smoothing": replace(plain, smoothing=0.0),
        "signal x 10": replace(plain, class_weights={"signal": 10.0}),
        "balanced": replace(plain, class_weights="balanced"),
        "balanced, no smoothing": replace(plain, class_weights="balanced", smoothing=0.0),
        "balanced batches": replace(plain, balanced_batches=True),
    }
    y = np.concatenate([data.validation.y, data.test.y])
    print(f"{'way':26s}" + "".join(f"{name:>26s}" for name in METRICS))
    for way, config in ways.items():
        found = []
        for one in train(architectures, data, seeds=(1, 2), epochs=30, config=config, device="cpu"):
            rows = [real_outputs(one.design, split.x) for split in (data.validation, data.test)]
            outputs = np.concatenate(rows)
            found.append([measure(name, y, outputs, data.scoring)[0] for name in METRICS])
        mean, least = np.mean(found, axis=0), np.min(found, axis=0)
        cells = [f"{a:.3f} (from {b:.3f})" for a, b in zip(mean, least, strict=True)]
        print(f"{way:26s}" + "".join(f"{cell:>26s}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
