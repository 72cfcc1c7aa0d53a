"""A prediction as text that fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.spec.notation import percent
from hwnas_hls_plugins.estimators.hls_model.prediction import Interval, Prediction
from hwnas_hls_plugins.estimators.hls_model.silicon import tool_of
from hwnas_hls_plugins.estimators.hls_model.table import KNOWLEDGE

WIDTH = 80
LABELS = {
    "latency_cycles": "latency, cycles",
    "latency_ns": "latency, ns",
    "ii_cycles": "II, cycles",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "lut_csynth": "LUT, C synthesis",
    "ff_csynth": "FF, C synthesis",
    "dsp_csynth": "DSP, C synthesis",
    "bram_18k": "BRAM 18K",
    "uram": "URAM",
}


def _range(interval: Interval) -> str:
    return f"{interval.low:,.0f} to {interval.high:,.0f}"


def _coverage(interval: Interval) -> str:
    return "not calibrated" if interval.coverage is None else percent(interval.coverage)


def _wrapped(label: str, texts: Sequence[object]) -> list[str]:
    lines = []
    for text in texts:
        lines += textwrap.wrap(f"{label}: {text}", WIDTH, subsequent_indent="  ")
    return lines


def prediction_text(prediction: Prediction) -> str:
    """Totals with intervals and shares of the part, shares of the layers, domain and warnings."""
    query = prediction.query
    target = prediction.target
    lines = [
        f"{query.name or query.shape}  ({query.shape})" if query.name else query.shape,
        f"{query.part}, {query.clock_ns:g} ns, {tool_of(query.tool).text}, {query.stage}",
        "",
        f"{'':18}{'value':>10}  {'interval':>21}  {'coverage':>14}  {'of part':>8}",
    ]
    for metric, label in LABELS.items():
        interval = prediction.metrics.get(metric)
        if interval is None or (metric == "uram" and interval.value == 0):
            continue
        share = ""
        if target is not None and metric in ("lut", "ff", "dsp", "bram_18k", "uram"):
            share = f"{100 * target.share(metric, interval.value):.1f} %" if getattr(target, metric) else ""
        numbers = f"{interval.value:>10,.0f}  {_range(interval):>21}"
        lines.append(f"{label:18}{numbers}  {_coverage(interval):>14}  {share:>8}")
        if metric == "latency_cycles" and prediction.earliest_cycles not in (None, interval.value):
            lines.append(f"{'  best case':18}{prediction.earliest_cycles:>10,.0f}")
    lines += [
        "",
        f"{'layer':27}{'strategy':>10}{'reuse':>7}{'cycles':>7}{'LUT':>9}{'FF':>8}{'DSP':>6}{'BRAM':>6}",
    ]
    for layer in prediction.layers:
        strategy = "DA" if layer.strategy.lower() in ("distributed_arithmetic", "da") else layer.strategy
        lines.append(
            f"{layer.name[:26]:27}{strategy[:9]:>10}{layer.reuse_factor:>7}{layer.cycles:>7,.0f}"
            f"{layer.lut:>9,.0f}{layer.ff:>8,.0f}{layer.dsp:>6,.0f}{layer.bram_18k:>6,.0f}"
        )
    lines.append("")
    lines += _wrapped(
        "rests on" if prediction.origin else "calibration",
        [f"{prediction.origin or prediction.calibration}; {KNOWLEDGE[prediction.knowledge]}"],
    )
    if prediction.in_domain:
        lines.append("in domain: yes")
    else:
        lines += _wrapped("outside the calibrated domain", prediction.reasons)
    lines += _wrapped("note", prediction.warnings)
    return "\n".join(lines)


def comparison_text(predictions: Sequence[Prediction]) -> str:
    """The same design under several tools, side by side."""
    query = predictions[0].query
    lines = [query.name or query.shape, f"{query.part}, {query.clock_ns:g} ns, {query.stage}", ""]
    head = f"{'':18}"
    for prediction in predictions:
        head += f"{tool_of(prediction.query.tool).text[:29]:>30}"
    lines.append(head)
    for metric, label in LABELS.items():
        if metric == "uram" or metric not in predictions[0].metrics:
            continue
        line = f"{label:18}"
        for prediction in predictions:
            interval = prediction.metrics[metric]
            cell = f"{interval.value:,.0f} ({interval.low:,.0f}-{interval.high:,.0f})"
            line += f"{cell:>30}"
        lines.append(line)
    lines.append("")
    for prediction in predictions:
        name = tool_of(prediction.query.tool).text
        lines += _wrapped(name, prediction.reasons or ["in domain"])
        lines += _wrapped(name, [note for note in prediction.warnings if note.kind is NoteKind.NO_DATA])
    return "\n".join(lines)


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """The whole prediction as JSON-able data."""
    query = prediction.query
    return {
        "name": query.name,
        "layers": query.shape,
        "part": query.part,
        "tool": tool_of(query.tool).text,
        "stage": query.stage,
        "clock_ns": query.clock_ns,
        "metrics": {
            metric: {
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "coverage": interval.coverage,
                "source": "predicted",
            }
            for metric, interval in prediction.metrics.items()
        },
        "latency_cycles_min": prediction.earliest_cycles,
        "shares": [
            {
                "layer": layer.name,
                "strategy": layer.strategy,
                "reuse_factor": layer.reuse_factor,
                "cycles": layer.cycles,
                "lut": round(layer.lut, 1),
                "ff": round(layer.ff, 1),
                "dsp": round(layer.dsp, 1),
                "bram_18k": round(layer.bram_18k, 1),
            }
            for layer in prediction.layers
        ],
        "knowledge": KNOWLEDGE[prediction.knowledge],
        "calibration": prediction.calibration,
        "origin": prediction.origin,
        "in_domain": prediction.in_domain,
        "reasons": list(map(str, prediction.reasons)),
        "warnings": list(map(str, prediction.warnings)),
    }
