"""Costs of networks other than chains: merges, branches, convolutions, poolings.

No report of such a network was ever seen, so nothing here is calibrated, and every estimate says
so. Dense layers cost what the calibrated laws say of them; what else there is, is counted from
the code that hls4ml writes:

convolution (``nnet_conv2d_latency.h``, ``nnet_conv2d_resource.h``)
    one matrix product, shared by all positions of the window, which come one after the other: a
    new one every ``reuse_factor`` cycles (Latency), every cycle (distributed arithmetic), or after the
    one before is done (Resource). In front of it a multiplexer picks the window of each position.
merge, pooling (``nnet_merge.h``, ``nnet_pooling.h``)
    an adder, or a comparator with a multiplexer, for every sum or comparison; wires for concatenations.

The latency is that of the longest path. As soon as a layer is Resource, or a convolution, hls4ml
puts the network under DATAFLOW: every layer is then a process with a handshake, and the slowest one
is the initiation interval.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind
from hwnas_hls.hls4ml.graph import uses_dataflow
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.layers import Conv2D, Layer, Merge, Pool2D, Weighted
from hwnas_hls.values.estimate import Estimate, Estimates

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.query import LayerQuery
    from hwnas_hls.network.design import Design
    from hwnas_hls.network.precision import FixedType
    from hwnas_hls_plugins.estimators.hls_model.prediction import Prediction

#: A 4-to-1 multiplexer of one bit takes one six-input LUT, so an n-to-1 one (n - 1) / 3 of them.
MUX_INPUTS_PER_LUT = 3.0
#: A comparator and the multiplexer behind it, per bit: half a LUT each way of the compare, one to choose.
MAXIMUM_LUT_PER_BIT = 1.5
#: Start and end of a process under DATAFLOW, cycles: what each further Resource layer takes beyond its own
#: loop in the reports (:mod:`hwnas_hls_plugins.estimators.hls_model.laws`).
HANDSHAKE_CYCLES = 2.0
#: Factor on the interval ends of the dense laws; a guess, because there are no data.
DENSE_SPREAD = 1.25
IMAGE_SPREAD = 2.5
#: Interval of counted cycles: loops may take longer to start, or overlap.
LOOP_SPREAD = (1 / 1.25, 1.5)
_SHARED = ("lut", "ff", "dsp", "bram_18k")
_CYCLES = ("latency_cycles", "ii_cycles")


@dataclass(frozen=True, slots=True)
class _Cost:
    """The cost of one layer; ``ii_cycles``: until it can start again.

    ``loop_cycles`` of its ``cycles`` are counted: the positions of a window, one after the other.
    """

    lut: float
    ff: float
    dsp: float
    bram_18k: float
    cycles: float
    ii_cycles: float
    loop_cycles: float = 0.0


def graph_estimates(
    prediction: Prediction, architecture: Architecture, design: Design | None, suffix: str
) -> Estimates:
    """Estimates of a graph from the prediction of its layers with weights.

    Args:
        prediction: of the network's :func:`~hwnas_hls.hls4ml.query.query_of`.
        architecture, design: the network.
        suffix: of the evidence: tool and stage.
    """
    query = prediction.query
    if query.blockers or not query.layers:
        reason = "; ".join(map(str, query.blockers)) or "no layer has weights"
        return Estimates(failure=f"hls-model: {reason}", failure_kind=ErrorKind.UNSUPPORTED)
    costs = _costs(prediction, architecture, design)
    dataflow = uses_dataflow(architecture)
    images = any(isinstance(layer, Conv2D | Pool2D) for layer in architecture.layers)
    known = [prediction.metrics[name].value for name in (*_SHARED, "latency_cycles", "ii_cycles")]
    if not all(map(math.isfinite, known)):
        return Estimates(failure="hls-model: a number is not finite")
    values = _totals(prediction, architecture, costs, dataflow=dataflow)
    what = "convolutions and poolings" if images else "merges and branches"
    evidence = (
        f"{prediction.evidence}; {suffix}; dense layers by the laws, {what} counted from hls4ml's code and "
        "never measured: uncalibrated"
    )
    spread = IMAGE_SPREAD if images else DENSE_SPREAD
    loops = _totals(prediction, architecture, [_unlooped(cost) for cost in costs], dataflow=dataflow)
    counted = {name: values[name] - loops[name] for name in _CYCLES}
    ends = {
        name: _ends(prediction, name, value, spread, counted.get(name, 0.0)) for name, value in values.items()
    }
    clock_ns = query.clock_ns
    values["latency_ns"] = values["latency_cycles"] * clock_ns
    ends["latency_ns"] = (ends["latency_cycles"][0] * clock_ns, ends["latency_cycles"][1] * clock_ns)
    found = {
        name: Estimate(name, value, *ends[name], "predicted", evidence, None, False)
        for name, value in values.items()
    }
    text = f"its share of the design's number: {evidence}"
    shares = tuple(_shares(cost, values, ends, text) for cost in costs)
    return Estimates(values=found, warnings=tuple(map(str, prediction.warnings)), layers=shares)


def _costs(prediction: Prediction, architecture: Architecture, design: Design | None) -> list[_Cost]:
    shares, queries = iter(prediction.layers), iter(prediction.query.layers)
    kinds = [kind for _, _, kind in (design or architecture).layer_types()]
    out = []
    for number, layer in enumerate(architecture.layers):
        given = [architecture.input if k == INPUT else kinds[k] for k in architecture.sources(number)]
        if not isinstance(layer, Weighted):
            out.append(_unweighted(layer, given, kinds[number]))
            continue
        share, query = next(shares), next(queries)
        ii = 1.0 if layer.strategy == "distributed_arithmetic" else float(layer.reuse_factor)
        cost = _Cost(share.lut, share.ff, share.dsp, share.bram_18k, share.cycles, ii)
        out.append(_convolved(layer, query, cost, kinds[number]) if isinstance(layer, Conv2D) else cost)
    return out


def _convolved(layer: Conv2D, query: LayerQuery, product: _Cost, result: FixedType) -> _Cost:
    positions = layer.out_height * layer.out_width
    mux = query.n_in * query.input.width * (positions - 1) / MUX_INPUTS_PER_LUT
    held = layer.n_out * result.width if positions > 1 else 0
    # The activation is built for every position at once, behind the one shared product.
    activation = 0 if layer.activation == "linear" else (positions - 1) * layer.filters * result.width
    each = max(product.cycles, product.ii_cycles) if layer.strategy == "Resource" else product.ii_cycles
    return dataclasses.replace(
        product,
        lut=product.lut + mux + activation,
        ff=product.ff + held,
        cycles=product.cycles + (positions - 1) * each,
        ii_cycles=positions * each,
        loop_cycles=(positions - 1) * each,
    )


def _unweighted(layer: Layer, given: Sequence[FixedType], result: FixedType) -> _Cost:
    """A merge or pooling: combinational, and registered where it ends."""
    accum = layer.exact_accum(*given)
    lut = float(layer.n_out * result.width if result.overflow != "WRAP" or result.rounding != "TRN" else 0)
    levels = 0.0
    if isinstance(layer, Pool2D):
        per_bit = MAXIMUM_LUT_PER_BIT if layer.pooling == "max" else 1.0
        lut += layer.n_out * (layer.window - 1) * per_bit * accum.width
        levels = math.ceil(math.log2(layer.window)) if layer.window > 1 else 0.0
    elif isinstance(layer, Merge):
        lut += layer.n_out * accum.width if layer.merge == "add" else 0
        lut += layer.n_out * result.width if layer.activation != "linear" else 0
        levels = float(layer.merge == "add")
    # Two short adders or comparators fit into one cycle.
    return _Cost(lut, float(layer.n_out * result.width), 0.0, 0.0, math.ceil(levels / 2), 1.0)


def _totals(
    prediction: Prediction, architecture: Architecture, costs: Sequence[_Cost], *, dataflow: bool
) -> dict[str, float]:
    metrics = prediction.metrics
    values = {
        name: float(
            round(
                metrics[name].value
                - sum(getattr(share, name) for share in prediction.layers)
                + sum(getattr(cost, name) for cost in costs)
            )
        )
        for name in _SHARED
    }
    weighted = len(prediction.layers)
    # Cycles of a chain in addition to those of its layers: between and around them.
    between = (metrics["latency_cycles"].value - sum(share.cycles for share in prediction.layers)) / weighted
    done = {INPUT: 0.0}
    for number, (layer, cost) in enumerate(zip(architecture.layers, costs, strict=True)):
        step = cost.cycles + (max(0.0, between) if isinstance(layer, Weighted) else 0.0)
        step += HANDSHAKE_CYCLES if dataflow and not (isinstance(layer, Weighted) and between >= 1) else 0.0
        done[number] = max(done[source] for source in architecture.sources(number)) + step
    values["latency_cycles"] = float(max(1, round(max(done.values()))))
    values["ii_cycles"] = float(max(1, round(max(cost.ii_cycles for cost in costs))))
    values["uram"] = 0.0
    return values


def _unlooped(cost: _Cost) -> _Cost:
    """The cost for a single position."""
    cycles = cost.cycles - cost.loop_cycles
    return dataclasses.replace(cost, cycles=cycles, ii_cycles=max(1.0, cost.ii_cycles - cost.loop_cycles))


def _ends(
    prediction: Prediction, name: str, value: float, spread: float, counted: float
) -> tuple[float, float]:
    """The dense laws' own interval, spread further, around what is not ``counted``."""
    base, rest = prediction.metrics[name], value - counted
    if name in _CYCLES:
        spread = DENSE_SPREAD
    below = base.low / base.value if base.value > 0 else 1.0
    above = base.high / base.value if base.value > 0 else 1.0
    low = math.floor(rest * below / spread + counted * LOOP_SPREAD[0])
    high = math.ceil(rest * above * spread + counted * LOOP_SPREAD[1])
    if name in _CYCLES:
        return float(max(1, low)), float(high)
    return float(max(0, low)), float(max(high, base.high if base.value == 0 else 0))


def _shares(
    cost: _Cost, values: dict[str, float], ends: dict[str, tuple[float, float]], text: str
) -> dict[str, Estimate]:
    out = {}
    for name in (*_SHARED, "latency_cycles"):
        value, whole = float(getattr(cost, "cycles" if name == "latency_cycles" else name)), values[name]
        low, high = (value * end / whole if whole else end for end in ends[name])
        out[name] = Estimate(name, value, min(low, value), max(high, value), "predicted", text, None, False)
    return out
