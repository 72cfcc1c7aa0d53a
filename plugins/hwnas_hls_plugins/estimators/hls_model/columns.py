"""Tables from columns that a space gives: networks that never were objects."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import ACTIVATIONS, STRATEGIES
from hwnas_hls.network.reuse import nearest_legal
from hwnas_hls.protocols.layer_columns import LayerColumns, TypeColumns, each_kind
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions
from hwnas_hls_plugins.estimators.hls_model.table import (
    ACTIVATION_CODES,
    BLIND,
    COUNTED,
    RESOURCE,
    DesignTable,
    strategy_code_of,
    table_of,
)

FloatArray = NDArray[np.float64]

_ACTIVATIONS = np.array(
    [ACTIVATION_CODES["relu" if name == "leaky_relu" else name] for name in ACTIVATIONS], np.float64
)
_STRATEGIES = np.array([strategy_code_of(name, False) for name in STRATEGIES], np.float64)


def table_of_columns(columns: LayerColumns, conditions: Conditions) -> DesignTable:
    """The table of ``tabulate``, to the bit, of untrained networks.

    Args:
        conditions: of all networks; a network's own clock goes before theirs.
    """
    n_in, n_out = columns.n_in, columns.n_out
    ends = np.cumsum(columns.depth)
    first, last = (np.zeros(n_in.size) for _ in range(2))
    first[ends - columns.depth], last[ends - 1] = 1.0, 1.0
    strategy = _STRATEGIES[columns.strategy]
    products = n_in * n_out
    pruned = columns.sparsity > 0
    layer: dict[str, FloatArray] = {"n_in": n_in.astype(np.float64), "n_out": n_out.astype(np.float64)}
    for name, kind in (
        ("in", columns.input),
        ("w", columns.weight),
        ("acc", columns.accum),
        ("out", columns.accum),
        ("result", columns.result),
    ):
        layer |= _type_columns(name, kind)
    none = np.zeros(n_in.size)
    layer |= {
        "reuse": columns.reuse_factor.astype(np.float64),
        "legal_reuse": _legal(n_in, n_out, columns.reuse_factor, strategy == RESOURCE),
        "strategy": strategy,
        "activation": _ACTIVATIONS[columns.activation],
        "batch": none,
        "has_bias": columns.has_bias.astype(np.float64),
        "first": first,
        "last": last,
        "known_nonzeros": np.where(pruned, np.rint(products * (1.0 - columns.sparsity)), np.nan),
        "knowledge": np.where(pruned, float(COUNTED), float(BLIND)),
        "to_dsp": none,
        "to_fabric": none,
    }
    owner = np.repeat(np.arange(columns.depth.size), columns.depth)
    named = np.where(np.isnan(columns.clock_ns), conditions.clock_ns, columns.clock_ns)
    clocks, condition = np.unique(named, return_inverse=True)
    kinds = tuple(dataclasses.replace(conditions, clock_ns=clock) for clock in clocks.tolist())
    return table_of(layer, owner, kinds, condition.astype(np.int64))


def _type_columns(name: str, kind: TypeColumns) -> dict[str, FloatArray]:
    facts = {"bits": kind.width, "fraction": kind.fraction, "modes": kind.modes}
    return {f"{name}_{fact}": values.astype(np.float64) for fact, values in facts.items()}


def _legal(
    n_in: NDArray[np.int64], n_out: NDArray[np.int64], reuse: NDArray[np.int64], shared: NDArray[np.bool_]
) -> FloatArray:
    """The reuse factors that hls4ml builds."""
    out = reuse.astype(np.float64)
    rows = np.flatnonzero(shared)
    if rows.size:
        out[rows] = each_kind(_nearest, n_in[rows], n_out[rows], reuse[rows])
    return out


def _nearest(n_in: int, n_out: int, wanted: int) -> int:
    return nearest_legal(n_in, n_out, "Resource", wanted)
