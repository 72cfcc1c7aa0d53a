"""The hardware model against rule4ml on the same rows; prints a Markdown table.

    python benchmarks/predictor/rule4ml_rows.py ROWS.csv rule4ml.csv       (in an environment of its own)
    python benchmarks/predictor/against_rule4ml.py CALIBRATION_DIR rule4ml.csv

Both are given the architecture only. The hardware model is judged on held-out folds, as in ``evaluate.py``.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from fit import Data, _best, cross_validate
from rows import read_rows


def main() -> None:
    rows = read_rows(Path(sys.argv[1]))
    with Path(sys.argv[2]).open(newline="") as file:
        theirs = {row["row_id"]: row for row in csv.DictReader(file)}
    data = Data(rows, 0)
    (held,) = cross_validate([data], _best(rows), lambda text: print(text, file=sys.stderr))
    errors: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, place in enumerate(data.places):
        other = theirs.get(rows[place].raw["row_id"])
        query = data.queries[number]
        if other is None or query.stage != "csynth":
            continue
        for metric, column in (("lut", "lut"), ("ff", "ff"), ("latency_cycles", "latency_cycles")):
            truth = data.truth[metric][number]
            if not np.isfinite(truth) or truth <= 0:
                continue
            errors[data.bands[number], "hls-model"][metric].append(abs(held[metric][number] / truth - 1.0))
            errors[data.bands[number], "rule4ml 0.2.0"][metric].append(
                abs(float(other[column]) / truth - 1.0)
            )
    print("| regime | model | n | LUT | FF | latency |")
    print("|---|---|---|---|---|---|")
    for (regime, model), found in sorted(errors.items()):
        cells = [f"{100 * np.median(found[metric]):.1f} %" for metric in ("lut", "ff", "latency_cycles")]
        print(f"| {regime} | {model} | {len(found['lut'])} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
