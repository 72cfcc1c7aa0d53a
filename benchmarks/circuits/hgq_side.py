"""HGQ2's side: one training by its author's recipe, every Pareto record as an integer network.

``KERAS_BACKEND=jax python benchmarks/circuits/hgq_side.py TABLE.npz FOLDER [--seconds 180] [--seed 1]
[--shape 64 32 32]`` in an environment of its own with HGQ2, jax and scikit-learn.

The recipe is that of the author's published jet tagger: ``QEinsumDenseBatchnorm`` layers, weights from 3
fraction bits with symmetric saturation, activations from one integer and 3 fraction bits that wrap, Adam at
5e-3 with cosine restarts (each .94 of the last), beta 5e-7 for the first fiftieth and then up to 1e-3 on a
logarithmic scale, label smoothing .05, a Pareto record of validation score and EBOPs after every epoch.
What the author counts in epochs is here a share of the budget.

``--seconds`` are seconds of processor time, so that a machine that is busy otherwise cheats neither side.
They count from the end of the first epoch: jax's compilation, 20 to 50 s here, is not charged to HGQ.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
from hgq.config import QuantizerConfigScope
from hgq.layers import QEinsumDenseBatchnorm
from hgq.utils.sugar import BetaScheduler, FreeEBOPs
from keras import ops
from numpy.typing import NDArray
from quantised import DenseLayer, QuantisedNetwork, holding, non_dominated, on_grid, score

RATE, RATE_KEPT = 5e-3, 0.94
BETA, FLAT_SHARE = (5e-7, 1e-3), 0.02


class Budget:
    """Processor seconds since it began, as a share of those allowed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begin()

    def begin(self) -> None:
        self._began = time.process_time()

    @property
    def spent_s(self) -> float:
        return time.process_time() - self._began

    @property
    def share(self) -> float:
        return min(1.0, self.spent_s / self.seconds)


def beta_at(share: float) -> float:
    """Price of an EBOP."""
    rising = max(0.0, (share - FLAT_SHARE) / (1 - FLAT_SHARE))
    return BETA[0] * (BETA[1] / BETA[0]) ** rising


def rate_at(share: float, cycles: int) -> float:
    """Cosine restarts."""
    cycle, place = divmod(min(share, 1 - 1e-9) * cycles, 1)
    return 1e-6 + 0.5 * RATE * RATE_KEPT**cycle * (1 + math.cos(math.pi * place))


class ParetoRecord(keras.callbacks.Callback):
    """The weights after each epoch that no other beats in validation score and EBOPs."""

    def __init__(self, budget: Budget, classes: int) -> None:
        super().__init__()
        self.budget, self.classes = budget, classes
        self.kept: list[dict[str, Any]] = []
        self.first_epoch_s = 0.0
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self.epochs = epoch + 1
        if not epoch:
            self.first_epoch_s = self.budget.spent_s
            self.budget.begin()
        found = float(logs["val_accuracy"] if self.classes else -logs["val_loss"])
        ebops = float(logs["ebops"])
        if not any(item["score"] >= found and item["ebops"] <= ebops for item in self.kept):
            self.kept = [item for item in self.kept if item["score"] > found or item["ebops"] < ebops]
            self.kept.append(
                {
                    "score": found,
                    "ebops": ebops,
                    "epoch": epoch,
                    "seconds": round(self.budget.spent_s, 2),
                    "weights": [np.array(value) for value in self.model.get_weights()],
                }
            )
        if self.budget.share >= 1:
            self.model.stop_training = True


def model_of(n_in: int, shape: list[int], n_out: int) -> keras.Model:
    with (
        QuantizerConfigScope(place="weight", overflow_mode="SAT_SYM", f0=3, trainable=True),
        QuantizerConfigScope(place="bias", overflow_mode="WRAP", f0=3, trainable=True),
        QuantizerConfigScope(place="datalane", i0=1, f0=3),
    ):
        first = values = keras.Input((n_in,))
        for width in shape:
            values = QEinsumDenseBatchnorm("bc,cC->bC", width, bias_axes="C", activation="relu")(values)
        last = QEinsumDenseBatchnorm("bc,cC->bC", n_out, bias_axes="C")(values)
    return keras.Model(first, last)


def network_of(model: keras.Model, rows: NDArray[np.float64]) -> QuantisedNetwork:
    """The model's integers; integer bits of activations are traced over ``rows``, as HGQ does.

    HGQ wraps its inputs, too. They are rounded outside of the circuit, where saturation is free, so
    they saturate here.
    """
    layers: list[DenseLayer] = []
    values = rows
    for layer in model.layers[1:]:
        fraction = ops.convert_to_numpy(layer.iq.quantizer.kif[2]).reshape(-1).astype(np.int64)
        kind = holding(values, fraction)
        values = kind.round(values, saturate=not layers)
        weights, weight_fraction = on_grid(ops.convert_to_numpy(layer.qkernel))
        bias, bias_fraction = on_grid(ops.convert_to_numpy(layer.qbias))
        layers.append(DenseLayer(kind, weights, weight_fraction, bias, bias_fraction))
        values = np.maximum(values @ layers[-1].matrix + layers[-1].offset, 0.0)
    return QuantisedNetwork(tuple(layers))


def thinned(kept: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most ``most`` records, spread over the logarithm of their EBOPs."""
    kept = sorted(kept, key=lambda item: item["ebops"])
    if len(kept) <= most:
        return kept
    logs = np.log(np.maximum([item["ebops"] for item in kept], 1.0))
    wanted = np.linspace(logs[0], logs[-1], most)
    return [kept[place] for place in sorted({int(np.abs(logs - value).argmin()) for value in wanted})]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", type=int, nargs="+", default=[64, 32, 32])
    parser.add_argument("--cycles", type=int, default=10, help="cosine restarts")
    parser.add_argument("--members", type=int, default=48, help="Pareto records exported, at most")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    arrays = dict(np.load(options.table))
    mean, scale = arrays["x_train"].mean(axis=0), arrays["x_train"].std(axis=0)
    scale[scale == 0] = 1.0
    x = {part: (arrays[f"x_{part}"] - mean) / scale for part in ("train", "val", "test")}
    y = {part: arrays[f"y_{part}"] for part in x}
    classes = int(y["train"].max()) + 1 if y["train"].dtype.kind == "i" else 0
    if not classes:
        centre, spread = y["train"].mean(), y["train"].std()
        y = {part: (values - centre) / spread for part, values in y.items()}
    wanted = {part: np.eye(classes)[y[part]] if classes else y[part][:, None] for part in y}
    rows = len(x["train"])
    batch = int(np.clip(2 ** round(math.log2(rows / 6)), 64, 2048))

    budget = Budget(options.seconds)
    model = model_of(x["train"].shape[1], options.shape, classes or 1)
    loss = (
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
        if classes
        else keras.losses.MeanSquaredError()
    )
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=loss,
        metrics=["accuracy"] if classes else [],
        steps_per_execution=32,
    )
    record = ParetoRecord(budget, classes)
    model.fit(
        x["train"].astype(np.float32),
        wanted["train"].astype(np.float32),
        batch_size=batch,
        epochs=10**9,
        validation_data=(x["val"].astype(np.float32), wanted["val"].astype(np.float32)),
        validation_batch_size=len(x["val"]),
        callbacks=[
            BetaScheduler(lambda epoch: beta_at(budget.share)),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate_at(budget.share, options.cycles)),
            FreeEBOPs(),
            record,
        ],
        verbose=0,
    )
    spent_s = budget.spent_s

    options.folder.mkdir(parents=True, exist_ok=True)
    traced = np.concatenate([x["train"], x["val"]])
    members = []
    for number, item in enumerate(thinned(record.kept, options.members)):
        model.set_weights(item.pop("weights"))
        network = network_of(model, traced)
        network.save(options.folder / f"{number:03}.json")
        scores = {part: score(network.outputs(x[part]), y[part], classes) for part in ("val", "test")}
        members.append(
            {
                "network": f"{number:03}.json",
                **item,
                "validation": scores["val"],
                "test": scores["test"],
            }
        )
    places = non_dominated([(member["validation"], member["ebops"]) for member in members])
    stated = {
        "side": "hgq2",
        "table": options.table.stem,
        "shape": options.shape,
        "seed": options.seed,
        "seconds": options.seconds,
        "command": " ".join(["python", *(Path(word).name for word in sys.argv)]),
        "versions": {name: version(name) for name in ("hgq2", "keras", "jax", "numpy")}
        | {"python": platform.python_version()},
        "date": time.strftime("%Y-%m-%d"),
        "batch_size": batch,
        "epochs": record.epochs,
        "first_epoch_s": round(record.first_epoch_s, 1),
        "spent_s": round(spent_s, 1),
        "records": len(record.kept),
        "members": members,
    }
    (options.folder / "front.json").write_text(json.dumps(stated, indent=1) + "\n")
    print(
        f"{options.table.stem}: {record.epochs} epochs, {len(record.kept)} records, "
        f"{len(places)} by exact score"
    )
    for member in (members[place] for place in places):
        print(f"  ebops {member['ebops']:9.0f}  val {member['validation']:.4f}  test {member['test']:.4f}")


if __name__ == "__main__":
    main()
