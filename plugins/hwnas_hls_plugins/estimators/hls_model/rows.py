"""Rows of designs (the documented CSV columns) as queries; a bad cell becomes a warning or a blocker.

:mod:`.foreign_rows` brings other spellings into these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import (
    DEFAULT_CLOCK_NS,
    DEFAULT_PART,
    DEFAULT_TOOL,
    DEFAULT_TYPE,
    STAGES,
    LayerQuery,
    Query,
)
from hwnas_hls.protocols.target import Targets, shipped_targets
from hwnas_hls.spec import quantities
from hwnas_hls_plugins.estimators.hls_model.precision_text import PrecisionText, parse_precision
from hwnas_hls_plugins.estimators.hls_model.row_cells import (
    activations_of,
    integers_of,
    strategies_of,
    widths_of,
)
from hwnas_hls_plugins.estimators.hls_model.silicon import tool_of
from hwnas_hls_plugins.estimators.hls_model.weights_file import layers_with_weights

#: Columns that are read; any may be missing.
COLUMNS = (
    "row_id",
    "tool",
    "stage",
    "part",
    "clock_ns_target",
    "clock_uncertainty",
    "layers",
    "activations",
    "precision",
    "reuse_factor",
    "reuse_factor_effective",
    "strategy",
    "io_type",
    "n_nonzeros",
    "softmax",
    "scope",
    "backend",
    "multipliers",
)
#: Columns for whose content another is taken if it cannot be read: the prediction is then of another design.
#: Of the other columns, an interval that allows for the unknown, or a shorter list of what is known, remains.
_DECISIVE = ("activations", "precision", "reuse_factor", "strategy", "stage", "tool", "multipliers")
#: Vendors whose compilers were never measured.
_OTHER_TOOLS = (
    "catapult",
    "siemens",
    "mentor",
    "quartus",
    "oneapi",
    "intel",
    "altera",
    "libero",
    "smarthls",
    "stratus",
    "xls",
    "bambu",
    "legup",
    "dynamatic",
)


#: Words beside a version that name no other compiler: ``Xilinx HLS 2019.2``.
_PLAIN_WORDS = frozenset({"xilinx", "amd", "hls", "v", "version", "release"})


class _Notes:
    """Warnings, reasons and blockers of one row."""

    __slots__ = ("blockers", "reasons", "warnings")

    def __init__(self) -> None:
        self.warnings: list[Note] = []
        self.reasons: list[Note] = []
        self.blockers: list[Note] = []

    def assumed(self, column: str, taken: str, *parts: str) -> None:
        """``column`` is empty; ``taken`` is assumed."""
        text = f"{', '.join(parts)} unknown" if parts else "unknown"
        self.warnings.append(Note(NoteKind.ASSUMED, text, column, taken, parts))

    def unread(self, column: str, text: str, taken: str = "") -> None:
        """The content of ``column`` cannot be used."""
        self.warnings.append(Note(NoteKind.UNREAD, text, column, taken))


def query_of_row(
    row: Mapping[str, str], weights: Path | None = None, targets: Targets | None = None
) -> Query:
    """One row as a query.

    Args:
        row: column -> text in the documented spelling; missing columns and empty cells are unknown.
        weights: folder that may hold ``<row_id>.npz`` with ``weight0``, ``bias0``, ...
        targets: names of parts; ``None`` takes the shipped target files.
    """
    notes = _Notes()
    cell = {key: text.strip() for key, text in row.items()}
    name = cell.get("row_id", "")
    widths = widths_of(cell.get("layers", ""))
    tool_text = _tool(cell, notes)
    stage = cell.get("stage", "")
    if not stage:
        stage = "logic_synth" if tool_of(tool_text).place else "csynth"
        notes.assumed("stage", stage)
    elif stage not in STAGES:
        notes.unread("stage", f"unknown {stage[:20]!r} (choices: {', '.join(STAGES)})", "csynth")
        stage = "csynth"
    part = cell.get("part", "")
    if not part:
        part = DEFAULT_PART
        notes.assumed("part", DEFAULT_PART)
    target = (targets or shipped_targets()).named(part)
    layers: tuple[LayerQuery, ...] = ()
    if isinstance(widths, str):
        notes.blockers.append(Note(NoteKind.BLOCKED, widths, "layers"))
    else:
        layers = _layers(cell, widths, notes)
        if weights is not None and name:
            layers, complaints = layers_with_weights(layers, weights, name)
            notes.warnings += [Note(NoteKind.UNREAD, text, "weights") for text in complaints]
    clock_ns = _clock(cell.get("clock_ns_target", ""), notes)
    spare = _spare(cell.get("clock_uncertainty", ""), notes)
    doubtful = [n for n in notes.warnings if n.kind is NoteKind.UNREAD and n.about in _DECISIVE]
    return Query(
        layers=layers,
        part=part if target is None else target.part,
        clock_ns=clock_ns,
        tool=tool_text,
        stage=stage,
        clock_uncertainty=spare,
        io_type=cell.get("io_type", "") or "io_parallel",
        backend=cell.get("backend", ""),
        scope=cell.get("scope", "") or "core",
        softmax=cell.get("softmax", "").lower(),
        name=name,
        warnings=tuple(note for note in notes.warnings if note not in doubtful),
        reasons=(*doubtful, *notes.reasons),
        blockers=tuple(notes.blockers),
        clock_known=quantities.clock_ns(cell.get("clock_ns_target", "")) is not None,
    )


def _tool(cell: Mapping[str, str], notes: _Notes) -> str:
    text = cell.get("tool", "")
    lower = f"{text} {cell.get('backend', '')}".lower()
    other = next((name for name in _OTHER_TOOLS if name in lower), None)
    if other is not None:
        notes.reasons.append(Note(NoteKind.NO_DATA, f"no data for {other}", "tool"))
    if not text:
        backend = cell.get("backend", "").lower()
        text = "vivado_hls" if backend.startswith(("vivado", "pynq")) else DEFAULT_TOOL
        notes.assumed("tool", text)
    elif not any(maker in text.lower() for maker in ("vitis", "vivado")) and (
        not tool_of(text).version or set(re.findall("[a-z]+", text.lower())) - _PLAIN_WORDS
    ):
        if other is None:
            notes.unread("tool", f"cannot read {text[:30]!r}", DEFAULT_TOOL)
        text = DEFAULT_TOOL
    return text


def _clock(text: str, notes: _Notes) -> float:
    if not text:
        notes.assumed("clock_ns_target", f"{DEFAULT_CLOCK_NS:g}")
        return DEFAULT_CLOCK_NS
    period = quantities.clock_ns(text)
    if period is None:
        notes.unread("clock_ns_target", f"{text[:20]!r} is not a positive number", f"{DEFAULT_CLOCK_NS:g}")
        return DEFAULT_CLOCK_NS
    return period


def _spare(text: str, notes: _Notes) -> float | None:
    """Share of the clock period kept back: ``0.27``, ``27``, ``27%``."""
    if not text:
        return None
    try:
        value = float(text.rstrip("% "))
    except ValueError:
        value = math.nan
    if not 0.0 <= value < 100.0:
        notes.unread("clock_uncertainty", f"{text[:20]!r} is not a share", "the tool's own")
        return None
    return value / 100.0 if value >= 1.0 or text.endswith("%") else value


def _layers(cell: Mapping[str, str], widths: tuple[int, ...], notes: _Notes) -> tuple[LayerQuery, ...]:
    count = len(widths) - 1
    spoken = bool(cell.get("softmax", "")) and cell["softmax"].lower() != "false"
    activations = activations_of(cell.get("activations", ""), count, spoken)
    notes.warnings += activations.warnings
    notes.reasons += activations.reasons
    types: PrecisionText = parse_precision(cell.get("precision", ""), count)
    notes.warnings += types.warnings
    notes.reasons += types.reasons
    if types.assumed:
        notes.assumed("precision", str(DEFAULT_TYPE), *types.assumed)
    reuse = _per_layer(cell, "reuse_factor", count, notes)
    if reuse is None:
        reuse = _per_layer(cell, "reuse_factor_effective", count, notes)
        if reuse is None:
            reuse = (1,) * count
            notes.assumed("reuse_factor", "1")
    if min(reuse) < 1:
        notes.unread("reuse_factor", f"a reuse factor is at least 1, not {min(reuse)}; 1 is used")
    strategies, complaints = strategies_of(cell.get("strategy", ""))
    notes.warnings += complaints
    if 1 < len(strategies) != count:
        notes.unread("strategy", f"{len(strategies)} for {count} layers")
    if not strategies:
        # hls4ml pipelines what has reuse factor 1 and runs large factors as Resource.
        strategies = ("Latency" if max(reuse) <= 1 else "Resource",)
        notes.assumed("strategy", strategies[0])
    nonzeros = _per_layer(cell, "n_nonzeros", count, notes, exact=True)
    bound = cell.get("multipliers", "").lower() or None
    if bound not in ("dsp", "fabric", None):
        notes.unread("multipliers", f"unknown {bound[:20]!r} (choices: dsp, fabric)")
        bound = None
    out = []
    source = types.input
    for number in range(count):
        known = None if nonzeros is None else nonzeros[number]
        products = widths[number] * widths[number + 1]
        if known is not None and known > products:
            notes.unread("n_nonzeros", f"{known} of layer {number} exceed its {products} weights; ignored")
            known = None
        layer = LayerQuery(
            widths[number],
            widths[number + 1],
            source,
            types.weight[number],
            types.bias[number],
            types.accum[number],
            types.out[number],
            types.activation[number],
            activations.names[number],
            max(1, reuse[number]),
            strategies[min(number, len(strategies) - 1)],
            known,
            None,
            None,
            activations.normalisations[number],
            bound,
        )
        out.append(layer)
        source = layer.result or layer.dense_out or layer.sum_type
    return tuple(out)


def _per_layer(
    cell: Mapping[str, str], name: str, count: int, notes: _Notes, exact: bool = False
) -> tuple[int, ...] | None:
    text = cell.get(name, "")
    if not text:
        return None
    values = integers_of(text)
    if values is None:
        notes.unread(name, f"cannot read {text[:30]!r}, ignored")
        return None
    if len(values) == count:
        return values
    if exact or len(values) > count:
        notes.unread(name, f"{len(values)} values for {count} layers, ignored")
        return None
    if len(values) > 1:
        notes.unread(name, f"{len(values)} values for {count} layers; repeated the last")
    return values + (values[-1],) * (count - len(values))
