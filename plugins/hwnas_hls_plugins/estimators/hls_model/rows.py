"""Rows of designs (CSV columns) as queries; a bad cell becomes a warning or a blocker, never a crash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from hwnas_hls.hls4ml.query import (
    DEFAULT_CLOCK_NS,
    DEFAULT_PART,
    DEFAULT_TOOL,
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
    io_type_of,
    plain,
    stage_of,
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
    "notes",
)
#: Makers whose compilers were never measured.
_OTHER_TOOLS = ("catapult", "quartus", "oneapi", "intel", "libero", "smarthls", "xls", "bambu", "legup")


class _Notes:
    """Warnings, reasons and blockers of one row."""

    __slots__ = ("blockers", "reasons", "warnings")

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.reasons: list[str] = []
        self.blockers: list[str] = []


def query_of_row(
    row: Mapping[str, str], weights: Path | None = None, targets: Targets | None = None
) -> Query:
    """One row as a query.

    Args:
        row: column -> text; missing columns are unknown.
        weights: folder that may hold ``<row_id>.npz`` with ``weight0``, ``bias0``, ...
        targets: names of parts; ``None`` takes the shipped target files.
    """
    notes = _Notes()
    cell = {key: plain(text) for key, text in row.items()}
    name = row.get("row_id", "").strip()
    widths = widths_of(cell.get("layers", ""))
    tool_text = _tool(cell, notes)
    stage = stage_of(cell.get("stage", ""))
    if stage is None:
        notes.warnings.append(
            f"stage: unknown {cell['stage'][:20]!r}, took csynth (choices: {', '.join(STAGES)})"
        )
        stage = "csynth"
    if not stage:
        stage = "logic_synth" if tool_of(tool_text).place else "csynth"
    part = cell.get("part", "")
    if not part:
        part = DEFAULT_PART
        notes.warnings.append(f"part: unknown, took {DEFAULT_PART}")
    target = (targets or shipped_targets()).named(part)
    layers: tuple[LayerQuery, ...] = ()
    if isinstance(widths, str):
        notes.blockers.append(widths)
    else:
        layers = _layers(cell, widths, notes)
        if weights is not None and name:
            layers, complaints = layers_with_weights(layers, weights, name)
            notes.warnings += complaints
    return Query(
        layers=layers,
        part=part if target is None else target.part,
        clock_ns=_clock(cell.get("clock_ns_target", ""), notes),
        tool=tool_text,
        stage=stage,
        clock_uncertainty=_spare(cell.get("clock_uncertainty", ""), notes),
        io_type=io_type_of(cell.get("io_type", "")),
        backend=cell.get("backend", ""),
        scope=cell.get("scope", "") or "core",
        softmax=cell.get("softmax", "").lower(),
        name=name,
        warnings=tuple(notes.warnings),
        reasons=tuple(notes.reasons),
        blockers=tuple(notes.blockers),
        clock_known=quantities.clock_ns(cell.get("clock_ns_target", "")) is not None,
    )


def _tool(cell: Mapping[str, str], notes: _Notes) -> str:
    text = cell.get("tool", "")
    lower = f"{text} {cell.get('backend', '')}".lower()
    other = next((name for name in _OTHER_TOOLS if name in lower), None)
    if other is not None:
        notes.reasons.append(f"tool {other}: no data")
    if not text:
        backend = cell.get("backend", "").lower()
        text = "vivado_hls" if backend.startswith(("vivado", "pynq")) else DEFAULT_TOOL
        notes.warnings.append(f"tool: unknown, took {text}")
    elif not any(maker in text.lower() for maker in ("vitis", "vivado")) and not tool_of(text).version:
        if other is None:
            notes.warnings.append(f"tool: cannot read {text[:30]!r}, took {DEFAULT_TOOL}")
        text = DEFAULT_TOOL
    return text


def _clock(text: str, notes: _Notes) -> float:
    if not text:
        notes.warnings.append(f"clock_ns_target: unknown, took {DEFAULT_CLOCK_NS:g}")
        return DEFAULT_CLOCK_NS
    period = quantities.clock_ns(text)
    if period is None:
        notes.warnings.append(
            f"clock_ns_target: {text[:20]!r} is no positive number, took {DEFAULT_CLOCK_NS:g}"
        )
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
        notes.warnings.append(f"clock_uncertainty: {text[:20]!r} is no share, took the tool's own")
        return None
    return value / 100.0 if value >= 1.0 or text.endswith("%") else value


def _layers(cell: Mapping[str, str], widths: tuple[int, ...], notes: _Notes) -> tuple[LayerQuery, ...]:
    count = len(widths) - 1
    spoken = bool(cell.get("softmax", "")) and cell["softmax"].lower() != "false"
    names, normal, warnings, reasons = activations_of(cell.get("activations", ""), count, spoken)
    notes.warnings += warnings
    notes.reasons += reasons
    types: PrecisionText = parse_precision(cell.get("precision", ""), count)
    notes.warnings += types.warnings
    notes.reasons += types.reasons
    if types.assumed:
        notes.warnings.append(f"precision: {', '.join(types.assumed)} unknown, took ap_fixed<16,6>")
    reuse = _per_layer(cell, "reuse_factor", count, notes)
    if reuse is None:
        reuse = _per_layer(cell, "reuse_factor_effective", count, notes)
        if reuse is None:
            reuse = (1,) * count
            notes.warnings.append("reuse_factor: unknown, took 1")
    strategies, complaints = strategies_of(cell.get("strategy", ""))
    notes.warnings += complaints
    if not strategies:
        # hls4ml pipelines what has reuse factor 1 and runs large factors as Resource.
        strategies = ("Latency" if max(reuse) <= 1 else "Resource",)
        notes.warnings.append(f"strategy: unknown, took {strategies[0]}")
    nonzeros = _per_layer(cell, "n_nonzeros", count, notes, exact=True)
    bound = cell.get("multipliers", "").lower() or None
    if bound not in ("dsp", "fabric", None):
        notes.warnings.append(f"multipliers: unknown {bound[:20]!r} (choices: dsp, fabric)")
        bound = None
    if bound is None and "multiplies bound to" in cell.get("notes", ""):
        bound = "dsp" if "multiplies bound to DSP" in cell["notes"] else "fabric"
    out = []
    source = types.input
    for number in range(count):
        known = None if nonzeros is None else nonzeros[number]
        products = widths[number] * widths[number + 1]
        if known is not None and known > products:
            notes.warnings.append(
                f"n_nonzeros: {known} of layer {number} exceed its {products} weights; ignored"
            )
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
            names[number],
            max(1, reuse[number]),
            strategies[min(number, len(strategies) - 1)],
            known,
            None,
            None,
            normal[number],
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
    if values is None or not values:
        notes.warnings.append(f"{name}: cannot read {text[:30]!r}, ignored")
        return None
    if len(values) == count:
        return values
    if exact or len(values) > count:
        notes.warnings.append(f"{name}: {len(values)} values for {count} layers, ignored")
        return None
    return values + (values[-1],) * (count - len(values))
