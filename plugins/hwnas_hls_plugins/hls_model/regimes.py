"""Regime, knowledge and group of scale factors of each design: what decides which calibration applies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.calibration import METRICS, Calibration, group_keys
from hwnas_hls_plugins.hls_model.query import Query
from hwnas_hls_plugins.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.hls_model.table import DISTRIBUTED, RESOURCE, DesignTable

FloatArray = NDArray[np.float64]

#: What the factor groups of single networks begin with.
OWN_NETWORK = "network|"


def strategy_names(table: DesignTable) -> list[str]:
    """``resource``, ``distributed`` or ``latency``: what most of a design's products are built by."""
    c = table.layer
    products = c["n_in"] * c["n_out"]
    resource = table.total(products * ((c["strategy"] == RESOURCE) & (c["legal_reuse"] > 1)))
    adders = table.total(products * (c["strategy"] == DISTRIBUTED))
    total = table.total(products)
    return [
        "resource" if r * 2 > t else "distributed" if a * 2 > t else "latency"
        for r, a, t in zip(resource, adders, total, strict=True)
    ]


def regimes(table: DesignTable) -> list[str]:
    """Regime of each design: strategy, one or several layers, reuse factor one or more."""
    reuse = table.largest(table.layer["legal_reuse"])
    out = []
    for number, strategy in enumerate(strategy_names(table)):
        if strategy == "resource":
            out.append("resource-one" if table.design["n_layers"][number] == 1 else "resource-several")
        elif strategy == "latency":
            out.append("latency-rf1" if reuse[number] <= 1 else "latency-shared")
        else:
            out.append("distributed")
    return out


def knowledge_of(table: DesignTable) -> NDArray[np.int64]:
    """The least known layer decides."""
    out = np.full(len(table.queries), 2.0)
    np.minimum.at(out, table.owner, table.layer["knowledge"])
    return out.astype(np.int64)


def site_of(query: Query, regime: str) -> str:
    """Finest group of a design's scale factors: stage, strategy, compiler and version, silicon."""
    tool = tool_of(query.tool)
    return group_keys(query.stage, factor_group(regime), tool.family, part_class(query.part), tool.version)[
        -1
    ]


def network_key(site: str, query: Query, knowledge: int) -> str:
    """Group of one network at one site: its widths and weight types, and what is known of its weights."""
    types = ",".join(str(layer.weight) for layer in query.layers)
    return f"{OWN_NETWORK}{site}|{query.shape}|{types}|{knowledge}"


def factor_group(regime: str) -> str:
    """Regimes that share scale factors: sharing multipliers does not change what logic costs."""
    return "latency" if regime.startswith("latency") else regime


def log_factors_of(
    table: DesignTable, calibration: Calibration, names: Sequence[str]
) -> dict[str, FloatArray]:
    """Logarithm of the scale factor of each design and metric."""
    out = {metric: np.zeros(len(table.queries)) for metric in METRICS}
    cache: dict[tuple[str, ...], dict[str, float]] = {}
    own = any(key.startswith(OWN_NETWORK) for key in calibration.factors)
    knowledge = knowledge_of(table) if own else None
    for number, query in enumerate(table.queries):
        tool = tool_of(query.tool)
        keys = group_keys(
            query.stage, factor_group(names[number]), tool.family, part_class(query.part), tool.version
        )
        found = cache.get(keys)
        if found is None:
            found = cache[keys] = {metric: calibration.factor(keys, metric) for metric in ("lut", "ff")}
        for metric, factor in found.items():
            out[metric][number] = factor
        if knowledge is not None and query.layers:
            key = network_key(keys[-1], query, int(knowledge[number]))
            for metric, factor in calibration.factors.get(key, {}).items():
                out[metric][number] += factor
    return out
