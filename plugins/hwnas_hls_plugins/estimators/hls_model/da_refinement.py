"""Distributed arithmetic with known weights: the solver's cost instead of the closed form.

A step behind ``predict``, for implemented designs whose every layer is
distributed arithmetic with its weights known. da4ml runs in a child process that stays (0.02 to 0.8 s a
network, half a second more for the first); where it is not installed or cannot build a design, the
closed form stays and says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas_hls.errors import HwnasError, Unsupported
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import LayerQuery, Query
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls_plugins.estimators.hls_model.prediction import Interval, LayerShare, Prediction
from hwnas_hls_plugins.estimators.hls_model.silicon import tool_of

if TYPE_CHECKING:
    from hwnas_hls.protocols.target import Target
    from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost

#: LUTs over da4ml's cost by stage. After routing: 1.047 over 23 published designs of 6k to 302k LUTs (1.05
#: for the 20 of JEDI-linear, standard deviation 0.04). After logic synthesis: 0.99 over 20 networks of
#: 0.3k to 20k LUTs mapped by Yosys (docs/open-synthesis.md); no Vivado report of that stage was available.
LUT_OVER_COST = {"logic_synth": 1.0, "post_route": 1.05}
#: Smallest and largest cost that a published or mapped design had.
COSTS = (300.0, 320_000.0)
TIME_LIMIT_S = 120.0
_NAMES = ("distributed_arithmetic", "da")


def refinable(query: Query) -> bool:
    """Whether da4ml could tell more: all layers distributed arithmetic, weights known, implemented."""
    return (
        query.stage in LUT_OVER_COST
        and bool(query.layers)
        and not query.blockers
        and all(layer.strategy.lower() in _NAMES and layer.weights is not None for layer in query.layers)
    )


def refined(predictions: Sequence[Prediction], time_limit_s: float = TIME_LIMIT_S) -> list[Prediction]:
    """Predictions with da4ml's cost where it applies; the others are unchanged.

    Args:
        predictions: any, in any order; nothing is imported or started where none is :func:`refinable`.
        time_limit_s: wall-clock limit of da4ml for all of them together.
    """
    out = list(predictions)
    places = [place for place, prediction in enumerate(out) if refinable(prediction.query)]
    if not places:
        return out
    from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed

    if not installed("da4ml"):
        for place in places:
            out[place] = _kept(out[place], "da4ml is not installed (pip install 'hwnas-hls[open]')")
        return out
    designs: dict[int, Design] = {}
    for place in places:
        try:
            designs[place] = design_of(out[place].query)
        except HwnasError as error:
            out[place] = _kept(out[place], str(error))
    pipelines = {place: (_family(out[place]), out[place].query.adder_levels or 0) for place in designs}
    for place, found in _costs(designs, pipelines, time_limit_s).items():
        if isinstance(found, str):
            out[place] = _kept(out[place], found)
        else:
            out[place] = _kept(out[place], found.refused) if found.refused else _with(out[place], found)
    return out


def design_of(query: Query) -> Design:
    """The network behind a query as da4ml builds it: sums are exact, results take their types.

    Raises:
        Unsupported: a normalisation of its own, an activation that is no adder or comparator, a stream.
    """
    if query.io_type != "io_parallel":
        raise Unsupported(f"{query.io_type} is not what da4ml pipelines")
    layers, source = [], query.layers[0].input
    for number, layer in enumerate(query.layers):
        if layer.normalisation != "none":
            raise Unsupported(f"layer {number} has a batch normalisation of its own")
        if layer.activation not in ("relu", "linear"):
            raise Unsupported(f"layer {number}: {layer.activation} uses a lookup table")
        if layer.input != source:
            raise Unsupported(f"layer {number} takes {layer.input}, the layer before it gives {source}")
        dense = _dense(layer)
        layers.append(dense)
        source = layer.result or layer.dense_out or dense.output_type(source)
    weights = [layer.weights for layer in query.layers if layer.weights is not None]
    biases = [layer.biases if layer.bias is not None else None for layer in query.layers]
    architecture = Architecture(query.layers[0].input, tuple(layers), query.clock_ns)
    # Quantisers of HGQ2 may round and saturate inputs, or cast twice; the adder graph does not contain that.
    features, *neurons = (
        layer.features if all(kind is None or kind == kind.plain for kind in layer.features) else ()
        for layer in query.layers
    )
    return Design(architecture, tuple(weights), tuple(biases), features=features, neurons=tuple(neurons))


def _dense(layer: LayerQuery) -> Dense:
    # da4ml drops no bit of a product, so an accumulator that would is replaced by the exact one.
    accum = layer.accum
    if accum is not None and accum.fraction < layer.input.fraction + layer.weight.fraction:
        accum = None
    return Dense(
        layer.n_in,
        layer.n_out,
        layer.activation,
        layer.weight,
        layer.bias if layer.biases is not None else None,
        accum,
        layer.result or layer.dense_out,
        strategy="distributed_arithmetic",
    )


def _family(prediction: Prediction) -> str:
    from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FAMILY

    return FAMILY if prediction.target is None else prediction.target.family


def _costs(
    designs: dict[int, Design], pipelines: dict[int, tuple[str, int]], time_limit_s: float
) -> dict[int, DaCost | str]:
    """da4ml's result for each design, or why there is none.

    Args:
        pipelines: the family of the part, and the adder levels per stage; 0 derives them from the clock.
    """
    from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline

    deadline = Deadline.after(time_limit_s)
    out: dict[int, DaCost | str] = {}
    for family, levels in sorted(set(pipelines.values())):
        places = [place for place in designs if pipelines[place] == (family, levels)]
        try:
            # Every design has its own clock, so the argument is not used.
            found = costs([designs[place] for place in places], 5.0, levels or None, deadline, family)
        except HwnasError as error:
            out |= dict.fromkeys(places, str(error))
            continue
        out |= dict(zip(places, found, strict=True))
    return out


def _kept(prediction: Prediction, why: str) -> Prediction:
    warning = Note(NoteKind.UNREAD, f"closed form of da4ml's cost instead of its solver: {why}")
    return dataclasses.replace(prediction, warnings=(*prediction.warnings, warning))


def _with(prediction: Prediction, cost: DaCost) -> Prediction:
    from hwnas_hls_plugins.synthesizers.open_synthesis.tools import version
    from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

    query = prediction.query
    on_ecp5 = _family(prediction) == ECP5
    lut, ff, reasons, words = _routed(cost) if on_ecp5 else _mapped(query.stage, cost)
    cycles = _cycles(prediction, float(cost.stages))
    metrics = {
        "latency_cycles": cycles,
        "latency_ns": _nanoseconds(prediction, cycles, cost, lut.value),
        "ii_cycles": Interval(1.0, 1.0, 1.0, 0.9),
        "lut": lut,
        "ff": ff,
        **{metric: Interval(0.0, 0.0, 0.0, 0.9) for metric in ("dsp", "bram_18k", "uram")},
    }
    reasons = [*query.reasons, *reasons]
    if any(layer.reuse_factor > 1 for layer in query.layers):
        reasons.append(Note(NoteKind.NO_DATA, "distributed arithmetic needs reuse factor 1"))
    if reasons:  # a coverage is a statement about designs of the measured kinds
        metrics = {name: dataclasses.replace(metric, coverage=None) for name, metric in metrics.items()}
    reasons += _capacity(prediction.target, metrics)
    # Data of C synthesis do not apply to the solver's own numbers.
    notes = [note for note in prediction.warnings if note.kind is not NoteKind.NO_DATA]
    if query.backend:
        compiler = "Vivado HLS" if tool_of(query.tool).family == "vivado" else "Vitis HLS"
        text = (
            f"cycles are the solver's pipeline stages; {compiler} schedules the same adders by its own rules"
        )
        notes.append(Note(NoteKind.REMARK, text))
    return dataclasses.replace(
        prediction,
        metrics=metrics,
        in_domain=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        warnings=tuple(dict.fromkeys(notes)),
        layers=_shares(prediction, metrics),
        earliest_cycles=cycles.value,
        origin=f"{cost.solver} {version(cost.solver)}: its cost ({words}) and stages",
    )


def _mapped(stage: str, cost: DaCost) -> tuple[Interval, Interval, list[Note], str]:
    """LUT and FF of AMD parts, reasons to doubt them, and how LUTs follow from the cost."""
    from hwnas_hls_plugins.estimators.da_cost import FF_OVER_BITS
    from hwnas_hls_plugins.estimators.da_cost import LUT_OVER_COST as RANGE

    value = cost.cost_lut
    lut = Interval(round(LUT_OVER_COST[stage] * value), RANGE[0] * value // 1, -(-RANGE[1] * value // 1), 0.9)
    low, middle, high = (share * cost.register_bits for share in FF_OVER_BITS)
    reasons = []
    if not COSTS[0] * 0.8 <= value <= COSTS[1] * 1.25:
        text = f"da4ml's cost of {value:,.0f}: data cover {COSTS[0]:,.0f} to {COSTS[1]:,.0f}"
        reasons.append(Note(NoteKind.NO_DATA, text))
    words = f"LUT = {LUT_OVER_COST[stage]:g} x cost"
    return lut, Interval(round(middle), low // 1, -(-high // 1), None), reasons, words


def _routed(cost: DaCost) -> tuple[Interval, Interval, list[Note], str]:
    """As :func:`_mapped`, of ECP5 after routing."""
    from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law

    law = routed_law()
    found = law.lut(cost.cost_lut), law.registers(cost.register_bits)
    inside, reasons = law.covers(cost.adder_levels, found[0].value), []
    if not inside:
        size = f"{found[0].value:,.0f} LUT4 at {cost.adder_levels} adder levels"
        text = f"{size}: data cover {law.luts[0]:g} to {law.luts[1]:g}"
        reasons.append(Note(NoteKind.NO_DATA, text))
    coverage = law.coverage if inside else None
    lut, ff = (Interval(round(x.value), x.low // 1, -(-x.high // 1), coverage) for x in found)
    return lut, ff, reasons, f"LUT4 by a {law.provenance}"


def _cycles(prediction: Prediction, stages: float) -> Interval:
    """da4ml's RTL takes exactly its stages; an hls4ml project built by Vitis HLS was never measured."""
    closed = prediction.metrics["latency_cycles"]
    if prediction.query.backend:
        return Interval(stages, min(max(1.0, stages // 2), closed.low), max(2 * stages, closed.high), None)
    return Interval(stages, stages, stages, 0.9)


def _nanoseconds(prediction: Prediction, cycles: Interval, cost: DaCost, lut: float) -> Interval:
    """Cycles x the period at which the circuit runs; see :meth:`Period.at_clock`."""
    from hwnas_hls_plugins.synthesizers.open_synthesis.timing import period
    from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

    clock, target = prediction.query.clock_ns, prediction.target
    timing = None
    if target is not None:
        size = lut if target.family == ECP5 else cost.cost_lut
        timing = period(cost.adder_levels, size, target.family, cost.path_bits / cost.stages, target.part)
    if timing is None:
        return Interval(cycles.value * clock, cycles.low * clock, cycles.high * clock, None)
    value, low, high = timing.at_clock(clock)
    known = timing.coverage if timing.in_domain and cycles.coverage is not None else None
    coverage = cycles.coverage if high == clock else known
    return Interval(cycles.value * value, cycles.low * low, cycles.high * high, coverage)


def _capacity(target: Target | None, metrics: dict[str, Interval]) -> list[Note]:
    if target is None:
        return []
    return [
        Note(
            NoteKind.FULL,
            f"{metrics[metric].value:,.0f} {metric} needed, {target.name} has {held:,}",
            parts=(metric,),
        )
        for metric, held in (("lut", target.lut), ("ff", target.ff))
        if metrics[metric].value > held
    ]


def _shares(prediction: Prediction, metrics: dict[str, Interval]) -> tuple[LayerShare, ...]:
    """da4ml gives the cost of the whole network; the closed form divides it among the layers."""

    def scale(metric: str) -> float:
        name = "cycles" if metric == "latency_cycles" else metric
        total = sum(float(getattr(layer, name)) for layer in prediction.layers)
        return metrics[metric].value / total if total > 0 else 0.0

    lut, ff, cycles = scale("lut"), scale("ff"), scale("latency_cycles")
    return tuple(
        dataclasses.replace(
            layer, lut=layer.lut * lut, ff=layer.ff * ff, dsp=0.0, bram_18k=0.0, cycles=layer.cycles * cycles
        )
        for layer in prediction.layers
    )


__all__ = ["design_of", "refinable", "refined"]
