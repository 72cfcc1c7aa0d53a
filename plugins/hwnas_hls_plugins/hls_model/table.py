"""Queries as columns: one row a layer, one row a design, so that the laws run over all at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.precision import FixedType
from hwnas_hls.reuse import nearest_legal
from hwnas_hls_plugins.hls_model.constants import LEVELS, MAX_BITS, ConstantCost, constant_cost
from hwnas_hls_plugins.hls_model.prior import expected_costs
from hwnas_hls_plugins.hls_model.query import LayerQuery, Query
from hwnas_hls_plugins.hls_model.silicon import (
    PART_CLASSES,
    SLOWER_BY_GRADE,
    default_uncertainty,
    part_class,
    speed_grade,
    tool_of,
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
    return _strategy_code(layer.strategy, layer.reuse_factor == 1)


@functools.lru_cache(maxsize=1024)
def _strategy_code(strategy: str, whole: bool) -> int:
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
    """Queries as arrays.

    Attributes:
        queries: what was asked, in order.
        layer: column name -> array, one entry a layer of any design.
        live_bits: shape (layers, LEVELS), see :class:`ConstantCost`.
        design: column name -> array, one entry a design.
        owner: index of each layer's design.
        starts: first layer of each design.
    """

    queries: Sequence[Query]
    layer: dict[str, FloatArray]
    live_bits: FloatArray
    design: dict[str, FloatArray]
    owner: NDArray[np.int64]

    def total(self, values: FloatArray) -> FloatArray:
        """Sum of a layer column over each design."""
        sums = np.bincount(self.owner, weights=values, minlength=len(self.queries))
        out: FloatArray = sums.astype(np.float64)
        return out

    def largest(self, values: FloatArray) -> FloatArray:
        """Maximum of a layer column over each design; 0 for a design without layers."""
        out = np.zeros(len(self.queries))
        np.maximum.at(out, self.owner, values)
        return out


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


def exact_accum(layer: LayerQuery) -> FixedType:
    """The narrowest type that holds every sum of a layer, its bias included."""
    fraction = layer.input.fraction + layer.weight.fraction
    integer = layer.input.integer + layer.weight.integer + max(0, (layer.n_in - 1).bit_length())
    if layer.bias is not None:
        fraction = max(fraction, layer.bias.fraction)
        integer = max(integer, layer.bias.integer) + 1
    return FixedType(min(256, max(1, integer + fraction)), integer)


def tabulate(queries: Sequence[Query]) -> DesignTable:
    """Columns of all layers of all queries, weight statistics included."""
    rows: list[tuple[float, ...]] = []
    owner: list[int] = []
    exact: list[tuple[int, ConstantCost]] = []
    for number, query in enumerate(queries):
        count = len(query.layers)
        for place, layer in enumerate(query.layers):
            source, weight = layer.input, layer.weight
            accum = layer.accum or exact_accum(layer)
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
    layer_columns = {name: values[:, place].copy() for place, name in enumerate(_COLUMNS)}
    c = layer_columns
    costs, live = expected_costs(
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
    for row, cost in exact:
        for name in costs:
            costs[name][row] = getattr(cost, name)
        live[row] = cost.live_bits
    layer_columns |= costs
    owners = np.array(owner, np.int64)
    return DesignTable(queries, layer_columns, live, _design_columns(queries), owners)


def _design_columns(queries: Sequence[Query]) -> dict[str, FloatArray]:
    rows = []
    for query in queries:
        tool = tool_of(query.tool)
        spare = query.clock_uncertainty
        if spare is None:
            spare = default_uncertainty(tool)
        rows.append(
            (
                query.clock_ns,
                query.clock_ns * (1.0 - spare),
                SLOWER_BY_GRADE[speed_grade(query.part)],
                tool.family == "vitis",
                tool.version,
                PART_CLASSES.index(part_class(query.part)),
                ("csynth", "logic_synth", "post_route").index(query.stage),
                query.io_type == "io_stream",
                "axi" in query.scope.lower(),
                len(query.layers),
            )
        )
    values = np.array(rows, np.float64).reshape(len(rows), 10)
    names = (
        "clock_ns",
        "usable_ns",
        "slower",
        "vitis",
        "version",
        "part_class",
        "stage",
        "stream",
        "wrapped",
        "n_layers",
    )
    return {name: values[:, place].copy() for place, name in enumerate(names)}


__all__ = ["LEVELS", "DesignTable", "strategy_code", "tabulate"]
