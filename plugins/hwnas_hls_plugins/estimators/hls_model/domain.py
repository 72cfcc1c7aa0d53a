"""The calibrated domain of the model, and why a design is outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.network.limits import OPERAND_BITS, UNROLL_LIMIT
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration
from hwnas_hls_plugins.estimators.hls_model.keys import Flow
from hwnas_hls_plugins.estimators.hls_model.prior import ALONE, UNPRUNED, untrained
from hwnas_hls_plugins.estimators.hls_model.regimes import RESOURCE_REGIMES, factor_group, site_kinds
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.estimators.hls_model.table import (
    BLIND,
    DISTRIBUTED,
    LATENCY,
    RESOURCE,
    UNROLLED,
    DesignTable,
)

#: Widths and reuse factors of the sweep of single ``Resource`` layers.
SWEPT_WIDTHS, SWEPT_REUSE = (32, 256), (384, 1152)

#: Widths, reuse factors and bits of the networks of several ``Resource`` layers that were measured. One wider
#: network was: 784 inputs took hundreds of block RAMs for copies, and at a reuse factor of 39,200 another
#: one's loop took 21 cycles per step (two reports that are not among the rows).
SEVERAL_WIDTHS, SEVERAL_REUSE, SEVERAL_BITS = (4, 256), 1152, (6, 18)


#: Names in a calibration of what its designs are: (compiler, silicon, strategy).
SEEN_PAIRS = {Flow.CSYNTH: "pairs", Flow.IMPLEMENTED: "pairs_implemented"}
#: Distance from the data (:func:`novelty`) from which no coverage is stated.
UNMEASURED = 0.5


def measured_kinds(seen: Mapping[str, Any], flow: Flow) -> set[tuple[str, str, str]]:
    """(compiler, silicon, strategy) of the designs behind a calibration that tell of a flow.

    A report of Vivado does not show what C synthesis says; the other way round, it does.
    """
    flows = (flow,) if flow is Flow.CSYNTH else tuple(Flow)
    return {(pair[0], pair[1], pair[2]) for each in flows for pair in seen.get(SEEN_PAIRS[each], ())}


def layer_reasons(table: DesignTable) -> dict[Note, NDArray[np.bool_]]:
    """Reason -> mask over layers."""
    c = table.layer
    resource = (c.strategy == RESOURCE) & (c.legal_reuse > 1)
    distributed = c.strategy == DISTRIBUTED
    large = ~resource & ~distributed & (c.n_in * c.n_out > UNROLL_LIMIT)
    chain = f"more than {UNROLL_LIMIT:,} products in an unrolled layer: adders no longer form a tree"
    among = (table.design.n_layers > 1)[table.owner]
    several = resource & among
    dataflow = (table.largest(c.strategy == RESOURCE) > 0)[table.owner]
    low, high = SEVERAL_WIDTHS
    many = f"several Resource layers: data cover reuse factors up to {SEVERAL_REUSE:,}"
    sizes = f"several Resource layers: data cover {low} to {high} inputs of a layer, up to {high} outputs"
    bits = "several Resource layers: data cover inputs and weights of 6 to 16 bits"
    narrowest = np.minimum(c.in_bits, c.w_bits)
    found = {
        many: several & (c.legal_reuse > SEVERAL_REUSE),
        sizes: several & ((c.n_in < low) | (np.maximum(c.n_in, c.n_out) > high)),
        bits: several & ((narrowest < SEVERAL_BITS[0]) | (np.maximum(c.in_bits, c.w_bits) > SEVERAL_BITS[1])),
        "several Resource layers, one with reuse factor 1: no data": (
            (c.strategy == RESOURCE) & (c.legal_reuse <= 1) & among
        ),
        "layers of other strategies beside Resource layers: no data": (c.strategy != RESOURCE) & dataflow,
        f"operands above {OPERAND_BITS} bits": np.maximum(c.in_bits, c.w_bits) > OPERAND_BITS,
        chain: large,
        "accumulator with rounding or saturation": (c.acc_modes > 0) & ~distributed,
        "distributed arithmetic through C synthesis: no data": distributed,
        "ResourceUnrolled: no data": c.strategy == UNROLLED,
        "distributed arithmetic needs reuse factor 1": distributed & (c.reuse > 1),
        "tanh, sigmoid or elu: hardly any data": (c.activation == 3) | (c.activation == 6),
    }
    return {Note(NoteKind.NO_DATA, text): mask for text, mask in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """The notes of each design; most are common to all designs with the same conditions.

    Args:
        before: design -> notes that come first; designs without any are left out.
        shared: notes of each of the table's conditions.
        condition: index of each design's conditions.
        after: design -> notes that come last.
    """

    before: Mapping[int, Sequence[Note]]
    shared: Sequence[Sequence[Note]]
    condition: NDArray[np.int64]
    after: Mapping[int, Sequence[Note]]

    def __getitem__(self, number: int) -> list[Note]:
        """The notes of one design."""
        shared = self.shared[self.condition[number]]
        return [*self.before.get(number, ()), *shared, *self.after.get(number, ())]

    def without_after(self) -> NDArray[np.bool_]:
        """The designs with notes other than those that come last."""
        out: NDArray[np.bool_] = np.array([bool(texts) for texts in self.shared], bool)[self.condition]
        out[list(self.before)] = True
        return out

    def present(self) -> NDArray[np.bool_]:
        """The designs with notes."""
        out = self.without_after()
        out[list(self.after)] = True
        return out


#: Implementations of a softmax that no report shows: one has no tables, one a table for each pair of classes.
_RARE_SOFTMAX = frozenset({"argmax", "legacy"})
#: What the parts of :class:`keys.Group` mean.
_STRATEGIES = {
    "latency": "the Latency strategy",
    "resource-one": "a single Resource layer",
    "resource-several": "several Resource layers",
}


def _unmeasured(
    table: DesignTable, calibration: Calibration, codes: NDArray[np.int64], *, resource: bool
) -> Iterator[tuple[int, Note]]:
    """Designs under a strategy that their compiler never built on their silicon, though both are known.

    Args:
        resource: those under Resource, where compilers differ most, or the others.
    """
    pairs = {flow: measured_kinds(calibration.seen, flow) for flow in Flow}
    classes = calibration.seen.get("part_classes", ())
    kinds, place = site_kinds(table, codes)
    for number, (each, regime) in enumerate(kinds):
        tool, silicon, group = tool_of(each.tool).family, part_class(each.part), factor_group(regime)
        measured = (tool, silicon, group) in pairs[Flow.of(each.stage)]
        if measured or silicon not in classes or (group in RESOURCE_REGIMES) != resource:
            continue
        if group not in _STRATEGIES:
            continue
        note = Note(NoteKind.NO_DATA, f"{_STRATEGIES[group]} with {tool}_hls on {silicon}: no data")
        for design in np.flatnonzero(place == number).tolist():
            yield design, note


def _rare_kinds(table: DesignTable) -> Iterator[tuple[int, Note]]:
    """Designs with compressed weights, or with a softmax that no report shows."""
    # Compressed blocks are as many as the weights left; the laws count those of a whole layer.
    packed = Note(NoteKind.NO_DATA, "compressed weights: no data")
    spellings = {layer.strategy for query in table.queries for layer in query.layers}
    compressed = {text for text in spellings if text.strip().lower() == "compressed"}
    rare = {query.softmax for query in table.queries} & _RARE_SOFTMAX
    for design, query in enumerate(table.queries if compressed or rare else ()):
        if any(layer.strategy in compressed for layer in query.layers):
            yield design, packed
        if query.softmax in rare:
            yield design, Note(NoteKind.NO_DATA, f"softmax by {query.softmax}: no data")


def design_reasons(
    table: DesignTable,
    calibration: Calibration,
    codes: NDArray[np.int64],
    full: Mapping[int, Sequence[Note]],
) -> Notes:
    """Reasons of each design, from its layers, its interface, its tool and its silicon.

    Args:
        codes: of :func:`~hwnas_hls_plugins.estimators.hls_model.regimes.regime_codes`.
        full: design -> notes on resources of which it needs more than its part has.
    """
    own = {number: list(query.reasons) for number, query in enumerate(table.queries) if query.reasons}
    wrapper = Note(NoteKind.NO_DATA, "an AXI wrapper around the network: hardly any data")
    for design in np.flatnonzero(table.design.wrapped > 0).tolist():
        own.setdefault(design, []).append(wrapper)
    for design, note in _rare_kinds(table):
        own.setdefault(design, []).append(note)
    for design, note in _unmeasured(table, calibration, codes, resource=True):
        own.setdefault(design, []).append(note)
    for reason, mask in layer_reasons(table).items():
        if mask.any():
            for design in np.unique(table.owner[mask]).tolist():
                own.setdefault(design, []).append(reason)
    stages = set(calibration.seen.get("stages", ()))
    low, high = calibration.seen.get("clock_ns", (0.0, np.inf))
    shared: list[list[Note]] = []
    for each in table.conditions:
        texts: list[Note] = []
        if each.io_type == "io_stream":
            texts.append(Note(NoteKind.NO_DATA, "io_stream: hardly any data"))
        elif each.io_type != "io_parallel":
            texts.append(Note(NoteKind.NO_DATA, f"unknown io_type {each.io_type[:20]!r}"))
        if part_class(each.part) not in calibration.seen.get("part_classes", ()):
            texts.append(Note(NoteKind.NO_DATA, f"silicon of {each.part[:40]}: no data"))
        if each.stage not in stages:
            texts.append(Note(NoteKind.NO_DATA, f"stage {each.stage}: no data"))
        if not low * 0.8 <= each.clock_ns <= high * 1.25:
            texts.append(
                Note(NoteKind.NO_DATA, f"clock of {each.clock_ns:g} ns: data cover {low:g} to {high:g} ns")
            )
        shared.append(texts)
    return Notes(own, shared, table.condition, full)


def design_warnings(table: DesignTable, calibration: Calibration, codes: NDArray[np.int64]) -> Notes:
    """Warnings: assumptions, and which data are nearest.

    Args:
        codes: of :func:`~hwnas_hls_plugins.estimators.hls_model.regimes.regime_codes`.
    """
    own = {number: query.warnings for number, query in enumerate(table.queries) if query.warnings}
    seen_tools = calibration.seen.get("tools", {})
    parts = calibration.seen.get("parts", {})
    shared: list[list[Note]] = []
    for each in table.conditions:
        texts: list[Note] = []
        tool = tool_of(each.tool)
        versions = seen_tools.get(tool.family, [])
        if versions and tool.version and tool.version not in versions:
            nearest = min(versions, key=lambda version: abs(version - tool.version))
            texts.append(
                Note(NoteKind.NO_DATA, f"no data for {tool.text}, nearest is {tool.family}_hls {nearest:.1f}")
            )
        known = parts.get(part_class(each.part), [])
        if known and not any(each.part.lower().startswith(name) for name in known):
            texts.append(Note(NoteKind.NO_DATA, f"no data for this part, same silicon: {', '.join(known)}"))
        shared.append(texts)
    c = table.layer
    moved: dict[int, list[Note]] = {}
    for layer in np.flatnonzero((c.legal_reuse != c.reuse) & (c.strategy == RESOURCE)):
        text = (
            f"reuse factor {c.reuse[layer]:.0f} is not legal for "
            f"{c.n_in[layer]:.0f} x {c.n_out[layer]:.0f}, hls4ml takes {c.legal_reuse[layer]:.0f}"
        )
        moved.setdefault(int(table.owner[layer]), []).append(Note(NoteKind.CHANGED, text))
    for design, note in (
        *_unmeasured(table, calibration, codes, resource=False),
        *_assumed_weights(table),
    ):
        moved.setdefault(design, []).append(note)
    return Notes(own, shared, table.condition, moved)


def _assumed_weights(table: DesignTable) -> Iterator[tuple[int, Note]]:
    """Designs whose cost depends on how many weights their author pruned, which nobody stated."""
    c = table.layer
    weights = c.n_in * c.n_out
    whole = (c.strategy == RESOURCE) & (c.legal_reuse <= 1)
    asked = ((c.strategy == LATENCY) | whole) & (c.knowledge == BLIND) & (c.habit != UNPRUNED)
    initial = asked & untrained(c.habit, weights)
    for design in np.flatnonzero(table.largest(initial)).tolist():
        yield design, Note(NoteKind.ASSUMED, "weights unknown", "n_nonzeros", "those before training")
    asked &= c.habit != ALONE
    total, left = table.total(weights * asked), table.total(c.nonzeros * asked)
    for design in np.flatnonzero(total).tolist():
        taken = f"{100.0 * left[design] / total[design]:.0f} % of the weights"
        yield design, Note(NoteKind.ASSUMED, "pruning unknown", "n_nonzeros", taken)


def unusual(table: DesignTable) -> NDArray[np.bool_]:
    """Designs that the laws do not describe: streams, wrappers, sums without an adder tree."""
    c = table.layer
    resource = (c.strategy == RESOURCE) & (c.legal_reuse > 1)
    chained = ~resource & (c.n_in * c.n_out > UNROLL_LIMIT)
    odd = chained | (c.acc_modes > 0) | (np.maximum(c.in_bits, c.w_bits) > OPERAND_BITS)
    out: NDArray[np.bool_] = (table.design.stream > 0) | (table.design.wrapped > 0) | (table.largest(odd) > 0)
    return out


def novelty(table: DesignTable, calibration: Calibration, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The distance of each design from the data.

    0: its kind was measured with this compiler on this silicon; 1: both were measured, but not together; 2:
    the silicon was never measured. Single ``Resource`` layers lie in between: their cost is known to a
    fraction of a per cent, but only for the settings of the sweep.

    Args:
        codes: of :func:`~hwnas_hls_plugins.estimators.hls_model.regimes.regime_codes`.
    """
    pairs = {flow: measured_kinds(calibration.seen, flow) for flow in Flow}
    classes = set(calibration.seen.get("part_classes", ()))
    versions = calibration.seen.get("tools", {})
    kinds, place = site_kinds(table, codes)
    away, swept, newer = np.zeros(len(kinds)), np.zeros(len(kinds), bool), np.zeros(len(kinds))
    for number, (each, regime) in enumerate(kinds):
        tool, silicon = tool_of(each.tool), part_class(each.part)
        if (tool.family, silicon, factor_group(regime)) not in pairs[Flow.of(each.stage)]:
            away[number] = 1.0 if silicon in classes else 2.0
        elif regime == "resource-one":
            swept[number] = True
            newer[number] = tool.version not in versions.get(tool.family, ())
    out: NDArray[np.float64] = away[place]
    if swept.any():
        beyond, unswept = _unswept(table)
        # Fractions of the distance to unmeasured silicon; guesses, set by hand.
        apart = np.maximum(np.maximum(0.5 * newer[place], 0.8 * beyond), 0.3 * unswept)
        out = np.where(swept[place], apart, out)
    return out


def _unswept(table: DesignTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1 for designs beyond the sweep's types and steps, and for those beyond its widths and reuse factors."""
    c = table.layer
    beyond = (
        (c.in_bits != 16)
        | (c.acc_bits != 16)
        | (c.activation > 0)
        | (c.batch > 0)
        | (c.legal_reuse <= c.n_in)
        | (c.w_bits > 16)
    )
    (low, high), (fewest, most) = SWEPT_WIDTHS, SWEPT_REUSE
    unswept = (c.legal_reuse < fewest) | (c.legal_reuse > most)
    for width in (c.n_in, c.n_out):
        unswept |= (width < low) | (width > high)
    return table.largest(beyond), table.largest(unswept)
