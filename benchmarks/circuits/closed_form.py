"""Fits the closed form of the estimator ``da-law`` to da4ml's own cost, and prints its errors.

    python benchmarks/circuits/closed_form.py RUN_FOLDER ... [--designs 300] [--seed 0]

Takes trained designs of runs (drawn from all that their trainings came to, not from their fronts alone),
solves each with da4ml, fits on one half and prints the errors on the other, by size and by run.
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from hwnas_hls.network.design import Design
from hwnas_hls_plugins.estimators import da_law
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost, cost

NAMES = ("growth", "adder_power", "digit_power", "rectified", "saturated", "constant")
START = (0.3, -0.03, -0.1, 0.6, 1.5, 1.5)
SIZES = (0, 200, 500, 1000, 3000, 1e9)


def designs_of(folder: Path, count: int, rng: np.random.Generator) -> list[Design]:
    """Trained designs whose every layer is distributed arithmetic, drawn from a run's store."""
    database = sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True)
    blobs = database.execute("select design from evaluation where design is not null order by key").fetchall()
    found = []
    for place in rng.permutation(len(blobs)):
        design = Design.from_bytes(blobs[place][0])
        if all(layer.strategy == "distributed_arithmetic" for layer in design.architecture.chain):
            found.append(design)
        if len(found) == count:
            break
    return found


def errors(k: dict[str, float], sums: list[list[da_law.Sums]], wanted: np.ndarray) -> np.ndarray:
    """Logarithm of the law over the cost."""
    return np.log([da_law.lut_of(one, k) for one in sums]) - np.log(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--designs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.setrecursionlimit(100_000)
    rng = np.random.default_rng(options.seed)
    designs: list[Design] = []
    runs: list[int] = []
    for number, folder in enumerate(options.folders):
        found = designs_of(folder, options.designs, rng)
        designs += found
        runs += [number] * len(found)
    solved = [cost(design, 5.0, None) for design in designs]
    kept = [place for place, one in enumerate(solved) if not one.refused and one.cost_lut >= 20]
    report(
        [designs[place] for place in kept], [solved[place] for place in kept], [runs[place] for place in kept]
    )


def report(designs: list[Design], solved: list[DaCost], runs: list[int]) -> None:
    """Fit on one half, print the errors on the other."""
    sums = [da_law.sums_of(design) for design in designs]
    wanted = np.array([one.cost_lut for one in solved])
    half = np.arange(len(wanted)) % 2 == 0

    def missed(x: np.ndarray) -> np.ndarray:
        found = errors(dict(zip(NAMES, x, strict=True)), sums, wanted)
        return np.asarray(found[half])

    fit = least_squares(missed, START, loss="soft_l1", f_scale=0.1).x
    print(f"{len(wanted)} designs;", ", ".join(f"{name} {x:.3f}" for name, x in zip(NAMES, fit, strict=True)))
    for title, k in (("fitted", dict(zip(NAMES, fit, strict=True))), ("as in da_law", None)):
        error = np.log([da_law.lut_of(one, k) for one in sums]) - np.log(wanted)
        print(f"{title}: rms on the other half {np.sqrt((error[~half] ** 2).mean()):.3f}")
        for low, high in itertools.pairwise(SIZES):
            these = ~half & (wanted >= low) & (wanted < high)
            if these.any():
                rms, mean = np.sqrt((error[these] ** 2).mean()), error[these].mean()
                print(f"  {low:>5g} to {high:g} LUT: {these.sum()} designs, rms {rms:.3f}, mean {mean:+.3f}")
        for run in sorted(set(runs)):
            these = ~half & (np.array(runs) == run)
            print(f"  run {run + 1}: rms {np.sqrt((error[these] ** 2).mean()):.3f}")
        print("  95 % of all within", np.round(np.exp(np.quantile(np.abs(error), 0.95)), 3))
    laws = [da_law.cost_of(design, 5.0, None) for design in designs]
    stages = np.array([law.stages - one.stages for law, one in zip(laws, solved, strict=True)])
    exact, near = (stages == 0).mean(), (abs(stages) == 1).mean()
    print(f"stages: exact {exact:.2f}, one off {near:.2f}, mean {stages.mean():+.2f}")
    ratio = np.log(
        [max(law.register_bits, 1) / max(one.register_bits, 1) for law, one in zip(laws, solved, strict=True)]
    )
    print(
        "register bits: law/da4ml at 5, 50, 95 %:", np.round(np.exp(np.quantile(ratio, (0.05, 0.5, 0.95))), 2)
    )


if __name__ == "__main__":
    main()
