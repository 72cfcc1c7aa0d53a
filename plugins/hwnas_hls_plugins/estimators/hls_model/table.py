"""Designs as arrays, one entry per layer or per design: the laws compute all designs at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import STAGES, LayerQuery, Query
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import nearest_legal
from hwnas_hls_plugins.estimators.feature_bits import digit_price
from hwnas_hls_plugins.estimators.hls_model.conditions import (
    Conditions,
    DesignArrays,
    conditions_of,
    design_arrays,
)
from hwnas_hls_plugins.estimators.hls_model.constants import (
    LEVELS,
    MAX_BITS,
    ConstantCost,
    constant_cost,
    csd_weight,
)
from hwnas_hls_plugins.estimators.hls_model.layer_arrays import LayerArrays
from hwnas_hls_plugins.estimators.hls_model.prior import (
    ALONE,
    EXPECTED,
    FEW,
    OWN,
    UNPRUNED,
    WIDE,
    WIDE_BITS,
    BlindLayers,
    WeightPrior,
    expected_costs,
)

FloatArray = NDArray[np.float64]

LATENCY, RESOURCE, DISTRIBUTED, UNROLLED = 0, 1, 2, 3
ACTIVATION_CODES = {
    "linear": 0,
    "relu": 1,
    "softmax": 2,
    "sigmoid": 3,
    "tanh": 3,
    "hard_sigmoid": 4,
    "hard_tanh": 4,
    "leaky_relu": 5,
    "prelu": 4,
    "thresholded_relu": 5,
    "elu": 6,
    "selu": 6,
    "softplus": 3,
    "softsign": 3,
    "binary_tanh": 4,
    "ternary_tanh": 4,
}
#: Spellings of strategies that hls4ml builds as asked; every other becomes ``Latency``.
STRATEGY_NAMES = (
    "latency",
    "resource",
    "compressed",
    "distributed_arithmetic",
    "da",
    "resource_unrolled",
    "resourceunrolled",
)
BLIND, COUNTED, WEIGHTS = 0, 1, 2
KNOWLEDGE = ("architecture only", "non-zeros known", "weights known")


def strategy_code(layer: LayerQuery) -> int:
    """The strategy that hls4ml really builds: an unknown spelling becomes ``Latency``."""
    return strategy_code_of(layer.strategy, layer.reuse_factor == 1)


@functools.lru_cache(maxsize=1024)
def strategy_code_of(strategy: str, whole: bool) -> int:
    """The code of a spelling; ``whole``: at reuse factor 1."""
    name = strategy.strip().lower()
    if name in ("resource", "compressed"):
        return RESOURCE
    if name in ("distributed_arithmetic", "da"):
        return DISTRIBUTED
    if name in ("resource_unrolled", "resourceunrolled"):
        return RESOURCE if whole else UNROLLED
    return LATENCY


@dataclass(frozen=True, slots=True, eq=False)
class DesignTable:
    """Designs as arrays.

    Attributes:
        layer: of the layers of all designs.
        owner: (layers,) index of each layer's design, ascending.
        design: of the designs.
        conditions: that designs are built under, each once.
        condition: (designs,) index of each design's conditions.
        queries: what was asked, in order; empty in a block.
    """

    layer: LayerArrays
    owner: NDArray[np.int64]
    design: DesignArrays
    conditions: Sequence[Conditions]
    condition: NDArray[np.int64]
    queries: Sequence[Query] = ()

    @property
    def count(self) -> int:
        """Number of designs."""
        return self.condition.size

    def of_layers(self, values: FloatArray) -> FloatArray:
        """An array of designs, (designs,), with one entry per layer, (layers,)."""
        return values[self.owner]

    def total(self, values: FloatArray) -> FloatArray:
        """Sum over each design of an array of layers, (layers,) -> (designs,)."""
        sums = np.bincount(self.owner, weights=values, minlength=self.count)
        out: FloatArray = sums.astype(np.float64, copy=False)
        return out

    def largest(self, values: FloatArray | NDArray[np.bool_]) -> FloatArray:
        """Maximum over each design of an array of layers, at least 0; 0 for a design without layers."""
        out = np.zeros(self.count)
        if self.owner.size:
            starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
            out[self.owner[starts]] = np.maximum(np.maximum.reduceat(values, starts), 0.0)
        return out

    def at_stage(self, stage: str) -> DesignTable:
        """The same designs, reported at another stage."""
        conditions = tuple(replace(each, stage=stage) for each in self.conditions)
        stages = np.full(self.count, float(STAGES.index(stage)))
        return replace(self, conditions=conditions, design=replace(self.design, stage=stages))

    def with_layers(self, rows: NDArray[np.int64]) -> DesignTable:
        """The same designs with some of their layers only."""
        if rows.size == self.owner.size:
            return self
        return replace(self, layer=self.layer.at(rows), owner=self.owner[rows])

    def blocks(self, designs: int) -> Iterator[DesignTable]:
        """Tables of so many designs each, without their queries; arrays are views."""
        for first in range(0, self.count, designs):
            last = min(first + designs, self.count)
            left, right = (int(row) for row in np.searchsorted(self.owner, (first, last)))
            yield DesignTable(
                self.layer.at(slice(left, right)),
                self.owner[left:right] - first,
                DesignArrays(
                    *(getattr(self.design, name)[first:last] for name in DesignArrays.__dataclass_fields__)
                ),
                self.conditions,
                self.condition[first:last],
            )


#: Layers that are worked out together: their arrays stay in a core's cache.
_BLOCK_LAYERS = 8192
#: The types of a layer, by the prefixes of :class:`LayerArrays`.
_TYPES = ("in", "w", "acc", "out", "result")


def _settings(layers: Sequence[LayerQuery]) -> dict[str, FloatArray]:
    """What queries decide of layers besides types, named as in :class:`LayerArrays`; each array (layers,)."""
    found = {
        "n_in": [layer.n_in for layer in layers],
        "n_out": [layer.n_out for layer in layers],
        "reuse": [layer.reuse_factor for layer in layers],
        "strategy": [strategy_code(layer) for layer in layers],
        "activation": [ACTIVATION_CODES.get(layer.activation, 0) for layer in layers],
        "batch": [layer.normalisation != "none" for layer in layers],
        "has_bias": [layer.bias is not None for layer in layers],
        "to_dsp": [layer.multipliers == "dsp" for layer in layers],
        "to_fabric": [layer.multipliers == "fabric" for layer in layers],
    }
    asked = {name: np.array(values, np.float64) for name, values in found.items()}
    asked["legal_reuse"] = legal = asked["reuse"].copy()
    for row in np.flatnonzero((asked["strategy"] == RESOURCE) | (asked["strategy"] == UNROLLED)).tolist():
        layer = layers[row]
        legal[row] = nearest_legal(layer.n_in, layer.n_out, "Resource", max(1, layer.reuse_factor))
    return asked


def _type_arrays(kinds: Sequence[FixedType]) -> dict[str, FloatArray]:
    """The bits, fractional bits and modes of types, named as in :class:`LayerArrays`.

    Args:
        kinds: of all layers, first all inputs, then the weights and so on as in :data:`_TYPES`.
    """
    # Equal types are mostly the same object, and identities are compared faster than types.
    identities = np.fromiter(map(id, kinds), np.int64, len(kinds))
    _, places, number = np.unique(identities, return_index=True, return_inverse=True)
    distinct = [kinds[place] for place in places.tolist()]
    facts = {
        "bits": [kind.width for kind in distinct],
        "fraction": [kind.fraction for kind in distinct],
        "modes": [(kind.rounding != "TRN") + (kind.overflow != "WRAP") for kind in distinct],
    }
    number = number.reshape(len(_TYPES), -1)
    return {
        f"{name}_{fact}": np.array(values, np.float64)[number[place]]
        for fact, values in facts.items()
        for place, name in enumerate(_TYPES)
    }


def _bits_read(
    features: Sequence[FixedType | None], weights: NDArray[np.int64], whole: FixedType, *, neurons: bool
) -> int:
    """Bits of features with types of their own: what the adder of a digit takes on average.

    Args:
        features: the types of the single values of the input.
        weights: of the layer, (n_in, n_out).
        whole: the type of the input.
        neurons: whether another layer gives it.
    """
    digits = csd_weight(weights).sum(axis=1)
    if not digits.any():
        return whole.width
    prices = np.array([digit_price(kind, whole, neuron=neurons) for kind in features])
    return max(1, round(float(digits @ prices / digits.sum()) - 1.0))


def tabulate(queries: Sequence[Query], prior: WeightPrior | None = None) -> DesignTable:
    """Arrays of all layers of all queries, weight statistics included.

    Args:
        prior: of unknown weights; ``None`` takes the one that ships.
    """
    layers = [layer for query in queries for layer in query.layers]
    n_layers = np.array([len(query.layers) for query in queries], np.int64)
    owner = np.repeat(np.arange(n_layers.size), n_layers)
    accums = [layer.sum_type for layer in layers]
    sums = [layer.dense_out or accum for layer, accum in zip(layers, accums, strict=True)]
    results = [layer.result or out for layer, out in zip(layers, sums, strict=True)]
    kinds = [layer.input for layer in layers] + [layer.weight for layer in layers] + accums + sums + results
    asked = _settings(layers) | _type_arrays(kinds)
    asked["first"] = np.diff(owner, prepend=-1).astype(bool).astype(np.float64)
    asked["last"] = np.diff(owner, append=-1).astype(bool).astype(np.float64)
    habits = np.array([habit_of(query.layers) for query in queries], np.float64)
    asked["habit"] = np.where([layer.unpruned for layer in layers], float(UNPRUNED), habits[owner])
    counts = [np.nan if layer.n_nonzeros is None else layer.n_nonzeros for layer in layers]
    nonzeros = np.minimum(np.array(counts, np.float64), asked["n_in"] * asked["n_out"])
    knowledge = np.where(np.isnan(nonzeros), float(BLIND), float(COUNTED))
    asked |= {"known_nonzeros": nonzeros, "knowledge": knowledge}
    exact: list[tuple[int, ConstantCost]] = []
    for row, layer in enumerate(layers):
        if layer.weights is None:
            continue
        source, weight = layer.input, layer.weight
        if max(source.width, weight.width) <= MAX_BITS:
            knowledge[row], nonzeros[row] = WEIGHTS, np.count_nonzero(layer.weights)
            if asked["strategy"][row] != RESOURCE or asked["legal_reuse"][row] == 1:
                biased = layer.bias is not None
                cost = constant_cost(layer.weights, source, weight, accums[row], layer.biases, biased)
                exact.append((row, cost))
        if layer.features:
            neurons = not asked["first"][row]
            asked["in_bits"][row] = _bits_read(layer.features, layer.weights, source, neurons=neurons)
    costs, live = _expected(asked, prior)
    for row, cost in exact:
        for name in EXPECTED:
            costs[name][row] = getattr(cost, name)
        live[row] = cost.live_bits
    conditions, condition = conditions_of(queries)
    design = design_arrays(conditions, condition, n_layers)
    found = asked | costs | {"live_bits": live}
    arrays = LayerArrays(**{name: found[name] for name in LayerArrays.__dataclass_fields__})
    return DesignTable(arrays, owner, design, conditions, condition, queries)


def habit_of(layers: Sequence[LayerQuery]) -> int:
    """How a design's weights are typed, a place in ``HABITS``."""
    if len(layers) <= 1:
        return ALONE
    # The first question is answered fastest, and mostly with no.
    if (
        all(layer.bias is not None and layer.bias == layer.accum for layer in layers)
        and len({layer.weight for layer in layers}) > 1
        and len({layer.accum for layer in layers}) > 1
    ):
        return OWN
    return FEW if min(layer.weight.width for layer in layers) < WIDE_BITS else WIDE


def _expected(
    asked: dict[str, FloatArray], prior: WeightPrior | None
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Expected cost of the constants: name -> (layers,), and the live bits, (layers, LEVELS)."""
    size = asked["n_in"].size
    # Where multipliers are shared, weights lie in memory, and what they are costs nothing.
    unrolled = np.flatnonzero((asked["strategy"] != RESOURCE) | (asked["legal_reuse"] <= 1))
    costs, live = {name: np.zeros(size) for name in EXPECTED}, np.zeros((LEVELS, size)).T
    for first in range(0, unrolled.size, _BLOCK_LAYERS):
        rows = unrolled[first : first + _BLOCK_LAYERS]
        c = {name: values[rows] for name, values in asked.items()}
        found, live[rows] = expected_costs(
            BlindLayers(
                n_in=c["n_in"],
                n_out=c["n_out"],
                source_bits=c["in_bits"],
                weight_bits=c["w_bits"],
                weight_fraction=c["w_fraction"],
                accum_bits=c["acc_bits"],
                shift=c["in_fraction"] + c["w_fraction"] - c["acc_fraction"],
                has_bias=c["has_bias"],
                last=c["last"],
                habit=c["habit"],
                nonzeros=c["known_nonzeros"],
            ),
            prior,
        )
        for name, values in found.items():
            costs[name][rows] = values
    return costs, live


__all__ = ["LEVELS", "DesignTable", "LayerArrays", "habit_of", "strategy_code", "tabulate"]
