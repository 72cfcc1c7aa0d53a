"""The work of a refinement, by a rule, so that the result does not depend on the speed of a machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas_hls.network.design import Design

#: Moves per weight that is not zero: 0, and about three cheaper or neighbouring values.
_MOVES = 4
#: Updates per output and row for the loss: the largest output, an exponential and a sum.
_LOSS = 3
#: Most moves are rejected after a share of the rows that decreases with the size of a network, so the time of
#: a ladder is no multiple of the updates. Measured: 42 designs of six tables with 19 to 29,000 LUTs took 0.15
#: ms times the updates to this power, within a factor of 2.7 (one busy x86 core with AVX2). Trials of new
#: connections take a third more.
_POWER = 0.4


def work_of(design: Design, rows: int) -> float:
    """The estimated work of a ladder of prices on a number of rows, about 0.2 ms of one core each.

    A change of a weight reaches the weights of one input of the next layer, and all weights after that.
    """
    weights = [np.asarray(weight) for weight in design.weights if weight is not None]
    counts = [int(np.count_nonzero(weight)) for weight in weights]
    loss = _LOSS * design.architecture.n_out
    updates = 0.0
    for number, count in enumerate(counts):
        after = counts[number + 1 :]
        reached = after[0] / max(weights[number + 1].shape[0], 1) + sum(after[1:]) if after else 0.0
        updates += _MOVES * count * (2 + reached + loss)
    return float((updates * rows) ** _POWER)


def affordable(work: Sequence[float], limit: float) -> list[bool]:
    """Which parts are done: in their order, each one that ``limit`` still allows."""
    done, spent = [], 0.0
    for one in work:
        done.append(spent + one <= limit)
        spent += one if done[-1] else 0.0
    return done
