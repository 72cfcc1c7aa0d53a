"""Runs as tables of numbers: one row per candidate or design, the same for pandas and for CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.space import knobs_of
from hwnas_hls.values.estimate import Estimate

if TYPE_CHECKING:
    import pandas

    from hwnas_hls.protocols.exporter import Front


def record_rows(front: Front) -> tuple[list[str], list[dict[str, Any]]]:
    """Every candidate of a run as (columns, rows); values that a candidate does not have are missing.

    The columns are ``number key batch state reason`` (why it is not complete), ``on_front`` (it
    was exported as a design), ``origin`` (of a known design) and ``seconds``; the knobs as
    ``knob.NAME``; and of each metric ``METRIC``, ``METRIC_low``, ``METRIC_high`` (its interval),
    ``METRIC_source`` and ``METRIC_evidence``; ``excess.LIMIT`` is the violation of a limit
    relative to its bound; ``warnings`` are joined by ``; ``.
    """
    members = {member.key for member in front.members}
    knobs = [knob.name for knob in knobs_of(front.space)]
    rows = []
    metrics: dict[str, None] = dict.fromkeys(objective.metric for objective in front.goal.objectives)
    limits: dict[str, None] = {}
    for record in front.records:
        knobs += [name for name in record.candidate.knobs if name not in knobs]
        metrics |= dict.fromkeys(record.estimates)
        limits |= dict.fromkeys(record.violations)
        rows.append(
            {
                "number": record.number,
                "key": record.key,
                "batch": record.batch,
                "state": record.state,
                "reason": record.reason,
                "on_front": record.key in members,
                "origin": record.origin,
                "seconds": record.seconds,
                **{f"knob.{name}": value for name, value in record.candidate.knobs.items()},
                **_numbers(record.estimates),
                **{f"excess.{limit}": amount for limit, amount in record.violations.items()},
                "warnings": "; ".join(record.warnings),
            }
        )
    columns = ["number", "key", "batch", "state", "reason", "on_front", "origin", "seconds"]
    columns += [f"knob.{name}" for name in knobs]
    columns += _columns(metrics) + [f"excess.{limit}" for limit in limits] + ["warnings"]
    return columns, rows


def member_rows(front: Front) -> tuple[list[str], list[dict[str, Any]]]:
    """Every exported design as (columns, rows), with its final numbers.

    The columns are ``key``, ``shape`` (``16-32-5``), the numbers as in :func:`record_rows`, and the
    outcome of each check as ``check.NAME``.
    """
    metrics: dict[str, None] = dict.fromkeys(objective.metric for objective in front.goal.objectives)
    checks: dict[str, None] = {}
    rows = []
    for member in front.members:
        metrics |= dict.fromkeys(member.estimates)
        checks |= dict.fromkeys(member.checks)
        rows.append(
            {
                "key": member.key,
                "shape": member.design.architecture.shape,
                **_numbers(member.estimates),
                **{f"check.{name}": str(result) for name, result in member.checks.items()},
            }
        )
    return ["key", "shape", *_columns(metrics), *(f"check.{name}" for name in checks)], rows


def records_frame(front: Front) -> pandas.DataFrame:
    """:func:`record_rows` as a DataFrame, indexed by ``number``."""
    return _frame(*record_rows(front), index="number")


def members_frame(front: Front) -> pandas.DataFrame:
    """:func:`member_rows` as a DataFrame, indexed by ``key``, without the evidence."""
    columns, rows = member_rows(front)
    return _frame([name for name in columns if not name.endswith("_evidence")], rows, index="key")


def _frame(columns: list[str], rows: list[dict[str, Any]], index: str) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame(rows, columns=columns).set_index(index)


def _numbers(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, estimate in estimates.items():
        out[name] = estimate.value
        for part in _PARTS:
            out[f"{name}_{part}"] = getattr(estimate, part)
    return out


_PARTS = ("low", "high", "source", "evidence")


def _columns(metrics: Iterable[str]) -> list[str]:
    return [column for name in metrics for column in (name, *(f"{name}_{part}" for part in _PARTS))]
