"""The data for the script of the page: columns of all candidates, the members, the trace.

To keep the file at a few megabytes for tens of thousands of candidates, numbers have five significant
digits, and the value of a knob is one letter for its index among the choices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.space import knobs_of
from hwnas_hls.spec.notation import is_ratio, metric_of, title
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import RecordState

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front
    from hwnas_hls.values.record import Record

#: Letters without escapes in JSON or HTML; the first means the first choice.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
INACTIVE = "."
#: A knob with more values than this is sent as positions in [0, 1].
MAX_CHOICES = len(LETTERS)
KEY_DIGITS = 8
TRACE_POINTS = 2000


def payload(front: Front) -> dict[str, Any]:
    """All data for the script, JSON-able."""
    records = sorted(front.records, key=lambda record: record.number)
    metrics = plotted_metrics(front)
    # The search uses the logarithm of the shortfall; the plot shows accuracy on a linear axis.
    log = {o.metric: o.log and o.direction == "min" for o in front.goal.objectives}
    higher = {o.metric: o.direction == "max" for o in front.goal.objectives}
    return {
        "metrics": [
            {
                "name": name,
                "title": title(name),
                "log": log.get(name, False),
                "percent": is_ratio(name),
                "higher": higher.get(name, False),
            }
            for name in metrics
        ],
        "axes": list(default_axes(front, metrics)),
        "states": list(RecordState),
        "candidates": {
            "number": _numbers(records),
            "key": "".join(record.key[:KEY_DIGITS].ljust(KEY_DIGITS) for record in records),
            "state": "".join(str(list(RecordState).index(record.state)) for record in records),
            "values": {name: [_value(record.estimates, name) for record in records] for name in metrics},
        },
        "knobs": _knobs(front, records),
        "members": [
            {
                "key": member.key,
                "anchor": f"design-{place}",
                "metrics": {
                    name: _bar(member.estimates[name]) for name in metrics if name in member.estimates
                },
            }
            for place, member in enumerate(front.members)
        ],
        "baselines": [
            {"name": name, "metric": metric, "value": value}
            for name, metric, value in [
                *((item.name, item.estimate.metric, item.estimate.value) for item in front.run.baselines),
                *([("chance", front.run.chance.metric, front.run.chance.value)] if front.run.chance else []),
            ]
        ],
        "limits": [
            {"metric": limit.metric, "kind": limit.kind, "bound": _exact(limit.bound)}
            for limit in front.goal.limits
        ],
        "trace": _trace(front.trace),
        "comparisons": [
            {
                "key": item.key,
                "metric": item.measured.metric,
                "predicted": _bar(item.predicted),
                "measured": _bar(item.measured),
            }
            for item in front.comparisons()
        ],
    }


def plotted_metrics(front: Front) -> list[str]:
    """All metrics with numbers: objectives first, then limits, then the others."""
    found: dict[str, None] = {}
    for estimates in (one.estimates for group in (front.members, front.records) for one in group):
        found |= dict.fromkeys(estimates)
    wanted = [objective.metric for objective in front.goal.objectives]
    wanted += [limit.metric for limit in front.goal.limits]
    return list(dict.fromkeys((*(name for name in wanted if name in found), *found)))


def default_axes(front: Front, metrics: Sequence[str]) -> tuple[str, str] | tuple[()]:
    """(x, y): the first cost among the objectives, and :func:`head_metric`."""
    if not metrics:
        return ()
    y = head_metric(front)
    y = y if y in metrics else metrics[0]
    wanted = [o for o in front.goal.objectives if o.metric != y and o.metric in metrics]
    costs = [o.metric for o in sorted(wanted, key=lambda o: o.direction == "max")]
    others = costs or [name for name in ("latency_ns", "lut", *metrics) if name in metrics and name != y]
    return (others[0] if others else y), y


def head_metric(front: Front) -> str:
    """The metric that heads the report: the first score among the objectives, else the task's metric.

    A score is the task's metric or any metric of which more is better.
    """
    task = front.dataset.metric
    scores = [o.metric for o in front.goal.objectives if o.metric == task or o.direction == "max"]
    return scores[0] if scores else task


def _numbers(records: Sequence[Record]) -> list[int] | None:
    """The numbers of the candidates; ``None`` if they are 0, 1, 2, ..."""
    numbers = [record.number for record in records]
    return None if numbers == list(range(len(numbers))) else numbers


def _value(estimates: Mapping[str, Estimate], name: str) -> float | None:
    return _rounded(estimates[name].value) if name in estimates else None


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short


def _exact(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _bar(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _rounded(estimate.value),
        "low": _rounded(estimate.low),
        "high": _rounded(estimate.high),
        "source": estimate.source,
        "measured": not estimate.is_predicted,
        "unit": metric_of(estimate.metric).unit,
    }


def _knobs(front: Front, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The knobs with more than one tried value, each with a column over the candidates."""
    declared = {knob.name: knob for knob in knobs_of(front.space)}
    columns = dict.fromkeys(declared)
    candidates = [record.candidate for record in records]
    everyone = [*candidates, *(member.candidate for member in front.members)]
    for candidate in everyone:
        columns |= dict.fromkeys(name for name in candidate.knobs if name not in columns)
    out = []
    for name in columns:
        knob = declared.get(name)
        seen = {candidate.knobs[name] for candidate in everyone if name in candidate.knobs}
        if len(seen) < 2:
            continue
        entry: dict[str, Any] = {"name": name, "doc": knob.doc if knob else ""}
        choices = [choice for choice in knob.choices if choice in seen] if knob else []
        choices += sorted((value for value in seen if value not in choices), key=_order)
        if len(choices) <= MAX_CHOICES:
            letters = {value: LETTERS[place] for place, value in enumerate(choices)}
            entry["choices"] = [str(choice) for choice in choices]
            entry["column"] = "".join(
                letters[candidate.knobs[name]] if name in candidate.knobs else INACTIVE
                for candidate in candidates
            )
            entry["members"] = [
                choices.index(member.candidate.knobs[name]) if name in member.candidate.knobs else None
                for member in front.members
            ]
        else:
            entry["log"] = knob is not None and knob.log
            entry["column"] = [_number(candidate.knobs.get(name)) for candidate in candidates]
            entry["members"] = [_number(member.candidate.knobs.get(name)) for member in front.members]
        out.append(entry)
    return out


def _order(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _number(value: object) -> float | None:
    return _rounded(float(value)) if isinstance(value, int | float) else None


def _trace(trace: Sequence[tuple[int, float, float]]) -> dict[str, list[float | None]]:
    """The hypervolume over time, reduced to at most :data:`TRACE_POINTS`, including both ends."""
    step = max(1, math.ceil(len(trace) / TRACE_POINTS))
    kept = [point for place, point in enumerate(trace) if place % step == 0 or place == len(trace) - 1]
    return {
        "candidates": [point[0] for point in kept],
        "seconds": [_rounded(point[1]) for point in kept],
        "hypervolume": [_rounded(point[2]) for point in kept],
    }
