"""Rows of designs (CSV columns) as queries; a bad cell becomes a warning or a blocker, never a crash."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from pathlib import Path

from hwnas_hls_plugins.hls_model.precision_text import PrecisionText, parse_precision
from hwnas_hls_plugins.hls_model.query import (
    DEFAULT_CLOCK_NS,
    DEFAULT_PART,
    DEFAULT_TOOL,
    STAGES,
    LayerQuery,
    Query,
)
from hwnas_hls_plugins.hls_model.silicon import tool_of
from hwnas_hls_plugins.hls_model.table import ACTIVATION_CODES
from hwnas_hls_plugins.hls_model.weights_file import layers_with_weights

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
MAX_LAYERS, MAX_WIDTH = 64, 65536
_PLAIN_NAMES = {
    "": "linear",
    "none": "linear",
    "quantized_relu": "relu",
    "relu6": "relu",
    "leakyrelu": "leaky_relu",
    "activation": "linear",
}
_STAGE_NAMES = {
    "": "",
    "csynth": "csynth",
    "hls": "csynth",
    "c_synthesis": "csynth",
    "logic_synth": "logic_synth",
    "logic_synthesis": "logic_synth",
    "synth": "logic_synth",
    "vsynth": "logic_synth",
    "post_route": "post_route",
    "impl": "post_route",
    "implementation": "post_route",
    "routed": "post_route",
}


class _Notes:
    """Warnings, reasons and blockers of one row."""

    __slots__ = ("blockers", "reasons", "warnings")

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.reasons: list[str] = []
        self.blockers: list[str] = []


@functools.lru_cache(maxsize=65536)
def _widths(text: str) -> tuple[int, ...] | str:
    """``16-64-5`` -> widths, or a text that says what is wrong."""
    if not text:
        return "layers: empty"
    pieces = [piece.strip() for piece in re.split(r"[-,;→>\s]+", text.strip("[]() ")) if piece.strip()]
    widths = []
    for piece in pieces:
        try:
            value = float(piece)
        except ValueError:
            return f"layers: {text[:60]!r} is no list of widths such as 16-64-5"
        if not math.isfinite(value) or value != int(value) or not 1 <= value <= MAX_WIDTH:
            return f"layers: {piece[:20]!r} is no width between 1 and {MAX_WIDTH}"
        widths.append(int(value))
    if len(widths) < 2:
        return f"layers: {text[:60]!r} names fewer than two widths"
    if len(widths) > MAX_LAYERS + 1:
        return f"layers: more than {MAX_LAYERS} layers"
    return tuple(widths)


@functools.lru_cache(maxsize=65536)
def _activations(
    text: str, n_layers: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Activation and normalisation of each layer, warnings, reasons."""
    names = ["linear"] * n_layers
    normal = ["none"] * n_layers
    warnings: list[str] = []
    reasons: list[str] = []
    place = 0
    for token in re.split(r"[-,;\s]+", text.strip().lower()):
        if token in ("bn", "batchnorm", "batch_normalization", "batchnormalization"):
            normal[max(0, min(place, n_layers) - 1)] = "batch"
            continue
        if not token and not text.strip():
            break
        name = _PLAIN_NAMES.get(token, token)
        if name not in ACTIVATION_CODES:
            reasons.append(f"unknown activation {token[:30]!r}")
            name = "linear"
        if place >= n_layers:
            if name == "linear":
                continue
            warnings.append(f"activations: more than the {n_layers} layers take")
            break
        names[place] = name
        place += 1
    return tuple(names), tuple(normal), tuple(warnings), tuple(reasons)


@functools.lru_cache(maxsize=65536)
def _integers(text: str) -> tuple[int, ...] | None:
    """``8;32`` -> numbers, ``None`` where one is none."""
    out = []
    for piece in re.split(r"[;,\s]+", text.strip("[]() ")):
        if not piece:
            continue
        try:
            value = float(piece)
        except ValueError:
            return None
        if not math.isfinite(value) or value < 0 or value > 1e12:
            return None
        out.append(int(value))
    return tuple(out)


def _positive(text: str, name: str, default: float | None, notes: _Notes) -> float | None:
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0 or value > 1e6:
        notes.warnings.append(f"{name}: {text[:20]!r} is no positive number, took {default}")
        return default
    return value


def query_of_row(row: Mapping[str, str], weights: Path | None = None) -> Query:
    """One row as a query.

    Args:
        row: column -> text; missing columns are unknown.
        weights: folder that may hold ``<row_id>.npz`` with ``weight0``, ``bias0``, ...
    """
    notes = _Notes()
    name = row.get("row_id", "").strip()
    widths = _widths(row.get("layers", "").strip())
    tool_text = row.get("tool", "").strip()
    if not tool_text:
        tool_text = DEFAULT_TOOL
        notes.warnings.append(f"tool: unknown, took {DEFAULT_TOOL}")
    tool = tool_of(tool_text)
    stage_text = row.get("stage", "").strip().lower()
    stage = _STAGE_NAMES.get(stage_text)
    if stage is None:
        notes.warnings.append(
            f"stage: unknown {stage_text[:20]!r}, took csynth (choices: {', '.join(STAGES)})"
        )
        stage = "csynth"
    if not stage:
        stage = "logic_synth" if tool.place else "csynth"
    part = row.get("part", "").strip()
    if not part:
        part = DEFAULT_PART
        notes.warnings.append(f"part: unknown, took {DEFAULT_PART}")
    clock = _positive(row.get("clock_ns_target", "").strip(), "clock_ns_target", DEFAULT_CLOCK_NS, notes)
    spare = _positive(row.get("clock_uncertainty", "").strip().rstrip("%"), "clock_uncertainty", None, notes)
    if spare is not None and spare >= 1.0:
        spare = spare / 100.0 if spare < 100.0 else None
    layers: tuple[LayerQuery, ...] = ()
    if isinstance(widths, str):
        notes.blockers.append(widths)
    else:
        layers = _layers(row, widths, notes)
        if weights is not None and name:
            layers, complaints = layers_with_weights(layers, weights, name)
            notes.warnings += complaints
    io_type = row.get("io_type", "").strip().lower() or "io_parallel"
    return Query(
        layers=layers,
        part=part,
        clock_ns=clock or DEFAULT_CLOCK_NS,
        tool=tool_text,
        stage=stage,
        clock_uncertainty=spare,
        io_type=io_type,
        backend=row.get("backend", "").strip(),
        scope=row.get("scope", "").strip() or "core",
        softmax=row.get("softmax", "").strip().lower(),
        name=name,
        warnings=tuple(notes.warnings),
        reasons=tuple(notes.reasons),
        blockers=tuple(notes.blockers),
    )


def _layers(row: Mapping[str, str], widths: tuple[int, ...], notes: _Notes) -> tuple[LayerQuery, ...]:
    count = len(widths) - 1
    names, normal, warnings, reasons = _activations(row.get("activations", ""), count)
    notes.warnings += warnings
    notes.reasons += reasons
    types: PrecisionText = parse_precision(row.get("precision", "").strip(), count)
    notes.warnings += types.warnings
    if types.assumed:
        notes.warnings.append(f"precision: {', '.join(types.assumed)} unknown, took ap_fixed<16,6>")
    reuse = _per_layer(row, "reuse_factor", count, notes)
    if reuse is None:
        reuse = _per_layer(row, "reuse_factor_effective", count, notes)
        if reuse is None:
            reuse = (1,) * count
            notes.warnings.append("reuse_factor: unknown, took 1")
    strategies = [piece.strip() for piece in row.get("strategy", "").split(";") if piece.strip()]
    if not strategies:
        # hls4ml pipelines what has reuse factor 1 and runs large factors as Resource.
        strategies = ["Latency" if max(reuse) <= 1 else "Resource"]
        notes.warnings.append(f"strategy: unknown, took {strategies[0]}")
    nonzeros = _per_layer(row, "n_nonzeros", count, notes, exact=True)
    bound = row.get("multipliers", "").strip().lower() or None
    if bound not in ("dsp", "fabric", None):
        notes.warnings.append(f"multipliers: unknown {bound[:20]!r} (choices: dsp, fabric)")
        bound = None
    if bound is None and "multiplies bound to" in row.get("notes", ""):
        bound = "dsp" if "multiplies bound to DSP" in row["notes"] else "fabric"
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
        out.append(
            LayerQuery(
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
        )
        source = types.activation[number]
    return tuple(out)


def _per_layer(
    row: Mapping[str, str], name: str, count: int, notes: _Notes, exact: bool = False
) -> tuple[int, ...] | None:
    text = row.get(name, "").strip()
    if not text:
        return None
    values = _integers(text)
    if values is None or not values:
        notes.warnings.append(f"{name}: cannot read {text[:30]!r}, ignored")
        return None
    if len(values) == count:
        return values
    if exact or len(values) > count:
        notes.warnings.append(f"{name}: {len(values)} values for {count} layers, ignored")
        return None
    return values + (values[-1],) * (count - len(values))
