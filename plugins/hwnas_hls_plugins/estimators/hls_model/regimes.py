"""Regime, knowledge of weights and group of scale factors of each design."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions
from hwnas_hls_plugins.estimators.hls_model.keys import Group, NetworkGroup, groups
from hwnas_hls_plugins.estimators.hls_model.laws import Costs, evaluate
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.estimators.hls_model.table import DISTRIBUTED, RESOURCE, DesignTable

FloatArray = NDArray[np.float64]

#: Metrics with scale factors.
SCALED_METRICS = ("lut", "ff")

#: All regimes; a code is an index of this tuple.
REGIMES = ("latency-rf1", "latency-shared", "resource-one", "resource-several", "distributed")
#: Regimes of designs under Resource.
RESOURCE_REGIMES = frozenset(("resource-one", "resource-several"))
#: Regimes with common scale factors: sharing multipliers does not change the cost of logic.
_FACTOR_GROUPS = {"latency-rf1": "latency", "latency-shared": "latency"}


def regime_codes(table: DesignTable) -> NDArray[np.int64]:
    """Regime of each design, a place in :data:`REGIMES`.

    It depends on the strategy of most of its products, on one or several layers, and on the reuse factor.
    """
    c = table.layer
    products = c.n_in * c.n_out
    total = table.total(products)
    resource = table.total(products * ((c.strategy == RESOURCE) & (c.legal_reuse > 1))) * 2 > total
    adders = table.total(products * (c.strategy == DISTRIBUTED)) * 2 > total
    several = table.design.n_layers != 1
    shared = table.largest(c.legal_reuse) > 1
    out: NDArray[np.int64] = np.where(resource, 2 + several, np.where(adders, 4, shared.astype(np.int64)))
    return out


def regimes(table: DesignTable) -> list[str]:
    """Regime of each design, by name."""
    return [REGIMES[code] for code in regime_codes(table).tolist()]


def site_kinds(
    table: DesignTable, codes: NDArray[np.int64]
) -> tuple[list[tuple[Conditions, str]], NDArray[np.int64]]:
    """All distinct (conditions, regime), and for each design the index of its own."""
    found, place = np.unique(table.condition * len(REGIMES) + codes, return_inverse=True)
    kinds = [(table.conditions[key // len(REGIMES)], REGIMES[key % len(REGIMES)]) for key in found.tolist()]
    return kinds, place.astype(np.int64, copy=False)


def knowledge_of(table: DesignTable) -> NDArray[np.int64]:
    """Knowledge of the weights of each design: that of its least known layer."""
    out: NDArray[np.int64] = 2 - table.largest(2.0 - table.layer.knowledge).astype(np.int64)
    return out


def site_of(design: Query | Conditions, regime: str) -> Group:
    """Finest group of a design's scale factors: stage, strategy, compiler and version, silicon."""
    return groups_of(design, regime)[-1]


def groups_of(design: Query | Conditions, regime: str) -> tuple[Group, ...]:
    """Groups of a design's scale factors, coarse to fine."""
    tool = tool_of(design.tool)
    return groups(design.stage, factor_group(regime), tool.family, part_class(design.part), tool.version)


def factor_group(regime: str) -> str:
    """The strategy of :class:`keys.Group` that a regime belongs to."""
    return _FACTOR_GROUPS.get(regime, regime)


def counted_designs(table: DesignTable, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Designs under Latency whose weights are known, for which a calibration has laws of their own."""
    out: NDArray[np.bool_] = (codes < 2) & (knowledge_of(table) == 2)
    return out


def costs_of(table: DesignTable, calibration: Calibration, codes: NDArray[np.int64]) -> Costs:
    """The costs of the designs by a calibration's laws, without scale factors."""
    counted = counted_designs(table, codes)
    if calibration.known is None or not counted.any():
        return evaluate(table, calibration.coefficients)
    known = evaluate(table, calibration.known_coefficients)
    if counted.all():
        return known
    expected = evaluate(table, calibration.coefficients)
    layers = counted[table.owner]
    return Costs(
        {name: np.where(layers, known.layer[name], values) for name, values in expected.layer.items()},
        {name: np.where(counted, known.design[name], values) for name, values in expected.design.items()},
    )


def log_factors_of(
    table: DesignTable, calibration: Calibration, codes: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """Logarithm of the scale factor of each design, for the metrics that have one."""
    kinds, place = site_kinds(table, codes)
    of_kind = [groups_of(conditions, regime) for conditions, regime in kinds]
    counted = counted_designs(table, codes)
    out = {}
    for metric in SCALED_METRICS:
        expected, known = (
            np.array([calibration.factor(keys, metric, known) for keys in of_kind], np.float64)
            for known in (False, True)
        )
        out[metric] = np.where(counted, known[place], expected[place])
    if any(isinstance(key, NetworkGroup) for key in calibration.factors):
        knowledge = knowledge_of(table).tolist()
        for number, query in enumerate(table.queries):
            if query.layers:
                key = NetworkGroup.of(of_kind[place[number]][-1], query, knowledge[number])
                for metric, factor in calibration.factors.get(key, {}).items():
                    out[metric][number] += factor
    return out
