"""Distributed arithmetic with known weights: da4ml's cost instead of the closed form.

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
    families = {place: _family(out[place]) for place in designs}
    for place, found in _costs(designs, families, time_limit_s).items():
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
    features = query.layers[0].features
    # Quantisers of HGQ2 may round and saturate; the adder graph does not contain that.
    plain = all(kind is None or kind == kind.plain for kind in features)
    return Design(architecture, tuple(weights), tuple(biases), features=features if plain else ())


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
    designs: dict[int, Design], families: dict[int, str], time_limit_s: float
) -> dict[int, DaCost | str]:
    """da4ml's result for each design, or why there is none."""
    from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline

    deadline = Deadline.after(time_limit_s)
    out: dict[int, DaCost | str] = {}
    for family in sorted(set(families.values())):
        places = [place for place in designs if families[place] == family]
        try:
            # Every design has its own clock, so the argument is not used.
            found = costs([designs[place] for place in places], 5.0, None, deadline, family)
        except HwnasError as error:
            out |= dict.fromkeys(places, str(error))
            continue
        out |= dict(zip(places, found, strict=True))
    return out


def _kept(prediction: Prediction, why: str) -> Prediction:
    warning = Note(NoteKind.UNREAD, f"closed form of da4ml's cost instead of its solver: {why}")
    return dataclasses.replace(prediction, warnings=(*prediction.warnings, warning))


def _with(prediction: Prediction, cost: DaCost) -> Prediction:
    from hwnas_hls_plugins.estimators.da_cost import FF_OVER_BITS
    from hwnas_hls_plugins.estimators.da_cost import LUT_OVER_COST as RANGE
    from hwnas_hls_plugins.synthesizers.open_synthesis.timing import lut_of_cost
    from hwnas_hls_plugins.synthesizers.open_synthesis.tools import version

    query = prediction.query
    cost_lut = lut_of_cost(cost.cost_lut, _family(prediction))
    lut = LUT_OVER_COST[query.stage] * cost_lut
    low, middle, high = (share * cost.register_bits for share in FF_OVER_BITS)
    cycles = _cycles(prediction, float(cost.stages))
    metrics = {
        "latency_cycles": cycles,
        "latency_ns": _nanoseconds(prediction, cycles, cost),
        "ii_cycles": Interval(1.0, 1.0, 1.0, 0.9),
        "lut": Interval(round(lut), RANGE[0] * cost_lut // 1, -(-RANGE[1] * cost_lut // 1), 0.9),
        "ff": Interval(round(middle), low // 1, -(-high // 1), None),
        **{metric: Interval(0.0, 0.0, 0.0, 0.9) for metric in ("dsp", "bram_18k", "uram")},
    }
    reasons = [*query.reasons]
    if not COSTS[0] * 0.8 <= cost.cost_lut <= COSTS[1] * 1.25:
        text = f"da4ml's cost of {cost.cost_lut:,.0f}: data cover {COSTS[0]:,.0f} to {COSTS[1]:,.0f}"
        reasons.append(Note(NoteKind.NO_DATA, text))
    if any(layer.reuse_factor > 1 for layer in query.layers):
        reasons.append(Note(NoteKind.NO_DATA, "distributed arithmetic needs reuse factor 1"))
    reasons += _capacity(prediction.target, metrics)
    # Data of C synthesis do not apply to da4ml's own numbers.
    notes = [note for note in prediction.warnings if note.kind is not NoteKind.NO_DATA]
    if query.backend:
        text = "cycles are da4ml's pipeline stages; Vitis HLS schedules the same adders by its own rules"
        notes.append(Note(NoteKind.REMARK, text))
    return dataclasses.replace(
        prediction,
        metrics=metrics,
        in_domain=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        warnings=tuple(dict.fromkeys(notes)),
        layers=_shares(prediction, metrics),
        earliest_cycles=cycles.value,
        origin=f"da4ml {version('da4ml')}: its cost (LUT = {LUT_OVER_COST[query.stage]:g} x cost) and stages",
    )


def _cycles(prediction: Prediction, stages: float) -> Interval:
    """da4ml's RTL takes exactly its stages; an hls4ml project built by Vitis HLS was never measured."""
    closed = prediction.metrics["latency_cycles"]
    if prediction.query.backend:
        return Interval(stages, min(max(1.0, stages // 2), closed.low), max(2 * stages, closed.high), None)
    return Interval(stages, stages, stages, 0.9)


def _nanoseconds(prediction: Prediction, cycles: Interval, cost: DaCost) -> Interval:
    """Cycles x requested clock; more at the upper end if the adder levels may miss that clock."""
    from hwnas_hls_plugins.synthesizers.open_synthesis.timing import lut_of_cost, period

    clock, target = prediction.query.clock_ns, prediction.target
    timing = None
    if target is not None:
        lut = lut_of_cost(cost.cost_lut, target.family)
        timing = period(cost.adder_levels, lut, target.family)
    slowest = clock if timing is None else max(clock, timing.high_ns)
    coverage = cycles.coverage if slowest == clock and timing is not None else None
    return Interval(cycles.value * clock, cycles.low * clock, cycles.high * slowest, coverage)


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
