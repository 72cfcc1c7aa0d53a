"""Trials of single changes in numpy: the equivalent of ``trials.c`` without a compiler.

It is also used for numbers wider than 32 bits. The moves are the same, because losses are integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.network.precision import ROUNDINGS
from hwnas_hls_plugins.estimators.feature_bits import UNREAD
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures
from hwnas_hls_plugins.estimators.refinement.losses import Loss
from hwnas_hls_plugins.estimators.refinement.network import (
    HAND_ON,
    LEAKY,
    NO_LIMIT,
    NOBODY,
    RELU,
    SATURATE,
    ZERO,
    LayerState,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHT, BIAS, SILENCE, FEATURE, NEURON = 0, 1, 2, 3, 4
#: The layer number of moves of the inputs.
INPUTS = -1


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Changes to try: arrays of int64 (moves,), one entry per change.

    Args:
        kind: WEIGHT sets the weight from ``input`` to ``output`` to ``value``; BIAS changes only the
            offset; SILENCE disconnects ``output`` from the next layer; FEATURE gives the network's
            ``input`` its alternative type number ``value``; NEURON takes the lowest (``value`` 0) or the
            highest bit (1) of the result of ``output``.
        layer, input, output, value: the place and the new value, as ``kind`` uses them.
        offset: added to the bias, on the grid of the sums.
        saving: thousandths of a LUT.
        old: the weight, the bias (of BIAS), the version of the feature, or :func:`lacks` of the neuron, when
            the move was made.
        rise: last measured increase of the loss, summed over all rows; filled by sweeps.
        taken: uint8, whether it was made.
    """

    kind: NDArray[np.int64]
    layer: NDArray[np.int64]
    input: NDArray[np.int64]
    output: NDArray[np.int64]
    value: NDArray[np.int64]
    offset: NDArray[np.int64]
    saving: NDArray[np.int64]
    old: NDArray[np.int64]
    rise: NDArray[np.int64]
    taken: NDArray[Any]

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Screening:
    """The rows on which a move is tried, and when it is rejected before the last one.

    Args:
        patience: a move is rejected, with its rise scaled up to all rows, if the scaled rise exceeds this
            many times the allowed total, times the square root of all rows over those seen: few rows are a
            noisy sample.
        first_rows: rows before the first look; they double until the next.
        measured_rows: maximum number of rows of a move that is only measured; its rise is scaled up.
    """

    patience: float
    first_rows: int
    measured_rows: int


class NumpyTrials:
    """A network under trial.

    Args:
        states: its layers; ``sums`` and ``values`` are filled here.
        inputs: (n_in, rows) on the input grid.
        loss: of the outputs.
        features: types of the inputs.
    """

    def __init__(
        self, states: list[LayerState], inputs: NDArray[np.int64], loss: Loss, features: InputFeatures
    ) -> None:
        self.states, self._inputs, self._loss = states, inputs.astype(np.int64), loss
        self._features = features
        self.rows = inputs.shape[1]
        self._every = np.arange(self.rows)
        self.loss = self._settle()

    def values(self, number: int) -> NDArray[Any]:
        """The outputs of a layer, (features, rows); -1 means the inputs."""
        return self._inputs if number < 0 else self.states[number].values

    def sweep(
        self, moves: Moves, order: NDArray[np.int64], rate: float, screening: Screening, *, make: bool
    ) -> int:
        """Try moves in this order; with ``make``, make those whose loss rises by less than ``rate x saving``.

        Returns:
            the number of moves made.
        """
        made, last = 0, self.rows if make else min(screening.measured_rows, self.rows)
        for place in order.tolist():
            if not self._current(moves, place):
                continue
            allowed = rate * float(moves.saving[place])
            most = screening.patience * abs(allowed)
            rise = done = 0
            while done < last and not (done and rise > most * math.sqrt(done / self.rows)):
                end = min(done + max(done, screening.first_rows), last)
                rise += self._walk(moves, place, self._every[done:end], keep=False)
                done = end
            moves.rise[place] = rise // done * self.rows if done < self.rows else rise
            if done < self.rows:
                continue
            if not make or not rise < allowed:
                continue
            self.loss += self._walk(moves, place, self._every, keep=True)
            if moves.kind[place] == SILENCE:
                self._cut(int(moves.layer[place]), int(moves.output[place]))
            moves.taken[place] = 1
            made += 1
        return made

    def _current(self, moves: Moves, place: int) -> bool:
        if moves.kind[place] == FEATURE:
            return bool(self._features.versions[moves.input[place]] == moves.old[place])
        state, output = self.states[moves.layer[place]], moves.output[place]
        if moves.kind[place] == NEURON and lacks(state)[output] != moves.old[place]:
            return False
        if moves.kind[place] == BIAS and state.bias[output] != moves.old[place]:
            return False
        if moves.kind[place] == WEIGHT and state.weight[moves.input[place], output] != moves.old[place]:
            return False
        if not moves.offset[place]:
            return True
        low, high = state.bias_range
        return bool(low <= state.bias[output] + moves.offset[place] <= high)

    def _settle(self) -> int:
        for state in self.states:
            given = self.values(state.source)
            if state.merge:
                second = self.values(state.other) << state.other_shift
                first = given << state.shift
                state.sums[:] = first + second if state.merge == 1 else np.concatenate([first, second])
            else:
                state.sums[:] = ((state.weight.T @ given) << state.shift) + state.bias[:, None]
            for output in range(state.n_out):
                state.values[output] = activated(state, output, state.sums[output])
        self._losses = self._loss(self.states[-1].values, self._every)
        return int(self._losses.sum())

    def _walk(self, moves: Moves, place: int, rows: NDArray[np.int64], *, keep: bool) -> int:
        """The increase of the loss over these rows; with ``keep`` (all rows), the change is made."""
        kind, at = int(moves.kind[place]), int(moves.layer[place])
        input_, output = int(moves.input[place]), int(moves.output[place])
        if kind == FEATURE:
            return self._walk_feature(input_, int(moves.value[place]), rows, keep=keep)
        state = self.states[at]
        sums = state.sums[output, rows] + moves.offset[place]
        if kind == WEIGHT:
            step = (moves.value[place] - state.weight[input_, output]) << state.shift
            sums = sums + step * self.values(state.source)[input_, rows]
        if kind == NEURON:
            state.lacking[moves.value[place], output] += 1
        values = np.zeros_like(sums) if kind == SILENCE else activated(state, output, sums)
        if kind == NEURON and not keep:
            state.lacking[moves.value[place], output] -= 1
        if keep:
            state.sums[output] = sums
            state.bias[output] += moves.offset[place]
            if kind == WEIGHT:
                state.weight[input_, output] = moves.value[place]
        difference = values - state.values[output, rows]
        moved = difference != 0
        rows, difference = rows[moved], difference[moved]
        if not len(rows):
            return 0
        if keep:
            state.values[output, rows] += difference
        return self._spread(at, {output: difference}, rows, keep=keep)

    def _walk_feature(self, number: int, change: int, rows: NDArray[np.int64], *, keep: bool) -> int:
        old = self._inputs[number, rows]
        fresh = np.zeros_like(old)
        if change != UNREAD:
            fresh = self._features.alternatives[change, number, rows].astype(np.int64)
        difference = fresh - old
        moved = difference != 0
        rows, difference = rows[moved], difference[moved]
        if keep:
            self._features.versions[number] += 1
            self._inputs[number, rows] += difference
        return self._spread(INPUTS, {number: difference}, rows, keep=keep) if len(rows) else 0

    def _spread(
        self, at: int, changed: dict[int, NDArray[np.int64]], rows: NDArray[np.int64], *, keep: bool
    ) -> int:
        differences = {at: changed}
        last = len(self.states) - 1
        outputs = self.states[last].values[:, rows]
        if at == last and not keep:
            outputs = outputs.copy()
            for output, difference in changed.items():
                outputs[output] += difference
        for number in range(at + 1, len(self.states)):
            state = self.states[number]
            gained = self._gained(state, differences, len(rows))
            if not gained:
                continue
            found = {}
            for output, gain in gained.items():
                sums = state.sums[output, rows] + gain
                values = activated(state, output, sums)
                difference = values - state.values[output, rows]
                if keep:
                    state.sums[output, rows] = sums
                    state.values[output, rows] = values
                if difference.any():
                    found[output] = difference
            differences[number] = found
            if number == last:
                outputs = outputs.copy()
                for output, difference in found.items():
                    outputs[output] = outputs[output] + difference
        if not differences.get(last):
            return 0
        fresh = self._loss(outputs, rows)
        rise = int((fresh - self._losses[rows]).sum())
        if keep:
            self._losses[rows] = fresh
        return rise

    @staticmethod
    def _gained(
        state: LayerState, differences: dict[int, dict[int, NDArray[np.int64]]], count: int
    ) -> dict[int, NDArray[np.int64]]:
        """Output -> change of its sum."""
        gained: dict[int, NDArray[np.int64]] = {}
        sides = ((state.source, state.shift, 0), (state.other, state.other_shift, state.n_in))
        for source, shift, start in sides:
            if source == NOBODY:
                continue
            for place, difference in differences.get(source, {}).items():
                if state.merge:
                    outputs = np.array([place + start if state.merge == 2 else place])
                    factors = np.ones(1, np.int64)
                else:
                    outputs = np.flatnonzero(state.weight[place])
                    factors = state.weight[place, outputs]
                for output, factor in zip(outputs.tolist(), factors.tolist(), strict=True):
                    if output not in gained:
                        gained[output] = np.zeros(count, np.int64)
                    gained[output] += (factor << shift) * difference
        return dict(sorted(gained.items()))

    def _cut(self, at: int, output: int) -> None:
        for state in self.states[at + 1 :]:
            if state.source == at and not state.merge:
                state.weight[output] = 0


def lacks(state: LayerState) -> NDArray[np.int64]:
    """The bits that each neuron's type lacks, as one number, (n_out,)."""
    found: NDArray[np.int64] = state.lacking[0].astype(np.int64) * 256 + state.lacking[1]
    return found


def activated(state: LayerState, output: int, sums: NDArray[np.int64]) -> Any:
    """Sums -> values of a neuron."""
    values = _limited(state.sum_limit, sums)
    if state.rectified == RELU:
        values = np.maximum(values, 0)
    elif state.rectified == LEAKY:
        values = np.where(values > 0, values << state.leak, values)
    if state.rounding == HAND_ON:
        return values
    low_bits, high_bits = state.lacking[:, output].tolist()
    overflow, lowest, highest = state.limit
    high = highest >> (low_bits + high_bits)
    low = -high if lowest == -highest else lowest >> (low_bits + high_bits)
    rounded = _rounded(state.rounding, state.result_shift + low_bits, values)
    return _limited((overflow, low, high), rounded) << low_bits


def _rounded(mode: int, shift: int, values: NDArray[np.int64]) -> Any:
    if shift <= 0:
        return values << -shift
    half, floor = 1 << (shift - 1), values >> shift
    rest = values - (floor << shift)
    beyond, tie = rest > half, rest == half
    name = ROUNDINGS[mode]
    if name == "TRN":
        return floor
    if name == "TRN_ZERO":
        return floor + ((values < 0) & (rest != 0))
    if name == "RND":
        return floor + (rest >= half)
    if name == "RND_MIN_INF":
        return floor + beyond
    if name == "RND_INF":
        return floor + (beyond | (tie & (values >= 0)))
    if name == "RND_ZERO":
        return floor + (beyond | (tie & (values < 0)))
    return floor + (beyond | (tie & ((floor & 1) == 1)))


def _limited(limit: tuple[int, int, int], values: NDArray[np.int64]) -> Any:
    overflow, low, high = limit
    if overflow == NO_LIMIT:
        return values
    if overflow == SATURATE:
        return np.clip(values, low, high)
    if overflow == ZERO:
        return np.where((values < low) | (values > high), 0, values)
    return ((values - low) & (high - low)) + low
