"""Designs as columns: one row a layer, one row a design, so that the laws run over all at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import LayerQuery, Query
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import nearest_legal
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions, condition_columns
from hwnas_hls_plugins.estimators.hls_model.constants import LEVELS, MAX_BITS, ConstantCost, constant_cost
from hwnas_hls_plugins.estimators.hls_model.prior import EXPECTED, expected_costs

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


class _Some(dict[str, FloatArray]):
    """Some rows of columns, taken where a column is asked for."""

    def __init__(self, columns: dict[str, FloatArray], rows: NDArray[np.int64]) -> None:
        super().__init__()
        self._columns, self._rows = columns, rows

    def __missing__(self, name: str) -> FloatArray:
        taken = self[name] = self._columns[name][self._rows]
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class DesignTable:
    """Designs as arrays.

    Attributes:
        layer: column name -> array, one entry a layer of any design; those of one design stand together.
        owner: index of each layer's design, ascending.
        design: column name -> array, one entry a design.
        conditions: that designs are built under, each once.
        condition: index of each design's conditions.
        queries: what was asked, in order; empty where the columns come from elsewhere.
    """

    layer: dict[str, FloatArray]
    owner: NDArray[np.int64]
    design: dict[str, FloatArray]
    conditions: Sequence[Conditions]
    condition: NDArray[np.int64]
    queries: Sequence[Query] = ()

    @property
    def count(self) -> int:
        """Number of designs."""
        return self.condition.size

    @property
    def live_bits(self) -> FloatArray:
        """Shape (layers, LEVELS), see :class:`ConstantCost`."""
        return self.layer["live_bits"]

    def of_layers(self, name: str) -> FloatArray:
        """A column of designs, one entry a layer."""
        return self.design[name][self.owner]

    def total(self, values: FloatArray) -> FloatArray:
        """Sum of a layer column over each design."""
        sums = np.bincount(self.owner, weights=values, minlength=self.count)
        out: FloatArray = sums.astype(np.float64, copy=False)
        return out

    def largest(self, values: FloatArray | NDArray[np.bool_]) -> FloatArray:
        """Maximum of a layer column over each design, at least 0; 0 for a design without layers."""
        out = np.zeros(self.count)
        if self.owner.size:
            starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
            out[self.owner[starts]] = np.maximum(np.maximum.reduceat(values, starts), 0.0)
        return out

    def with_layers(self, rows: NDArray[np.int64]) -> DesignTable:
        """The same designs with some of their layers only."""
        if rows.size == self.owner.size:
            return self
        return replace(self, layer=_Some(self.layer, rows), owner=self.owner[rows])

    def blocks(self, designs: int) -> Iterator[DesignTable]:
        """Tables of so many designs each, without their queries; columns are views."""
        for first in range(0, self.count, designs):
            last = min(first + designs, self.count)
            left, right = (int(row) for row in np.searchsorted(self.owner, (first, last)))
            yield DesignTable(
                {name: values[left:right] for name, values in self.layer.items()},
                self.owner[left:right] - first,
                {name: values[first:last] for name, values in self.design.items()},
                self.conditions,
                self.condition[first:last],
            )


#: Layers that are worked out together: their columns stay in a core's cache.
_BLOCK_LAYERS = 8192
_PRIOR_COLUMNS = (
    "n_in",
    "n_out",
    "in_bits",
    "w_bits",
    "w_fraction",
    "acc_bits",
    "in_fraction",
    "acc_fraction",
    "has_bias",
    "last",
    "known_nonzeros",
)
_TYPED = ("in", "w", "acc", "out", "result")
_COLUMNS = (
    "n_in",
    "n_out",
    *(f"{kind}_{fact}" for kind in _TYPED for fact in ("bits", "fraction", "modes")),
    "reuse",
    "legal_reuse",
    "strategy",
    "activation",
    "batch",
    "has_bias",
    "first",
    "last",
    "known_nonzeros",
    "knowledge",
    "to_dsp",
    "to_fabric",
)


def _facts(kind: FixedType) -> tuple[int, int, int]:
    """Width, fraction, and how many of rounding and overflow are not the defaults."""
    return kind.width, kind.fraction, (kind.rounding != "TRN") + (kind.overflow != "WRAP")


def tabulate(queries: Sequence[Query]) -> DesignTable:
    """Columns of all layers of all queries, weight statistics included."""
    rows: list[tuple[float, ...]] = []
    owner: list[int] = []
    exact: list[tuple[int, ConstantCost]] = []
    for number, query in enumerate(queries):
        count = len(query.layers)
        for place, layer in enumerate(query.layers):
            source, weight = layer.input, layer.weight
            accum = layer.sum_type
            dense_out = layer.dense_out or accum
            result = layer.result or dense_out
            code = strategy_code(layer)
            legal = layer.reuse_factor
            if code in (RESOURCE, UNROLLED):
                legal = nearest_legal(layer.n_in, layer.n_out, "Resource", max(1, legal))
            knowledge = BLIND
            nonzeros = float("nan")
            if layer.weights is not None and max(source.width, weight.width) <= MAX_BITS:
                knowledge = WEIGHTS
                if code in (LATENCY, DISTRIBUTED, UNROLLED) or legal == 1:
                    exact.append(
                        (
                            len(rows),
                            constant_cost(
                                layer.weights, source, weight, accum, layer.biases, layer.bias is not None
                            ),
                        )
                    )
                nonzeros = float(np.count_nonzero(layer.weights))
            elif layer.n_nonzeros is not None:
                knowledge = COUNTED
                nonzeros = float(min(layer.n_nonzeros, layer.n_in * layer.n_out))
            rows.append(
                (
                    layer.n_in,
                    layer.n_out,
                    *_facts(source),
                    *_facts(weight),
                    *_facts(accum),
                    *_facts(dense_out),
                    *_facts(result),
                    layer.reuse_factor,
                    legal,
                    code,
                    ACTIVATION_CODES.get(layer.activation, 0),
                    layer.normalisation != "none",
                    layer.bias is not None,
                    place == 0,
                    place == count - 1,
                    nonzeros,
                    knowledge,
                    layer.multipliers == "dsp",
                    layer.multipliers == "fabric",
                )
            )
            owner.append(number)
    values = np.array(rows, np.float64).reshape(len(rows), len(_COLUMNS))
    columns = {name: values[:, place].copy() for place, name in enumerate(_COLUMNS)}
    known: dict[Conditions, int] = {}
    condition = [known.setdefault(Conditions.of(query), len(known)) for query in queries]
    table = table_of(columns, np.array(owner, np.int64), tuple(known), np.array(condition, np.int64), queries)
    for row, cost in exact:
        for name in EXPECTED:
            table.layer[name][row] = getattr(cost, name)
        table.live_bits[row] = cost.live_bits
    return table


def table_of(
    columns: dict[str, FloatArray],
    owner: NDArray[np.int64],
    conditions: Sequence[Conditions],
    condition: NDArray[np.int64],
    queries: Sequence[Query] = (),
) -> DesignTable:
    """The table of layers whose constants are not known, with what these are expected to cost.

    Args:
        columns: every one of the layers' columns but those counts.
        owner, conditions, condition, queries: as in :class:`DesignTable`.
    """
    size = owner.size
    # Where multipliers are shared, weights lie in memory, and what they are costs nothing.
    unrolled = np.flatnonzero((columns["strategy"] != RESOURCE) | (columns["legal_reuse"] <= 1))
    costs, live = {name: np.zeros(size) for name in EXPECTED}, np.zeros((LEVELS, size)).T
    for first in range(0, unrolled.size, _BLOCK_LAYERS):
        rows = unrolled[first : first + _BLOCK_LAYERS]
        c = {name: columns[name][rows] for name in _PRIOR_COLUMNS}
        found, live[rows] = expected_costs(
            c["n_in"],
            c["n_out"],
            c["in_bits"],
            c["w_bits"],
            c["w_fraction"],
            c["acc_bits"],
            c["in_fraction"] + c["w_fraction"] - c["acc_fraction"],
            c["has_bias"],
            c["last"],
            c["known_nonzeros"],
        )
        for name, values in found.items():
            costs[name][rows] = values
    design = {name: values[condition] for name, values in condition_columns(conditions).items()}
    design["n_layers"] = np.bincount(owner, minlength=condition.size).astype(np.float64)
    layer = {**columns, **costs, "live_bits": live}
    return DesignTable(layer, owner, design, conditions, condition, queries)


__all__ = ["LEVELS", "DesignTable", "strategy_code", "table_of", "tabulate"]
