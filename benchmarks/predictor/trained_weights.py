"""Train many small networks with the project's own trainer and keep their integer weights.

    python benchmarks/predictor/trained_weights.py WEIGHTS.npz [--networks 70] [--seed 0]

``fit_prior.py`` learns from this file what the weights of a layer cost that nobody has trained yet. Three
tasks (handwritten digits from 16 and from 64 inputs, and a random teacher of 16 inputs and 5 classes), three
strengths of weight decay, 2 to 16 bits, unpruned and pruned to a half, a quarter and a tenth; a third of the
networks lose signed digits one by one instead, as per-weight quantisation does. Nothing is downloaded; the
same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.loop import Training
from hwnas_hls_plugins.estimators.training.plan import plan
from hwnas_hls_plugins.tasks.digits import Digits16Task, DigitsConfig, DigitsTask

WIDTHS = (8, 16, 24, 32, 64)
BITS = (2, 3, 4, 5, 6, 6, 7, 8, 8, 10, 12, 16)
DECAYS = (0.0, 0.04, 0.12)
SPARSITIES = (0.0, 0.0, 0.0, 0.5, 0.75, 0.9)
#: Shares of the signed digits that are left of a network that loses them one by one.
KEPT = (0.5, 0.25, 0.12)


def teacher(rows: int, seed: int) -> Dataset:
    """Classes that a random network of 32 neurons tells apart, a tenth of the labels wrong."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(16, 32)) / 4.0, rng.normal(size=(32, 5))
    splits = []
    for size in (rows, 1024, 1024):
        x = rng.normal(size=(size, 16))
        y = np.argmax(np.maximum(x @ first, 0.0) @ second, axis=1)
        wrong = rng.random(size) < 0.1
        y[wrong] = rng.integers(5, size=int(wrong.sum()))
        splits.append(Split(x, y.astype(np.int64)))
    names = tuple(f"f{number}" for number in range(16))
    return Dataset(*splits, CLASSIFICATION, tuple("abcde"), names, "random teacher")


def drawn(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Architecture, str, tuple[float, ...]]:
    """An architecture, how it is trained, and the shares of its digits at which it is kept."""
    depth = int(rng.integers(2, 5))
    widths = [int(width) for width in rng.choice(WIDTHS, depth - 1)]
    bits = int(rng.choice(BITS))
    integer = int(rng.choice((1, 1, 2))) if bits < 12 else int(rng.choice((1, 2, 6)))
    thinned = bool(rng.random() < 1 / 3) and bits >= 4
    sparsity = 0.0 if thinned else float(rng.choice(SPARSITIES))
    result = FixedType(max(4, min(16, bits + 2)), 3, False, "RND", "SAT")
    layers, before = [], n_in
    for number, width in enumerate([*widths, n_out]):
        last = number == depth - 1
        layers.append(
            Dense(
                before,
                width,
                "linear" if last else "relu",
                FixedType(bits, min(integer, bits)),
                FixedType(16, 6),
                result=None if last else result,
                sparsity=sparsity,
            )
        )
        before = width
    way = "thinned" if thinned else "pruned" if sparsity else "plain"
    return Architecture(FixedType(16, 6), tuple(layers)), way, (1.0, *KEPT) if thinned else (1.0,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--networks", type=int, default=70, help="of each task and strength of decay")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    arrays: dict[str, np.ndarray] = {}
    facts: list[dict[str, object]] = []
    began = time.process_time()
    tasks = (
        teacher(4096, asked.seed),
        DigitsTask(DigitsConfig()).load(),
        Digits16Task(DigitsConfig()).load(),
    )
    networks = 0
    for task, dataset in enumerate(tasks):
        for place, decay in enumerate(DECAYS):
            rng = np.random.default_rng([asked.seed, task, place])
            made = [drawn(rng, dataset.train.x.shape[1], dataset.n_out) for _ in range(asked.networks)]
            plans = [plan(network, str(number), asked.seed) for number, (network, _, _) in enumerate(made)]
            config = TrainingConfig(epochs=asked.epochs, descent_epochs=1, descent_step=0.8, decay=decay)
            kept = [shares for _, _, shares in made]
            training = Training(plans, dataset, config, asked.seed, "cpu", kept=kept)
            outcomes = training.run(lambda indices, *_: [True] * len(indices))
            for (_, way, _), outcome in zip(made, outcomes, strict=True):
                designs = [snapshot.design for snapshot in outcome.snapshots] or [outcome.design]
                for design in designs:
                    chain = design.architecture.chain
                    for number, (layer, weights) in enumerate(zip(chain, design.chain_weights, strict=True)):
                        arrays[str(len(facts))] = np.asarray(weights, np.int32)
                        facts.append(
                            {
                                "network": networks,
                                "task": dataset.source,
                                "decay": decay,
                                "way": way,
                                "bits": layer.weight.width,
                                "fraction": layer.weight.fraction,
                                "layer": number,
                                "last": number == len(chain) - 1,
                            }
                        )
                    networks += 1
            print(f"{dataset.source}, decay {decay}: {networks} networks", flush=True)
    arrays["facts"] = np.array(json.dumps(facts))
    np.savez_compressed(asked.output, **arrays)
    print(f"{networks} networks, {len(facts)} layers, {time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
