"""The laws: the cost of each layer from its structure, in units of C synthesis.

Every law computes one array entry per layer from the table and the coefficients; :func:`evaluate` sums the
layers of each design. The calibration then applies scale factors for tool, silicon and stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.estimators.hls_model.activations import activation_costs
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.distributed import distributed_costs
from hwnas_hls_plugins.estimators.hls_model.resource import (
    in_dataflow,
    process_costs,
    processes,
    resource_costs,
)
from hwnas_hls_plugins.estimators.hls_model.table import DISTRIBUTED, RESOURCE, DesignTable
from hwnas_hls_plugins.estimators.hls_model.unrolled import boundary_ff, unrolled_costs

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """The costs by the laws, in units of C synthesis.

    Attributes:
        layer: metric -> array, one per layer with its activation (``lut ff dsp bram_18k cycles ii``).
        design: metric -> array, one per design (``latency_cycles ii_cycles lut ff dsp bram_18k uram``, the
            best case ``latency_cycles_min``, and :data:`SPREAD`).
    """

    layer: dict[str, FloatArray]
    design: dict[str, FloatArray]


#: Number of designs computed together: their columns stay in a core's cache.
_BLOCK_DESIGNS = 4096
#: Registers less and more that a design has if delays are shorter or longer than the laws have them.
SPREAD = ("ff_less", "ff_more")
_SHARED = ("lut", "ff", "dsp", "bram_18k")


def evaluate(table: DesignTable, k: Coefficients) -> Costs:
    """All laws over all designs."""
    if table.count <= _BLOCK_DESIGNS:
        return _evaluate(table, k)
    found = [_evaluate(block, k) for block in table.blocks(_BLOCK_DESIGNS)]
    return Costs(
        {name: np.concatenate([costs.layer[name] for costs in found]) for name in found[0].layer},
        {name: np.concatenate([costs.design[name] for costs in found]) for name in found[0].design},
    )


def _evaluate(table: DesignTable, k: Coefficients) -> Costs:
    c = table.layer
    design = table.design
    resource = (c.strategy == RESOURCE) & (c.legal_reuse > 1)
    distributed = c.strategy == DISTRIBUTED
    several = (processes(table) > 1)[table.owner]

    # Each law sees the layers that are built by it.
    layer = {name: np.zeros(table.owner.size) for name in (*_SHARED, "cycles", "ii")}
    spread = {name: np.zeros(table.owner.size) for name in SPREAD}
    for built in (resource, distributed, ~(resource | distributed)):
        rows = np.flatnonzero(built)
        if not rows.size:
            continue
        part = table.with_layers(rows)
        if built is resource:
            found = resource_costs(part, k, several[rows])
        elif built is distributed:
            found = distributed_costs(part, k)
        else:
            found = unrolled_costs(part, k)
            for name, values in spread.items():
                values[rows] = found[name]
        for name, values in layer.items():
            values[rows] = found[name]
    activation = activation_costs(table, k)
    for name in _SHARED:
        layer[name] += activation[name]
    looped, flow = table.largest(resource) > 0, in_dataflow(table)
    if flow.any():
        process = process_costs(table, k, flow[table.owner])
        layer["lut"] += process["lut"]
        layer["ff"] += process["ff"]
    if (design.stream > 0).any():
        # A stream carries FIFOs of the layer's output.
        streams = table.of_layers(table.design.stream)
        layer["ff"] += streams * 2.0 * c.n_out * c.result_bits
        layer["lut"] += streams * 1.0 * c.n_out * c.result_bits

    n_layers = design.n_layers
    unrolled = ~(resource | distributed) & ~(looped | flow | (n_layers == 1))[table.owner]
    layer["ff"] += np.where(unrolled, boundary_ff(table, k), 0.0)
    totals = {name: table.total(layer[name]) for name in _SHARED}
    totals |= {name: table.total(values) for name, values in spread.items()}
    is_vitis = design.vitis > 0
    steps = table.total(activation["steps"])
    # A single layer is inlined into the top function by every hls4ml of the last years.
    inlined = (n_layers == 1) & ((design.version >= 2020) | (design.version == 0))
    lines = np.where(inlined, 0.0, steps)
    cycles, interval = table.total(layer["cycles"]), table.largest(layer["ii"])
    pipelined = (
        cycles
        + np.where(inlined, 0.0, n_layers)
        * np.where(is_vitis, k["vitis_layer_cycles"], k["vivado_layer_cycles"])
        + lines
        * np.where(
            is_vitis,
            k.of_class("vitis_activation_cycles", design.part_class),
            k.of_class("vivado_activation_cycles", design.part_class),
        )
        # An interval above one cycle leaves room to chain an activation.
        - np.where(is_vitis & (interval > 1), lines + 1.0, 0.0)
        + np.where(is_vitis, k["vitis_design_cycles"], k["vivado_design_cycles"])
    )
    # Each process of a dataflow starts when the one before has finished; a loop takes one cycle to end.
    dataflow = (
        cycles
        + n_layers
        + table.total(resource)
        - 1.0
        + steps * k["resource_activation_cycles"]
        + table.total((c.activation == 2) * 1.0) * k["resource_softmax_cycles"]
    )
    latency = np.where(looped | flow, dataflow, pipelined) + table.total(activation["cycles"])
    wrapper = design.wrapped
    ends = _ends(table)
    latency = np.maximum(0.0, np.floor(latency + 0.5)) + wrapper * (1.5 * ends + 6.0)
    interval = np.where(wrapper > 0, latency, np.maximum(design.pipeline_ii, interval))
    # The loop of a ``Resource`` layer may take one cycle more, when its channel is not read at once: a report
    # states both (583 single layers, five networks of several).
    totals["latency_cycles_min"] = latency
    totals["latency_cycles"] = latency + table.total(resource)
    totals["ii_cycles"] = interval
    totals["lut"] = totals["lut"] + wrapper * 300.0 * ends
    totals["ff"] = totals["ff"] + wrapper * 150.0 * ends
    totals["uram"] = np.zeros(table.count)
    layer["steps"] = activation["steps"]
    layer["activation_cycles"] = activation["cycles"]
    return Costs(layer, totals)


def _ends(table: DesignTable) -> FloatArray:
    """Inputs plus outputs of each design."""
    c = table.layer
    return table.total(c.n_in * c.first + c.n_out * c.last)
