"""Latency and initiation interval from a simulated stream with a new input in every clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Architecture

#: Clocks simulated beyond the stages that the generator counts.
MARGIN_CLOCKS = 9


@dataclass(frozen=True, slots=True)
class Observation:
    """The observations of a stream.

    Args:
        latency_cycles: the only delay at which the outputs equal the expected ones;
            ``None`` if several are equal (outputs that do not depend on the inputs).
        mismatches: (rows that differ, rows) at the best shift; 0 rows if it is exact.
        shifts: all shifts that fit.
    """

    latency_cycles: int | None
    mismatches: tuple[int, int]
    shifts: tuple[int, ...]


def observe(outputs: NDArray[np.int64], expected: NDArray[np.int64]) -> Observation:
    """Compare outputs and expected outputs at every shift.

    Args:
        outputs: (streams, clocks, n_out); entry t is the output after the edge that captured input t.
        expected: (streams, rows, n_out), rows fewer than clocks.
    """
    rows = expected.shape[1]
    wrong = {
        shift: int((outputs[:, shift : shift + rows] != expected).any(axis=2).sum())
        for shift in range(outputs.shape[1] - rows + 1)
    }
    fitting = tuple(shift for shift, count in wrong.items() if not count)
    total = expected.shape[0] * rows
    if fitting:
        return Observation(fitting[0] if len(fitting) == 1 else None, (0, total), fitting)
    return Observation(None, (min(wrong.values()), total), ())


def random_inputs(architecture: Architecture, rows: int, seed: int) -> NDArray[np.int64]:
    """Deterministic inputs on the grid: the two extremes, then half uniform and half near zero.

    Returns:
        int64 (rows, n_in).
    """
    kind = architecture.input
    rng = np.random.default_rng([seed, architecture.n_in, kind.width])
    shape = (rows, architecture.n_in)
    values = rng.integers(kind.lowest, kind.highest, shape, endpoint=True)
    spread = (kind.highest - kind.lowest) / 6
    near = np.rint(rng.normal(0.0, spread, shape))
    values[1::2] = np.clip(near, kind.lowest, kind.highest).astype(np.int64)[1::2]
    values[:2] = [[kind.lowest], [kind.highest]]
    return values


def streams(rows: NDArray[np.int64], count: int, extra: int) -> tuple[NDArray[np.int64], int]:
    """Cut rows into streams that run side by side, each followed by ``extra`` more clocks.

    Args:
        rows: (rows, n_in).
        count: maximum number of streams.
        extra: clocks after the last row, fed with the rows from the start again.

    Returns:
        (streams, length + extra, n_in) and the length; rows are repeated to fill the last.
    """
    length = max(2, -(-len(rows) // count))
    number = -(-len(rows) // length)
    filled = np.resize(rows, (number * length, rows.shape[1])).reshape(number, length, -1)
    after = np.resize(rows, (extra, rows.shape[1]))
    tail = np.broadcast_to(after, (number, *after.shape))
    return np.concatenate([filled, tail], axis=1), length
