"""Refinement of single weights: reduces the circuit, guided by the exact loss, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import output_fraction
from hwnas_hls_plugins.estimators.refinement.arithmetic import (
    BIAS,
    FEATURE,
    WEIGHT,
    Moves,
    NumpyTrials,
    Screening,
)
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures
from hwnas_hls_plugins.estimators.refinement.laws import MILLI
from hwnas_hls_plugins.estimators.refinement.losses import ONE, CrossEntropy, Loss, SquaredError
from hwnas_hls_plugins.estimators.refinement.moves import MoveList
from hwnas_hls_plugins.estimators.refinement.native import NativeTrials, serves
from hwnas_hls_plugins.estimators.refinement.network import designed, layer_states

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Loss per LUT, from almost no loss of accuracy to very small networks.
PRICES = (1e-5, 3e-5, 1e-4, 2e-4, 4e-4, 8e-4)
#: Moves are measured on a part of the rows; the best ones are then tried on all of them. On three designs of
#: 4,900 to 26,700 LUTs and 8,192 rows, the same losses and LUTs took 0.5 to 0.7 times the seconds.
_SCREENING = Screening(patience=2.0, first_rows=128, measured_rows=2048)
#: A weight is not tried again at this price if its cheapest change costs this many times the allowed loss.
_COLD = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """The result of a refinement at one price.

    Args:
        design: with cheaper weights, fewer bits of neurons and, if ``values`` were given, of features.
        price: allowed increase of the loss per LUT saved.
        loss, loss_before: mean over the rows, in nats (classification) or half a squared unit of the outputs.
        lut, lut_before: estimated LUTs of the weights, for ranking; not a count.
        changes: number of changes made.
    """

    design: Design
    price: float
    loss: float
    loss_before: float
    lut: float
    lut_before: float
    changes: int


def refine(
    design: Design,
    rows: NDArray[np.int64],
    labels: NDArray[np.generic],
    price: float,
    *,
    values: NDArray[np.float64] | None = None,
    passes: int = 3,
    kernels: str = "auto",
) -> Refined:
    """Make the circuit of a trained design smaller.

    A weight may lose signed digits, change to a cheaper or a neighbouring value, or become 0, and its
    bias then compensates the mean change; biases may change; a neuron may be removed. A weight of 0 may
    become a power of two where this reduces the loss by more than its price. In chains of
    distributed arithmetic, the result of a hidden neuron may lose its lowest or its highest bit. A change is
    accepted if the exact loss on the rows rises by less than ``price`` times the LUTs saved.

    Args:
        rows: int64 (rows, n_in) on the input grid, as
            :func:`hwnas_hls.network.emulator.input_integers` gives them; training rows.
        labels: (rows,) classes, or (rows, n_out) targets in the unit of the outputs.
        price: accepted loss per LUT saved, see :data:`PRICES`.
        values: standardised features (rows, n_in) from which the rows were made. With them, single features
            may lose some or all of their bits in chains of distributed arithmetic; see
            :attr:`~hwnas_hls.network.architecture.Architecture.allows_feature_types`.
        passes: maximum number of passes over all weights; a pass without a change ends the refinement.
        kernels: ``auto``, ``native`` or ``numpy``; all give the same result.

    Raises:
        Unsupported: the design cannot be refined, see
            :func:`~hwnas_hls_plugins.estimators.refinement.laws.lut_of_weights` and
            :func:`~hwnas_hls_plugins.estimators.refinement.network.layer_states`.
        UserError: rows or labels have the wrong shape.
    """
    return ladder(design, rows, labels, (price,), values=values, passes=passes, kernels=kernels)[0]


def ladder(
    design: Design,
    rows: NDArray[np.int64],
    labels: NDArray[np.generic],
    prices: Sequence[float] = PRICES,
    *,
    values: NDArray[np.float64] | None = None,
    passes: int = 3,
    kernels: str = "auto",
    since: float = 0.0,
    until: float = 0.0,
) -> list[Refined]:
    """One result per price, each continuing from the previous one; other arguments as in :func:`refine`.

    Args:
        since: prices below this loss divided by the LUTs of the weights are left out.
        until: the first result with a smaller share of the LUTs than this is the last one.
    """
    if not prices or min(prices) <= 0 or list(prices) != sorted(prices):
        raise UserError("prices must be above zero and increasing", found=list(prices))
    refinement = _Refinement(design, rows, labels, values, kernels=kernels)
    found: list[Refined] = []
    for price in prices:
        if price * refinement.lut_before < since:
            continue
        if found and found[-1].lut < until * found[-1].lut_before:
            break
        found.append(refinement.at(price, passes))
    return found


class _Refinement:
    """A design under refinement, with all mutable state."""

    def __init__(
        self,
        design: Design,
        rows: NDArray[np.int64],
        labels: NDArray[np.generic],
        values: NDArray[np.float64] | None,
        *,
        kernels: str,
    ) -> None:
        n_in = design.architecture.n_in
        if rows.ndim != 2 or rows.shape[1] != n_in or not len(rows):
            raise UserError(
                f"rows must be integers of shape (rows, {n_in})", found=rows.shape, kind=ErrorKind.MISMATCH
            )
        self._design = design
        if values is not None and values.shape != rows.shape:
            raise UserError(
                f"values are standardised features of shape {rows.shape}",
                found=values.shape,
                kind=ErrorKind.MISMATCH,
            )
        self._features = InputFeatures(design, values)
        self._list = MoveList(design, self._features)
        self._states = layer_states(design, len(rows))
        self._list.cost(self._states)  # raises for a layer whose weights have no individual cost
        inputs = np.ascontiguousarray(rows.T)
        self._loss = _loss(design, rows, labels)
        trials = NativeTrials if serves(self._states, kernels) else NumpyTrials
        self._trials = trials(self._states, inputs, self._loss, self._features)
        self._scale = len(rows) * ONE
        self._loss_before = self._trials.loss / self._scale
        self.lut_before = self._list.cost(self._states) / MILLI
        self._changes = 0

    def at(self, price: float, passes: int) -> Refined:
        """The result at this price."""
        hot = [np.ones((state.weight.shape[0] + 1, state.n_out), bool) for state in self._states]
        for _ in range(passes):
            made = self._sweep(price, hot)
            self._changes += made
            if not made:
                break
        return Refined(
            designed(self._design, self._states, self._features),
            price,
            self._trials.loss / self._scale,
            self._loss_before,
            self._list.cost(self._states) / MILLI,
            self.lut_before,
            self._changes,
        )

    def _sweep(self, price: float, hot: list[NDArray[np.bool_]]) -> int:
        """Measure every move, then make the best ones first; those far from acceptance leave ``hot``."""
        rate = price * self._scale / MILLI
        moves = self._list.of(self._trials, hot, self._loss, price)
        everything = np.arange(len(moves))
        self._trials.sweep(moves, everything, rate, _SCREENING, make=False)
        allowed = rate * moves.saving
        ratio = np.full(len(moves), np.inf)
        np.divide(moves.rise, allowed, out=ratio, where=moves.saving > 0)
        # A move that saves nothing must reduce the loss, and comes after those that save.
        earns = (moves.saving <= 0) & (moves.rise < allowed)
        likely = (ratio < _SCREENING.patience) | earns
        order = np.lexsort((moves.rise, ratio, earns))
        order = order[likely[order]]
        made = self._trials.sweep(moves, order, rate, _SCREENING, make=True)
        for place in np.flatnonzero((moves.kind == FEATURE) & (moves.taken > 0)).tolist():
            self._features.change(int(moves.input[place]), int(moves.value[place]))
        self._cool(moves, ratio, earns, hot)
        return made

    @staticmethod
    def _cool(
        moves: Moves, ratio: NDArray[np.float64], earns: NDArray[np.bool_], hot: list[NDArray[np.bool_]]
    ) -> None:
        near = (ratio < _COLD) | earns | (moves.taken > 0)
        for number, flags in enumerate(hot):
            here = near & (moves.layer == number)
            flags[...] = False
            weights, biases = (here & (moves.kind == kind) for kind in (WEIGHT, BIAS))
            flags[moves.input[weights], moves.output[weights]] = True
            flags[-1, moves.output[biases]] = True


def _loss(design: Design, rows: NDArray[np.int64], labels: NDArray[np.generic]) -> Loss:
    from hwnas_hls.network.emulator import emulate

    n_out = design.architecture.n_out
    if np.issubdtype(labels.dtype, np.integer):
        if labels.shape != (len(rows),):
            raise UserError(
                f"labels are {len(rows)} class numbers", found=labels.shape, kind=ErrorKind.MISMATCH
            )
        return CrossEntropy.of(emulate(design, rows), labels.astype(np.int64))
    targets = labels.reshape(len(labels), -1).astype(np.float64)
    if targets.shape != (len(rows), n_out):
        raise UserError(
            f"targets must be numbers of shape ({len(rows)}, {n_out})",
            found=labels.shape,
            kind=ErrorKind.MISMATCH,
        )
    return SquaredError.of(output_fraction(design), targets)


__all__ = ["PRICES", "Refined", "ladder", "refine"]
