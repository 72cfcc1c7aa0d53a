"""Numbers formatted for people: figures, units, intervals, shares, sources."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas_hls.protocols.target import RESOURCES, Target
from hwnas_hls.values.estimate import METRICS, SCORED, SOURCES, Estimate, Metric, Source
from hwnas_hls.values.objective import Limit
from hwnas_hls.values.score_metrics import OF_CLASS

#: The meaning of each source, for the legend of a report.
SOURCE_MEANINGS = {
    "predicted": "predicted by a model, with an interval",
    "counted": "counted exactly, from the layers and weights of the network",
    "trained": "scored by the trained network, in floating point or with a fake quantiser",
    "emulated": "scored by exact integer arithmetic, the bits that the hardware computes",
    "csim": "hls4ml's C++ compiled and run on this machine (C simulation)",
    "simulated_rtl": "the generated RTL, simulated cycle by cycle",
    "csynth": "the HLS compiler's report; it overstates LUTs about twofold",
    "open_synthesis": "synthesised to gates by the open Yosys flow",
    "logic_synthesis": "the vendor's logic synthesis, before place and route",
    "post_route": "placed and routed by the vendor's tools",
}
#: One letter per source, for narrow tables.
SOURCE_MARKS = {
    "predicted": "p",
    "counted": "n",
    "trained": "t",
    "emulated": "e",
    "csim": "c",
    "simulated_rtl": "r",
    "csynth": "h",
    "open_synthesis": "o",
    "logic_synthesis": "l",
    "post_route": "R",
}
_UNIT_SUFFIXES = {
    "ns": "ns",
    "us": "µs",
    "cycles": "cycles",
    "mhz": "MHz",
    "pj": "pJ",
    "mw": "mW",
    "bytes": "bytes",
    "percent": "%",
}
#: Metrics between 0 and 1 that are written in percent.
RATIOS = ("accuracy", "balanced_accuracy", "efficiency_at_fpr")
#: Other metrics of predictions, which are written with this number of decimals.
_DECIMALS = {"auc": 4, "f1": 3, "r2": 3}
#: Sources of scores, which a stronger one of them replaces.
_SCORES = (*SCORED, Source.CSIM)
_COUNTS = (*RESOURCES, "parameters", "macs", "bit_operations", "model_size_bytes")


def metric_of(name: str) -> Metric:
    """The metric with this name; for a plugin's metric, derived from the name."""
    if name in METRICS:
        return METRICS[name]
    if name.startswith(OF_CLASS):
        return Metric(name, "max", f"accuracy of {name.removeprefix(OF_CLASS)}")
    stem, _, suffix = name.rpartition("_")
    unit = _UNIT_SUFFIXES.get(suffix, "") if stem else ""
    words = stem if unit else name
    return Metric(name, "min", words.replace("_", " "), unit)


def title(name: str) -> str:
    """A metric as an axis title or heading, for example ``latency (ns)``."""
    metric = metric_of(name)
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def figure(name: str, value: float | None) -> str:
    """A number of the metric ``name``: accuracies in percent, counts with thousands separators."""
    if value is None:
        return "unknown"
    if not math.isfinite(value):
        return "unbounded"
    if is_ratio(name):
        return percent(value, 1)
    if name in _DECIMALS:
        return f"{value:.{_DECIMALS[name]}f}"
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value == int(value) or (abs(value) >= 100 and name in _COUNTS):
        return f"{value:.0f}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float, digits: int = 0) -> str:
    """A share in percent with this many decimals, for example ``93 %``."""
    return f"{100 * share:.{digits}f} %"


def is_ratio(name: str) -> bool:
    """Whether the metric is a ratio, written in percent."""
    return name in RATIOS or name.startswith(OF_CLASS)


def plain_number(name: str, value: float) -> float | None:
    """The value that :func:`figure` writes, as a number in the same unit; ``None`` if unbounded."""
    if not math.isfinite(value):
        return None
    return 100 * value if is_ratio(name) else value


def quantity(name: str, value: float | None) -> str:
    """A number with its unit, ``35 ns`` or ``1 cycle``; counts carry their name: ``3,120 LUT``."""
    metric = metric_of(name)
    if is_ratio(name):
        return figure(name, value)
    noun = metric.unit or metric.label
    # "ns" and its like are no plurals.
    if value == 1 and len(noun) > 2:
        noun = noun.removesuffix("s")
    return f"{figure(name, value)} {noun}"


def interval(estimate: Estimate) -> str:
    """``low to high``, or nothing for a measured or counted number."""
    exact = estimate.low == estimate.high == estimate.value
    if exact and not estimate.is_predicted:
        return ""
    low, high = figure(estimate.metric, estimate.low), figure(estimate.metric, estimate.high)
    return f"{low.removesuffix(' %')} to {high}"


def basis(estimate: Estimate) -> str:
    """Coverage, calibration and domain of a predicted interval; empty if measured."""
    if estimate.source == Source.COUNTED:
        return "counted"
    if not estimate.is_predicted:
        return "" if estimate.coverage is None else f"{100 * estimate.coverage:.0f} % interval"
    if estimate.coverage is None:
        words = "uncalibrated"
    else:
        words = f"{100 * estimate.coverage:.0f} % interval, calibrated"
    return words if estimate.in_domain else f"{words}, outside the calibrated domain"


def share(target: Target, name: str, value: float) -> str:
    """Percentage of the part that ``value`` takes; empty for metrics that are not resources."""
    if name not in RESOURCES:
        return ""
    if not math.isfinite(value):
        return "unbounded"
    part = target.share(name, value)
    if not math.isfinite(part):
        return "the part has none"
    if part == 0:
        return "0 %"
    return f"{100 * part:.2g} %" if part >= 0.0001 else "< 0.01 %"


def is_capacity(target: Target, limit: Limit) -> bool:
    """Whether a limit only requires that the design fits the part."""
    return limit.kind == "max" and limit.metric in RESOURCES and limit.bound == getattr(target, limit.metric)


def limits_in_words(target: Target, limits: Sequence[Limit]) -> str:
    """The limits set by the user; those of the part are summarised."""
    words = [
        f"{title(limit.metric)} {'at most' if limit.kind == 'max' else 'at least'}"
        f" {figure(limit.metric, limit.bound)}"
        for limit in limits
        if not is_capacity(target, limit)
    ]
    if any(is_capacity(target, limit) for limit in limits):
        words.append("fits the part")
    return "; ".join(words) or "none"


def claims(target: Target, limits: Sequence[Limit]) -> str:
    """Flags of ``hwnas-hls validate`` that require the limits of the user."""
    asked = [limit for limit in limits if not is_capacity(target, limit)]
    return " ".join(map(_flag, asked)) or "--max-latency 1us"


def _flag(limit: Limit) -> str:
    if (limit.metric, limit.kind) != ("latency_ns", "max"):
        return f"--{limit.kind} {shlex.quote(f'{limit.metric}={limit.exact_bound}')}"
    time = f"{limit.bound / 1000:g}us" if limit.bound >= 1000 else f"{limit.exact_bound}ns"
    return f"--max-latency {time}"


def counted(number: int, noun: str) -> str:
    """``1 design``, ``2 designs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Wall clock time, for example ``3 min 20 s``."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the evidence ladder of a design.

    Args:
        source: one of the sources, weakest first.
        metrics: labels of the metrics with this source.
        none: why there are none, as text; empty if there are.
    """

    source: str
    metrics: tuple[str, ...]
    none: str = ""


def ladder(estimates: Mapping[str, Estimate]) -> tuple[Rung, ...]:
    """Every source from weakest to strongest, each with its metrics."""
    held = {estimate.source for estimate in estimates.values()}
    proven = next((source for source in ("csim", "simulated_rtl") if source in held), "")
    rungs = []
    for source in SOURCES:
        metrics = tuple(title(name) for name, estimate in estimates.items() if estimate.source == source)
        weaker = source in _SCORES and proven and SOURCES.index(source) < SOURCES.index(proven)
        none = f"replaced by {proven}" if weaker else "nothing yet"
        rungs.append(Rung(source, metrics, "" if metrics else none))
    return tuple(rungs)
