"""What types of single neurons save: each design is refined with and without them.

``python benchmarks/refinement/neurons.py FOLDER ... --tables TABLES [--largest 2500]``

Each folder is what ``benchmarks/circuits/our_side.py`` wrote, whose designs are trained and mostly refined;
``--tables`` is where ``benchmarks/circuits/tables.py`` wrote the archives. A ladder of prices refines every
design on at most 8,192 training rows, with and without changes of neurons' types. At equal training loss
(interpolated between the stops of both ladders, nine points), the ratio of da4ml's costs and the
difference of the accuracies on the test rows are printed, and the time of both ladders.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers
from hwnas_hls_plugins.estimators.refinement import PRICES, ladder, network
from hwnas_hls_plugins.estimators.refinement.saturation import without_idle_saturation
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION

CLOCK_NS = 5.0
ROWS = 8192
POINTS = 9
#: A ladder ends where a design has lost half of its LUTs, as in a search.
UNTIL = 0.5
LEAST_COST = 30.0


def stops(
    design: Design, table: dict[str, NDArray[Any]], *, neurons: bool
) -> tuple[NDArray[np.float64], float]:
    """(training loss, logarithm of da4ml's cost, test accuracy) of each stop, and the ladder's seconds."""
    preprocessing = design.preprocessing
    if preprocessing is None:
        raise SystemExit("a design without the standardisation of its features")
    x, labels = table["x_train"][:ROWS], table["y_train"][:ROWS]
    rows, test = input_integers(design, x), table["x_test"]
    with mock.patch.object(network, "narrows", network.narrows if neurons else lambda *_: False):
        began = time.perf_counter()
        found = ladder(design, rows, labels, PRICES, values=preprocessing(x), until=UNTIL)
        seconds = time.perf_counter() - began
    out = []
    for stop in found:
        wider = without_idle_saturation(stop.design, rows)
        right = emulate(wider, input_integers(wider, test)).argmax(axis=1) == table["y_test"]
        solved = cost(wider, CLOCK_NS, None).cost_lut
        out.append((stop.loss, np.log(max(solved, 1.0)), right.mean()))
    return np.array(sorted(out)), seconds


def compared(without: NDArray[np.float64], within: NDArray[np.float64]) -> tuple[float, float]:
    """Ratio of the costs and difference of the accuracies, with over without, at equal losses."""
    ends = [np.sort(arm[:, 0])[[0, -1]] for arm in (without, within)]
    low, high = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
    losses = np.linspace(low, max(low, high), POINTS)
    change, right = (
        np.interp(losses, within[:, 0], within[:, place]).mean()
        - np.interp(losses, without[:, 0], without[:, place]).mean()
        for place in (1, 2)
    )
    return float(np.exp(change)), float(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--largest", type=float, default=2500.0, help="cost of the largest design")
    options = parser.parse_args()
    sys.setrecursionlimit(RECURSION)
    found = []
    for folder in options.folders:
        front = json.loads((folder / "front.json").read_text())
        with np.load(options.tables / f"{front['table']}.npz") as archive:
            table = dict(archive)
        for member in front["members"]:
            design = Design.load(folder / "networks" / member["network"])
            solved = cost(design, CLOCK_NS, None).cost_lut
            if not LEAST_COST <= solved <= options.largest:
                continue
            (without, alone_s), (within, both_s) = (
                stops(design, table, neurons=neurons) for neurons in (False, True)
            )
            ratio, right = compared(without, within)
            found.append((front["table"], solved, ratio, right, alone_s, both_s))
            print(
                f"{front['table']} cost {solved:.0f}: ratio {ratio:.3f}, test accuracy {right:+.4f}, "
                f"{alone_s:.2f} s without, {both_s:.2f} s with",
                flush=True,
            )
    for name in dict.fromkeys(one[0] for one in found):
        ratio, right, alone_s, both_s = np.array([one[2:] for one in found if one[0] == name]).T
        print(
            f"{name}: {len(ratio)} designs, geometric mean {np.exp(np.log(ratio).mean()):.3f} "
            f"({ratio.min():.2f} to {ratio.max():.2f}), test accuracy {right.mean():+.4f}, "
            f"{alone_s.sum():.1f} s without, {both_s.sum():.1f} s with"
        )


if __name__ == "__main__":
    main()
