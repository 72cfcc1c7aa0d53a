"""Let rule4ml estimate the same rows; run in an environment of its own (``pip install rule4ml``).

    python benchmarks/predictor/rule4ml_rows.py CALIBRATION_DIR/designs.csv rule4ml.csv

rule4ml (GPL-3) is only called here, through its published interface; nothing of it is part of this project.
It knows boards, not parts, one precision for a whole network and no weights: every row is given to it with
the nearest board of its silicon and with the precision of its weights.
"""

from __future__ import annotations

import csv
import re
import sys
from typing import Any

BOARDS = (
    ("xc7", "pynq-z2"),
    ("xczu", "zcu102"),
    ("xcu250", "alveo-u250"),
    ("xcu200", "alveo-u200"),
    ("xc", "alveo-u250"),
)


def main() -> None:
    with open(sys.argv[1], newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    # torch before TensorFlow: the other way round they crash each other on some machines.
    import torch_geometric  # noqa: F401
    from rule4ml.models.wrappers import MultiModelWrapper

    estimator = MultiModelWrapper()
    estimator.load_default_models()
    known: dict[tuple[str, ...], list[float]] = {}
    with open(sys.argv[2], "w", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow(["row_id", "lut", "ff", "dsp", "bram18", "latency_cycles"])
        for row in rows:
            reuse = max(
                int(float(r))
                for r in (row["reuse_factor"] or row["reuse_factor_effective"] or "1").split(";")
            )
            board = next(name for start, name in BOARDS if row["part"].startswith(start))
            found = re.search(r"w:\s*ap_fixed<(\d+),\s*(-?\d+)", row["precision"])
            found = found or re.search(r"ap_fixed<(\d+),\s*(-?\d+)", row["precision"])
            precision = f"ap_fixed<{found[1]},{found[2]}>" if found else "ap_fixed<16,6>"
            key = (
                row["layers"],
                row["activations"],
                board,
                precision,
                str(reuse),
                row["strategy"] or "Resource",
            )
            if key not in known:
                try:
                    known[key] = estimate(estimator, *key)
                except Exception as error:  # whatever it raises, it has no estimate
                    print(row["row_id"], type(error).__name__, str(error)[:100], file=sys.stderr)
                    known[key] = []
            if known[key]:
                writer.writerow([row["row_id"], *known[key]])
                file.flush()


def estimate(
    estimator: Any,
    layers: str,
    activations: str,
    board: str,
    precision: str,
    reuse: str,
    strategy: str,
) -> list[float]:
    """LUT, FF, DSP, BRAM and cycles of one design."""
    import keras
    from keras.layers import Activation, Dense, Input

    widths = [int(width) for width in layers.split("-")]
    names = [name for name in activations.split("-") if name not in ("bn", "linear", "")]
    inputs = Input(shape=(widths[0],))
    x = inputs
    for number, width in enumerate(widths[1:]):
        x = Dense(width)(x)
        if number < len(names):
            x = Activation(names[number])(x)
    model = keras.Model(inputs, x, name="row")
    model.build((None, widths[0]))
    config = {
        "board": board,
        "model": {"precision": precision, "reuse_factor": int(reuse), "strategy": strategy.lower()},
    }
    # One of the versions it knows; without them it answers for every combination, minutes a row.
    frame = estimator.predict(
        model, hls_configs=[config], hls4ml_versions=["0.8.1"], vivado_versions=["2020.1"]
    )
    mean = frame[["LUT", "FF", "DSP", "BRAM", "CYCLES"]].mean()
    return [round(float(value), 2) for value in mean]


if __name__ == "__main__":
    main()
