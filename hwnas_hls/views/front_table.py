"""The front as tables for the terminal: 80 columns, plain text if the output is not a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from hwnas_hls.spec.notation import (
    SOURCE_MARKS,
    figure,
    interval,
    metric_of,
    title,
)
from hwnas_hls.values.estimate import Estimate, Source

if TYPE_CHECKING:
    from rich.table import Table

    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.values.record import Record

KEY_DIGITS = 8

MAX_NEAREST = 5


def front_table(front: Front, width: int | None = None) -> Table:
    """One row per design: objectives first, then other numbers, each with its source mark, and checks.

    Args:
        width: columns of the terminal; numbers that are no objectives are left out until the table fits.
    """
    names = _columns(front, [member.estimates for member in front.members])
    objectives = {objective.metric for objective in front.goal.objectives}
    rows = [
        (m.key[:KEY_DIGITS] + ("*" if m.record.origin else ""), m.estimates, _checked(m))
        for m in front.members
    ]
    table, wide = _table(front, "design", names, rows, "checks")
    while width is not None and wide > width and names[-1] not in objectives and len(names) > 1:
        names = names[:-1]
        table, wide = _table(front, "design", names, rows, "checks")
    return table


def _table(
    front: Front,
    first: str,
    names: Sequence[str],
    rows: Sequence[tuple[str, Mapping[str, Estimate], str]],
    last: str = "",
) -> tuple[Table, int]:
    """A table of numbers and its width; ``rows``: (key, numbers, text of the last column)."""
    from rich.table import Table
    from rich.text import Text

    scores = {front.dataset.metric, *front.dataset.scoring.names}
    cells = [
        [key, *((_marked if name in scores else _with_interval)(numbers, name) for name in names)]
        + ([words] if last else [])
        for key, numbers, words in rows
    ]
    head = [first, *(plain(_heading(name)) for name in names), *([last] if last else [])]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for place, text in enumerate(head):
        side: Literal["left", "right"] = "right" if 0 < place <= len(names) else "left"
        table.add_column(Text(text), justify=side, no_wrap=place == 0)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    return table, sum(max(map(len, column)) + 1 for column in zip(head, *cells, strict=True))


def _heading(name: str) -> str:
    return _HEADINGS.get(name) or (metric_of(name).label if name == "accuracy" else title(name))


#: Headings shorter than a metric's own words.
_HEADINGS = {
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "latency_cycles": "cycles",
    "latency_ns": "latency ns",
    "bram_18k": "BRAM",
    "uram": "URAM",
}


def _columns(front: Front, numbers: Sequence[Mapping[str, Estimate]]) -> list[str]:
    """The metrics of a table: objectives, the task's metric, then hardware costs.

    The latency is in the unit with the best evidence: cycles if they were measured, also ns if designs were
    routed. DSPs are shown if a design has some or if their number is only predicted.
    """
    sources = {
        name: {member.estimates[name].source for member in front.members if name in member.estimates}
        for name in ("latency_cycles", "latency_ns")
    }
    measured = bool(sources["latency_cycles"] - {Source.PREDICTED})
    names = [*(objective.metric for objective in front.goal.objectives), front.dataset.metric]
    names += ["lut", "ff", "latency_cycles"] if measured else ["latency_ns", "lut"]
    if Source.POST_ROUTE in sources["latency_ns"]:
        names.append("latency_ns")
    dsps = [member.estimates["dsp"] for member in front.members if "dsp" in member.estimates]
    if any(estimate.high or estimate.source == Source.PREDICTED for estimate in dsps):
        names.append("dsp")
    return [name for name in dict.fromkeys(names) if any(name in found for found in numbers)]


def records_table(front: Front, records: Sequence[Record]) -> Table:
    """One row per candidate with the numbers of the search, in the columns of :func:`front_table`."""
    names = _columns(front, [record.estimates for record in records])
    rows = [(record.key[:KEY_DIGITS], record.estimates, "") for record in records]
    return _table(front, "candidate", names, rows)[0]


def nearest_table(front: Front) -> Table:
    """The candidates nearest to feasible with the limits they violate, for a run without a design."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("candidate", no_wrap=True)
    table.add_column("violated limits")
    for record in list(front.least_infeasible)[:MAX_NEAREST]:
        broken = ", ".join(
            f"{limit}: {_with_interval(record.estimates, limit.metric)}"
            for limit in front.goal.limits
            if str(limit) in record.violations
        )
        table.add_row(Text(record.key[:KEY_DIGITS]), Text(plain(broken or record.reason)))
    return table


def picked_lines(member: Member, metrics: Sequence[str]) -> list[str]:
    """Numbers of a design during the search, and as exported.

    Args:
        metrics: the task's metric first, as in :class:`~hwnas_hls.run.selection.Picked`.
    """
    found, exported = member.record.estimates, member.estimates
    names = [name for name in metrics if name in found or name in exported]
    width = max(map(len, names), default=0) + 2
    lines = [f"{'':<{width}}{'in the search':<30}exported"]
    for name in names:
        # The interval of an accuracy depends on the number of rows; it is written as a percentage.
        shown = _marked if name == metrics[0] else _with_interval
        lines.append(f"{name:<{width}}{shown(found, name):<30}{shown(exported, name)}")
    return lines


def _marked(numbers: Mapping[str, Estimate], name: str) -> str:
    if name not in numbers:
        return "-"
    estimate = numbers[name]
    return f"{figure(name, estimate.value)} {SOURCE_MARKS[estimate.source]}"


def _with_interval(numbers: Mapping[str, Estimate], name: str) -> str:
    if name not in numbers:
        return "-"
    estimate = numbers[name]
    words = figure(name, estimate.value)
    between = _between(estimate)
    doubt = "" if estimate.in_domain else "?"
    return f"{words}{f' ({between})' if between else ''}{doubt} {SOURCE_MARKS[estimate.source]}"


def _between(estimate: Estimate) -> str:
    """The interval of a cell; none for a counted or simulated number: the report explains how Vivado's may
    differ."""
    exact = estimate.low == estimate.high == estimate.value
    predicted = estimate.source == Source.PREDICTED and not exact and interval(estimate)
    return f"{_compact(estimate.low)}-{_compact(estimate.high)}" if predicted else ""


def _compact(value: float) -> str:
    """Three significant digits, thousands as ``k``: enough for the ends of an interval."""
    if not math.isfinite(value):
        return "?"
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{letter}"
    return f"{value:.3g}"


def plain(words: str) -> str:
    """Text from data without control characters, which a terminal would interpret."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def failures(member: Member) -> list[str]:
    """The failed checks of a design, each with its reason."""
    return [
        # The first line is the reason; log.txt has the full output of a compiler.
        plain(f"{name}: {result.reason.strip().splitlines()[0]}")
        for name, result in member.checks.items()
        if result.failed
    ]


def _of_search(member: Member) -> bool:
    """Whether the design has the weights of the search, because no full training was better."""
    return member.design.meta.get("weights_of") == "search"


def _checked(member: Member) -> str:
    if failures(member):
        return "FAILED"
    if "csim" in member.checks and member.checks["csim"].ok:
        return "bit-exact s" if _of_search(member) else "bit-exact"
    return "not run"


#: source -> its description in the legend of the table.
_MARK_WORDS = {
    "predicted": "predicted",
    "counted": "counted",
    "trained": "trained",
    "emulated": "emulated",
    "csim": "hls4ml's C simulation",
    "simulated_rtl": "RTL simulated",
    "csynth": "C synthesis",
    "open_synthesis": "counted by Yosys",
    "logic_synthesis": "counted by the vendor's synthesis",
    "post_route": "after routing",
}


def legend(front: Front, records: Sequence[Record] = ()) -> str:
    """The marks in the columns of :func:`front_table`, and of :func:`records_table` of some records."""
    shown = []
    for numbers in ([x.estimates for x in front.members], [x.estimates for x in records]):
        names = _columns(front, numbers)
        shown += [estimates[name] for estimates in numbers for name in names if name in estimates]
    searched = any(map(_of_search, front.members))
    return _marks(shown) + (" s weights of the search: no full training was better." if searched else "")


def nearest_legend(front: Front) -> str:
    """The marks in the table of the candidates nearest to feasible; empty if it has no numbers."""
    shown = [
        record.estimates[limit.metric]
        for record in list(front.least_infeasible)[:MAX_NEAREST]
        for limit in front.goal.limits
        if str(limit) in record.violations and limit.metric in record.estimates
    ]
    return _marks(shown) if shown else ""


def _marks(shown: Sequence[Estimate]) -> str:
    met = {estimate.source for estimate in shown}
    marks = ", ".join(
        f"{mark} {_MARK_WORDS[source]}" for source, mark in SOURCE_MARKS.items() if source in met
    )
    doubtful = any(not estimate.in_domain for estimate in shown)
    return (
        ("In brackets: intervals. " if any(map(_between, shown)) else "")
        + f"Source of a number: {marks}."
        + (" ? outside the calibrated domain." if doubtful else "")
    )
