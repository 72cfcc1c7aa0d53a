"""The work of a refinement, by a rule, so that the result does not depend on the speed of a machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas_hls.network.design import Design

#: Moves per weight that is not zero: 0, and about three cheaper or neighbouring values.
_MOVES = 4
#: Updates per output and row for the loss: the largest output, an exponential and a sum.
_LOSS = 3


def work_per_row(design: Design) -> float:
    """The estimated updates of sums per row, if every move of a design is tried once.

    A change of a weight reaches the weights of one input of the next layer, and all weights after that. A
    ladder of six prices takes 0.1 to 1 ns per update on one core for networks of more than 1,000 LUTs, and
    a few ns for smaller ones (measured on an x86 core with AVX2).
    """
    weights = [np.asarray(weight) for weight in design.weights if weight is not None]
    counts = [int(np.count_nonzero(weight)) for weight in weights]
    loss = _LOSS * design.architecture.n_out
    total = 0.0
    for number, count in enumerate(counts):
        after = counts[number + 1 :]
        reached = after[0] / max(weights[number + 1].shape[0], 1) + sum(after[1:]) if after else 0.0
        total += _MOVES * count * (2 + reached + loss)
    return total


def affordable(work: Sequence[float], limit: float) -> list[bool]:
    """Which parts are done: those with the least work, as many as ``limit`` allows; of equals, the first."""
    order = np.argsort(np.asarray(work, float), kind="stable")
    done = np.zeros(len(work), bool)
    done[order[np.cumsum(np.asarray(work, float)[order]) <= limit]] = True
    return done.tolist()
