"""The laws: what each layer of a design costs, from its structure. All units are those of C synthesis.

Every law takes the table and the coefficients and gives one array entry a layer; :func:`evaluate` adds them
up to designs. Scale factors for tool, silicon and stage come afterwards, in the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.activations import activation_costs
from hwnas_hls_plugins.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.hls_model.distributed import distributed_costs
from hwnas_hls_plugins.hls_model.resource import process_costs, resource_costs
from hwnas_hls_plugins.hls_model.table import DISTRIBUTED, RESOURCE, DesignTable
from hwnas_hls_plugins.hls_model.unrolled import unrolled_costs

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What the laws say, in units of C synthesis.

    Attributes:
        layer: metric -> array, one a layer, the activation included (``lut ff dsp bram_18k cycles ii``).
        design: metric -> array, one a design (``latency_cycles ii_cycles lut ff dsp bram_18k uram``).
    """

    layer: dict[str, FloatArray]
    design: dict[str, FloatArray]


def evaluate(table: DesignTable, k: Coefficients) -> Costs:
    """All laws over all designs."""
    c = table.layer
    owner = table.owner
    design = table.design
    usable = design["usable_ns"][owner] if owner.size else np.zeros(0)
    part = design["part_class"][owner] if owner.size else np.zeros(0)
    vitis = design["vitis"][owner] if owner.size else np.zeros(0)
    resource = (c["strategy"] == RESOURCE) & (c["legal_reuse"] > 1)
    distributed = c["strategy"] == DISTRIBUTED

    unrolled = unrolled_costs(table, k, usable, part, vitis)
    shared = resource_costs(table, k, part, vitis)
    adders = distributed_costs(table, k, usable, part)
    layer = {
        name: np.where(resource, shared[name], np.where(distributed, adders[name], unrolled[name]))
        for name in ("lut", "ff", "dsp", "bram_18k", "cycles", "ii")
    }
    activation = activation_costs(table, k, usable, part, vitis)
    process = process_costs(table, k, resource)
    streams = design["stream"][owner] if owner.size else np.zeros(0)
    for name in ("lut", "ff", "dsp", "bram_18k"):
        layer[name] = layer[name] + activation[name]
    layer["lut"] = layer["lut"] + process["lut"]
    layer["ff"] = layer["ff"] + process["ff"]
    # A stream carries FIFOs of the layer's output.
    layer["ff"] = layer["ff"] + streams * 2.0 * c["n_out"] * c["result_bits"]
    layer["lut"] = layer["lut"] + streams * 1.0 * c["n_out"] * c["result_bits"]

    totals = {name: table.total(layer[name]) for name in ("lut", "ff", "dsp", "bram_18k")}
    any_resource = table.largest(resource.astype(np.float64)) > 0
    n_layers = design["n_layers"]
    is_vitis = design["vitis"] > 0
    steps = table.total(activation["steps"])
    # A single layer is inlined into the top function by every hls4ml of the last years.
    inlined = (n_layers == 1) & ((design["version"] >= 2020) | (design["version"] == 0))
    lines = np.where(inlined, 0.0, steps)
    pipelined = (
        table.total(layer["cycles"])
        + np.where(inlined, 0.0, n_layers)
        * np.where(is_vitis, k["vitis_layer_cycles"], k["vivado_layer_cycles"])
        + lines
        * np.where(
            is_vitis,
            k.of_class("vitis_activation_cycles", design["part_class"]),
            k.of_class("vivado_activation_cycles", design["part_class"]),
        )
        # An interval above one cycle leaves room to chain an activation.
        - np.where(is_vitis & (table.largest(layer["ii"]) > 1), lines + 1.0, 0.0)
        + np.where(is_vitis, k["vitis_design_cycles"], k["vivado_design_cycles"])
    )
    dataflow = (
        table.total(layer["cycles"])
        + 2.0 * n_layers
        - 1.0
        + steps * k["resource_activation_cycles"]
        + table.total((c["activation"] == 2) * 1.0) * k["resource_softmax_cycles"]
    )
    latency = np.where(any_resource, dataflow, pipelined) + table.total(activation["cycles"])
    interval = table.largest(layer["ii"])
    wrapper = design["wrapped"]
    ends = _ends(table)
    latency = np.maximum(0.0, np.floor(latency + 0.5)) + wrapper * (1.5 * ends + 6.0)
    interval = np.where(wrapper > 0, latency, np.maximum(1.0, interval))
    totals["latency_cycles"] = latency
    totals["ii_cycles"] = interval
    totals["lut"] = totals["lut"] + wrapper * 300.0 * ends
    totals["ff"] = totals["ff"] + wrapper * 150.0 * ends
    totals["uram"] = np.zeros(len(table.queries))
    layer["steps"] = activation["steps"]
    layer["activation_cycles"] = activation["cycles"]
    return Costs(layer, totals)


def _ends(table: DesignTable) -> FloatArray:
    """Inputs plus outputs of each design."""
    return np.array([q.layers[0].n_in + q.layers[-1].n_out if q.layers else 0.0 for q in table.queries])
