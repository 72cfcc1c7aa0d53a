"""New connections of a network under refinement: weights of zero that could reduce the loss.

The gradient selects the connections that are tried, and trials with the exact loss decide. The gradient
consists of whole numbers, so it does not depend on the order of summation either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hwnas_hls.network.layers import INPUT
from hwnas_hls_plugins.estimators.refinement.losses import Loss
from hwnas_hls_plugins.estimators.refinement.network import (
    HAND_ON,
    LEAKY,
    NO_LIMIT,
    NOBODY,
    RELU,
    LayerState,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.precision import FixedType

#: Maximum number of rows of the gradient.
_ROWS = 2048
#: Bits of the gradient at a sum. With values of up to 26 bits, its products with 2,048 rows are exact.
_BITS = 16
#: New connections that are tried in a layer: per weight that is not zero, and the least maximum.
_PER_WEIGHT, _LEAST_TRIED = 0.25, 32
#: Their weights, in halvings of the neuron's median weight.
_HALVINGS = (0, 1)


class Network(Protocol):
    """The network under trial."""

    states: list[LayerState]
    rows: int

    def values(self, number: int) -> NDArray[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Connections:
    """Connections to try: ``input``, ``output`` and the new weight of each, int64 (connections,)."""

    input: NDArray[np.int64]
    output: NDArray[np.int64]
    value: NDArray[np.int64]


def slopes(network: Network, loss: Loss) -> list[NDArray[np.float64]]:
    """The gradient of the loss at the weights of each layer, (n_in, n_out); empty for merges.

    In nats (or half squared units) per least significant bit of a weight, averaged over the first 2,048 rows.
    It passes straight through roundings, and not where a value is cut off.
    """
    states, rows = network.states, np.arange(min(network.rows, _ROWS))
    last = len(states) - 1
    at_outputs, unit = loss.slopes(network.values(last)[:, rows].astype(np.int64), rows)
    # layer -> the gradient at its values, whole numbers, and their unit.
    reaching: dict[int, tuple[NDArray[np.float64], float]] = {last: (at_outputs, unit)}
    found: list[NDArray[np.float64]] = [np.zeros((0, 0))] * len(states)
    for number in range(last, -1, -1):
        if number not in reaching:
            # No output depends on this layer.
            found[number] = np.zeros(states[number].weight.shape)
            continue
        state = states[number]
        slope, unit = _coarse(*reaching.pop(number))
        slope = slope * _passing(state, state.sums[:, rows], state.values[:, rows])
        unit *= _step(state)
        if state.merge:
            first = slope if state.merge == 1 else slope[: state.n_in]
            second = slope if state.merge == 1 else slope[state.n_in :]
            _reach(reaching, state.source, first, unit * 2.0**state.shift)
            _reach(reaching, state.other, second, unit * 2.0**state.other_shift)
            continue
        unit *= 2.0**state.shift
        given = network.values(state.source)[:, rows].astype(np.float64)
        found[number] = (given @ slope.T) * (unit / len(rows))
        _reach(reaching, state.source, state.weight.astype(np.float64) @ slope, unit)
    return found


def connections(
    state: LayerState,
    slope: NDArray[np.float64],
    kind: FixedType,
    digit_lut: NDArray[np.float64],
    price: float,
) -> Connections:
    """The connections of a layer whose gain may exceed their price; the most promising ones.

    Args:
        slope: one of :func:`slopes`.
        kind: the type of the weights.
        digit_lut: LUTs of a weight of one digit, by input, (n_in,).
        price: loss per LUT.
    """
    weight = state.weight
    size = _typical(weight)
    gain = np.abs(slope) * size
    free = (weight == 0) & (size > 0) & (gain > price * digit_lut[:, None])
    inputs, outputs = np.nonzero(free)
    rank = np.argsort(-gain[inputs, outputs] / digit_lut[inputs], kind="stable")
    most = max(_LEAST_TRIED, int(_PER_WEIGHT * np.count_nonzero(weight)))
    inputs, outputs = inputs[rank[:most]], outputs[rank[:most]]
    down = -np.sign(slope[inputs, outputs])
    values = [np.trunc(down * size[outputs] / 2**halving) for halving in _HALVINGS]
    value = np.clip(np.concatenate(values), kind.lowest, kind.highest).astype(np.int64)
    tried = value != 0
    repeated = len(_HALVINGS)
    return Connections(np.tile(inputs, repeated)[tried], np.tile(outputs, repeated)[tried], value[tried])


def _typical(weight: NDArray[Any]) -> NDArray[np.float64]:
    """The power of two up to the median weight of each neuron, (n_out,); 0 for neurons without weights."""
    ordered = np.sort(np.abs(weight.astype(np.int64)), axis=0)
    zeros = (ordered == 0).sum(axis=0)
    middle = np.minimum(zeros + (len(ordered) - zeros) // 2, len(ordered) - 1)
    median = np.take_along_axis(ordered, middle[None, :], axis=0)[0]
    return np.where(median > 0, np.exp2(np.frexp(median.astype(np.float64))[1] - 1), 0.0)


def _coarse(slope: NDArray[np.float64], unit: float) -> tuple[NDArray[np.float64], float]:
    """Whole numbers rounded to at most :data:`_BITS` bits, and their unit."""
    excess = int(np.frexp(np.abs(slope).max(initial=0.0))[1]) - _BITS
    if excess <= 0:
        return slope, unit
    return np.rint(np.ldexp(slope, -excess)), unit * 2.0**excess


def _passing(state: LayerState, sums: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """The slope of each value over its sum, up to the factor of :func:`_step`, (n_out, rows)."""
    slope = np.ones(sums.shape)
    if state.rectified == RELU:
        slope[sums <= 0] = 0.0
    elif state.rectified == LEAKY:
        slope[sums > 0] = 2.0**state.leak
    overflow, lowest, highest = state.limit
    if overflow != NO_LIMIT:
        low_bits, high_bits = state.lacking.astype(np.int64)[:, :, None]
        slope[values >= (highest >> (low_bits + high_bits)) << low_bits] = 0.0
        if state.rectified != RELU:
            slope[values <= (lowest >> (low_bits + high_bits)) << low_bits] = 0.0
    return slope


def _step(state: LayerState) -> float:
    """How far a value moves with its sum, in least significant bits of both."""
    return 1.0 if state.rounding == HAND_ON else 2.0**-state.result_shift


def _reach(
    reaching: dict[int, tuple[NDArray[np.float64], float]],
    source: int,
    slope: NDArray[np.float64],
    unit: float,
) -> None:
    """A gradient reaches the values of a layer, in addition to those that have."""
    if source in (INPUT, NOBODY):
        return
    if source in reaching:
        there, own = reaching[source]
        common = min(unit, own)
        slope, unit = slope * (unit / common) + there * (own / common), common
    reaching[source] = slope, unit
