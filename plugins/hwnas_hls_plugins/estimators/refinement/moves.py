"""The single changes of a network to try, and their savings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Dense
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight
from hwnas_hls_plugins.estimators.refinement.arithmetic import (
    BIAS,
    FEATURE,
    INPUTS,
    NEURON,
    SILENCE,
    WEIGHT,
    Moves,
    lacks,
)
from hwnas_hls_plugins.estimators.refinement.constants import cheaper, coarse, constants
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures
from hwnas_hls_plugins.estimators.refinement.growth import connections, slopes
from hwnas_hls_plugins.estimators.refinement.laws import (
    MILLI,
    lut_of_activation,
    lut_of_constants,
    lut_of_weights,
)
from hwnas_hls_plugins.estimators.refinement.losses import Loss
from hwnas_hls_plugins.estimators.refinement.network import NOBODY, LayerState
from hwnas_hls_plugins.estimators.refinement.neurons import digit_prices, savings, spare_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Maximum distance of cheaper values from a weight; 0 is always tried.
_REACH = 256
#: A change that saves nothing is priced as if it cost this many thousandths of a LUT.
_EFFORT = 500
_FIELDS = ("kind", "layer", "input", "output", "value", "offset", "saving", "old")


class Trials(Protocol):
    """The network that moves apply to."""

    states: list[LayerState]
    rows: int

    def values(self, number: int) -> NDArray[Any]: ...


class Neighbours:
    """The new values to try for a weight of a layer, given its current value.

    Args:
        layer, number, design: the layer and its position.
    """

    def __init__(self, layer: Dense, number: int, design: Design) -> None:
        self._layer, self._source = layer, design.layer_types()[number][0]
        self._known: dict[int, NDArray[np.int64]] = {}

    def cost(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """Thousandths of a LUT of each weight."""
        return lut_of_weights(self._layer, self._source, weights)

    def of(self, value: int) -> NDArray[np.int64]:
        """The new values: cheaper ones on both sides, and direct neighbours that do not cost more."""
        if value not in self._known:
            self._known[value] = self._found(value)
        return self._known[value]

    def _found(self, value: int) -> NDArray[np.int64]:
        if value == 0:
            return np.zeros(0, np.int64)
        kind, away = self._layer.weight, 1 if value > 0 else -1
        found = [0]
        # In both directions, every value that is cheaper than all nearer ones.
        ends = (0, kind.highest if value > 0 else kind.lowest)
        for step, end in zip((-away, away), ends, strict=True):
            count = min(abs(end - value), _REACH)
            line = value + step * np.arange(count + 1)
            cost = self.cost(line)
            least = np.minimum.accumulate(cost)
            found += line[1:][cost[1:] < least[:-1]].tolist()
        near = [near for near in (value - 1, value + 1) if kind.lowest <= near <= kind.highest]
        own = int(self.cost(np.array([value]))[0])
        near = [one for one in near if int(self.cost(np.array([one]))[0]) <= own]
        return np.array(list(dict.fromkeys([*found, *near])), np.int64)


class MoveList:
    """The moves of a network.

    Args:
        design: as it was at the start; types of layers do not change.
        features: types of the inputs; they may change.
    """

    def __init__(self, design: Design, features: InputFeatures) -> None:
        self._design, self._features = design, features
        layers = design.architecture.layers
        self._neighbours = {
            number: Neighbours(layer, number, design)
            for number, layer in enumerate(layers)
            if isinstance(layer, Dense)
        }
        self._silent = {number: _only_dense(design, number) for number in self._neighbours}

    def cost(self, states: Sequence[LayerState]) -> int:
        """The cost of all weights and biases that reach an output, in thousandths of a LUT."""
        total = 0
        for number in self._neighbours:
            read = _read(states, number) if self._silent[number] else slice(None)
            total += int(self._cost(states, number, states[number].weight[:, read]).sum())
            if self._adds(number):
                total += int(lut_of_constants(constants(states[number])[read]).sum())
        return total

    def _adds(self, number: int) -> bool:
        """Whether the constants of a layer are adders of their own."""
        layer = self._design.architecture.layers[number]
        return isinstance(layer, Dense) and layer.strategy == "distributed_arithmetic"

    def _grows(self, number: int) -> bool:
        """Whether a layer may get new connections: not beyond the sparsity that its architecture promises."""
        architecture = self._design.architecture
        layer = architecture.layers[number]
        return isinstance(layer, Dense) and (layer.sparsity == 0 or architecture.kept_adders < 1)

    def _cost(self, states: Sequence[LayerState], number: int, weights: NDArray[Any]) -> NDArray[np.int64]:
        """Thousandths of a LUT of weights, (n_in, any): digits have the price of the value that they read."""
        weights = weights.astype(np.int64)
        prices = self._prices(states, number)
        if prices is None:
            return self._neighbours[number].cost(weights)
        priced: NDArray[np.int64] = csd_weight(weights) * prices[:, None]
        return priced

    def _prices(self, states: Sequence[LayerState], number: int) -> NDArray[np.int64] | None:
        """Thousandths of a LUT of a digit of each value that a layer reads, (n_in,), if each has its own."""
        if not self._features.priced:
            return None
        source = states[number].source
        if source == INPUTS:
            return self._features.prices()
        return digit_prices(states[source], self._design.layer_types()[number][0])

    def of(self, trials: Trials, hot: Sequence[NDArray[np.bool_]], loss: Loss, price: float) -> Moves:
        """All moves for the current network.

        Args:
            hot: per layer, (n_in + 1, n_out): the weights to try, the biases last.
            loss: of the outputs.
            price: loss per LUT, for the choice of new connections.
        """
        none = np.zeros(0, np.int64)
        parts = [[none] * len(_FIELDS)]
        narrow = any(state.bits for state in trials.states)
        spare = spare_bits(trials.states, *self._features.ends()) if narrow else []
        found = slopes(trials, loss)
        for number, neighbours in self._neighbours.items():
            parts += self._of_weights(trials, number, neighbours, hot[number][:-1])
            if self._grows(number):
                parts += self._of_connections(trials, number, found[number], price)
            parts += self._of_biases(trials, number, hot[number][-1])
            if self._silent[number]:
                parts += self._of_neurons(trials.states, number)
            if trials.states[number].bits:
                parts += self._of_results(trials.states, number, spare[number])
        if self._features.moves:
            parts += self._of_features(trials.states)
        columns = {
            name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(_FIELDS)
        }
        count = len(columns["kind"])
        return Moves(**columns, rise=np.zeros(count, np.int64), taken=np.zeros(count, np.uint8))

    def _of_weights(
        self, trials: Trials, number: int, neighbours: Neighbours, hot: NDArray[np.bool_]
    ) -> list[list[NDArray[np.int64]]]:
        state = trials.states[number]
        inputs, outputs = np.nonzero((state.weight != 0) & hot)
        old = state.weight[inputs, outputs].astype(np.int64)
        if not len(old):
            return []
        known, which = np.unique(old, return_inverse=True)
        lists = [neighbours.of(int(value)) for value in known]
        counts = np.array([len(one) for one in lists])[which]
        starts = np.concatenate([[0], np.cumsum([len(one) for one in lists])])[which]
        # One entry per weight and value: the index of the weight, and an index in the joined lists.
        owner = np.repeat(np.arange(len(old)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        value = np.concatenate(lists)[np.repeat(starts, counts) + within]
        before = old[owner]
        return [self._entry_of_weights(trials, number, inputs[owner], outputs[owner], before, value)]

    def _of_connections(
        self, trials: Trials, number: int, slope: NDArray[np.float64], price: float
    ) -> list[list[NDArray[np.int64]]]:
        """Weights of zero that may become a power of two."""
        state = trials.states[number]
        layer = self._design.architecture.layers[number]
        if not isinstance(layer, Dense):
            return []
        digit_lut = self._cost(trials.states, number, np.ones((state.n_in, 1), np.int64))[:, 0] / MILLI
        new = connections(state, slope, layer.weight, digit_lut, price)
        before = np.zeros_like(new.value)
        return [self._entry_of_weights(trials, number, new.input, new.output, before, new.value)]

    def _entry_of_weights(
        self, trials: Trials, number: int, *columns: NDArray[np.int64]
    ) -> list[NDArray[np.int64]]:
        """Moves of weights; ``columns`` are their inputs and outputs, and the old and the new values."""
        inputs, outputs, before, value = columns
        state, neighbours = trials.states[number], self._neighbours[number]
        prices = self._prices(trials.states, number)
        if prices is not None:
            saving = (csd_weight(before) - csd_weight(value)) * prices[inputs]
        else:
            saving = neighbours.cost(before) - neighbours.cost(value)
        offset = np.zeros_like(value)
        if state.bias_step:
            # The bias compensates the mean contribution of the weight.
            mean = trials.values(state.source).sum(axis=1, dtype=np.int64) / trials.rows
            lost = ((before - value) << state.shift) * mean[inputs]
            offset = np.rint(lost / state.bias_step).astype(np.int64) * state.bias_step
            if self._adds(number):
                now = constants(state)[outputs]
                offset = coarse(now, offset, state)
                saving = saving + lut_of_constants(now) - lut_of_constants(now + offset)
        return self._entry(WEIGHT, number, inputs, outputs, value, offset, _worth(saving), before)

    def _of_biases(
        self, trials: Trials, number: int, hot: NDArray[np.bool_]
    ) -> list[list[NDArray[np.int64]]]:
        state = trials.states[number]
        if not state.bias_step:
            return []
        # From the finest step to a change of two.
        coarsest = max(state.bias_step, 2 << max(state.result_shift, 0))
        steps = [state.bias_step]
        while steps[-1] * 4 <= coarsest:
            steps.append(steps[-1] * 4)
        offsets = np.array([sign * step for step in steps for sign in (1, -1)], np.int64)
        output = np.repeat(np.arange(state.n_out), len(offsets))
        offset = np.tile(offsets, state.n_out)
        now = constants(state)
        if self._adds(number):
            further, places = cheaper(now, state.bias_step)
            output, offset = np.concatenate([output, places]), np.concatenate([offset, further])
        output, offset = output[hot[output]], offset[hot[output]]
        saving = np.zeros_like(offset)
        if self._adds(number):
            saving = lut_of_constants(now[output]) - lut_of_constants(now[output] + offset)
        none, old = np.zeros_like(offset), state.bias[output].astype(np.int64)
        return [self._entry(BIAS, number, none, output, none, offset, _worth(saving), old)]

    def _of_neurons(self, states: Sequence[LayerState], number: int) -> list[list[NDArray[np.int64]]]:
        """The neurons that are still used and could be removed."""
        output = np.flatnonzero(_read(states, number))
        saving = self._cost(states, number, states[number].weight).sum(axis=0)[output]
        saving = saving + lut_of_activation(self._design.layer_types()[number][2])
        for reader, state in enumerate(states):
            if state.source == number:
                saving = saving + self._cost(states, reader, state.weight).sum(axis=1)[output]
        none = np.zeros_like(output)
        return [self._entry(SILENCE, number, none, output, none, none, saving, none)]

    def _of_results(
        self, states: Sequence[LayerState], number: int, spare: NDArray[np.int64]
    ) -> list[list[NDArray[np.int64]]]:
        """Neurons that are read, to lose the lowest or the highest bit of their result."""
        state = states[number]
        digits = csd_weight(states[number + 1].weight.astype(np.int64)).sum(axis=1)
        parts = []
        for bit, saved in enumerate(savings(state, digits, spare)):
            output = np.flatnonzero(saved)
            none = np.zeros_like(output)
            old = lacks(state)[output]
            parts.append(self._entry(NEURON, number, none, output, none + bit, none, saved[output], old))
        return parts

    def _of_features(self, states: Sequence[LayerState]) -> list[list[NDArray[np.int64]]]:
        """Features that are read, to lose their lowest bit, their highest one, or all."""
        digits = np.zeros(self._design.architecture.n_in, np.int64)
        for number, state in enumerate(states):
            if state.source == INPUTS:
                read = _read(states, number) if self._silent[number] else slice(None)
                digits += csd_weight(state.weight[:, read].astype(np.int64)).sum(axis=1)
        places, saving = self._features.savings(digits)
        if not len(places):
            return []
        features, change = places.T
        none = np.zeros_like(saving)
        old = self._features.versions[features]
        return [self._entry(FEATURE, INPUTS, features, none, change, none, saving, old)]

    @staticmethod
    def _entry(kind: int, number: int, *columns: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        count = len(columns[0])
        heads = (np.full(count, kind, np.int64), np.full(count, number, np.int64))
        return [*heads, *(np.ascontiguousarray(column, np.int64) for column in columns)]


def _worth(saving: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(saving > 0, saving, saving - _EFFORT)


def _only_dense(design: Design, number: int) -> bool:
    """Whether a layer is read, and only by dense layers."""
    layers = design.architecture.layers
    readers = [reader for reader in range(len(layers)) if number in design.architecture.sources(reader)]
    return bool(readers) and all(isinstance(layers[reader], Dense) for reader in readers)


def _read(states: Sequence[LayerState], number: int) -> NDArray[np.bool_]:
    """Which outputs of a layer are read."""
    read = np.zeros(states[number].n_out, bool)
    for state in states:
        if state.source == number and state.other == NOBODY:
            read |= (state.weight != 0).any(axis=1)
    return read
