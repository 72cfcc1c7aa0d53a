"""The front as tables for the terminal: 80 columns, plain text if the output is not a terminal."""

from __future__ import annotations

import math
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hwnas_hls.network.layers import Weighted
from hwnas_hls.spec.notation import (
    SOURCE_MARKS,
    claims,
    counted,
    figure,
    interval,
    is_ratio,
    metric_of,
    title,
)
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.record import RecordState
from hwnas_hls.values.run_facts import LeftOutKind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.values.record import Record

KEY_DIGITS = 8
#: Half the width of a 90 % interval, the coverage of scores, in standard errors.
_Z = 1.645
MAX_NEAREST = 5
_MAX_LIMITS = 3


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
    head = [first, *(_plain(_heading(name)) for name in names), *([last] if last else [])]
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

    The latency is in the unit with the best evidence. DSPs are shown if a design has some or if their
    number is only predicted.
    """
    measured = any(
        member.estimates["latency_cycles"].source != Source.PREDICTED
        for member in front.members
        if "latency_cycles" in member.estimates
    )
    names = [*(objective.metric for objective in front.goal.objectives), front.dataset.metric]
    names += ["lut", "ff", "latency_cycles"] if measured else ["latency_ns", "lut"]
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
        table.add_row(Text(record.key[:KEY_DIGITS]), Text(_plain(broken or record.reason)))
    return table


def print_front(console: Console, front: Front, run_folder: Path) -> None:
    """Print the front, a legend, and the next commands."""
    from rich.text import Text

    def say(words: str, style: str = "") -> None:
        console.print(Text(words, style=style), soft_wrap=False)

    if front.members:
        console.print(front_table(front, console.width))
        say(_legend(front), "dim")
        if words := circuit_words(front.members):
            say(words, "dim")
        if words := error_words(front):
            say(words, "dim")
        for words in filter(None, (chance_words(front), baseline_words(front))):
            say(words, "dim")
        for member in (member for member in front.members if member.record.origin):
            say(f"* {member.key[:KEY_DIGITS]} {_plain(member.record.origin)}", "dim")
    elif front.least_infeasible:
        say("No feasible design. The nearest candidates:", "bold")
        console.print(nearest_table(front))
    elif front.records:
        states = ", ".join(f"{count} {state}" for state, count in _states(front).items())
        say(f"No design was exported ({states}).", "bold")
    else:
        say("No candidate was evaluated.", "bold")
    for key, item in front.run.left_out.items():
        useless = item.kind is LeftOutKind.USELESS
        say(
            f"{key[:KEY_DIGITS]} left out{' as useless' if useless else ''}: {_plain(item.reason)}",
            "bold red" if useless else "dim",
        )
    for words in _warnings(front.members):
        say(words, "yellow")
    wrong = [member for member in front.members if _failures(member)]
    for member in wrong:
        say(f"{member.key[:KEY_DIGITS]} FAILED {'; '.join(_failures(member))}", "bold red")
    skipped = [str(member.checks["csim"]) for member in front.members if _skipped(member)]
    if skipped:
        say(f"NOT VERIFIED by C simulation: {len(skipped)} of {len(front.members)} designs", "bold red")
        for reason in dict.fromkeys(skipped):
            say(f"  {_plain(reason)}")
    say("")
    say("Next steps:", "bold")
    for line in _what_next(front, run_folder):
        # Commands and paths are not wrapped, so they can be copied.
        console.print(Text("  " + line), soft_wrap=True)


def _warnings(members: Sequence[Member]) -> list[str]:
    """Each warning once, with the designs that have it."""
    designs: dict[str, list[str]] = {}
    for member in members:
        for warning in dict.fromkeys(member.warnings):
            designs.setdefault(warning, []).append(member.key[:KEY_DIGITS])
    return [
        f"{'all designs:' if 1 < len(keys) == len(members) else ', '.join(keys)} {_plain(warning)}"
        for warning, keys in designs.items()
    ]


def circuit_words(members: Sequence[Member]) -> str:
    """Which circuit the hardware numbers are of, if a design has two; otherwise empty."""
    adders = [
        member
        for member in members
        if any(
            isinstance(layer, Weighted) and layer.strategy == "distributed_arithmetic"
            for layer in member.design.architecture.layers
        )
    ]
    if not adders:
        return ""
    known = any(estimate.circuit for member in adders for estimate in member.estimates.values())
    where = " in designs/KEY/rtl" if known else ", predicted"
    return (
        f"LUT, FF and cycles of distributed arithmetic are of the generated RTL{where}; Vitis HLS makes "
        "another circuit of the hls4ml project, with the same outputs."
    )


def error_words(front: Front) -> str:
    """The standard errors of the designs' scores on the test rows, as text; empty without scores."""
    name = front.dataset.metric
    scores = [member.estimates[name] for member in front.members if name in member.estimates]
    found = [(one.high - one.low) / (2 * _Z) for one in scores if one.coverage is not None]
    errors = [error for error in found if math.isfinite(error)]
    if not errors:
        return ""
    unit = " percentage points" if is_ratio(name) else ""
    low, high = (f"{100 * end:.1f}" if is_ratio(name) else f"{end:.2g}" for end in (min(errors), max(errors)))
    between = low if low == high else f"{low} to {high}"
    return f"One standard error of {metric_of(name).label} on the test rows: {between}{unit}."


def baseline_words(front: Front) -> str:
    """The scores of usual models on the same test rows, as text; empty without any."""
    found = [
        f"{item.name} {figure(item.estimate.metric, item.estimate.value)}" for item in front.run.baselines
    ]
    return f"Float baselines on the same test rows: {', '.join(found)}." if found else ""


def chance_words(front: Front) -> str:
    """The score of a constant output on the test rows, as text; empty if unknown."""
    first = () if front.run.chance is None else (front.run.chance,)
    levels = [
        f"{metric_of(chance.metric).label} {figure(chance.metric, chance.value)} ({chance.words})"
        for chance in (*first, *front.run.further_chances)
    ]
    return f"Chance on the test rows: {'; '.join(levels)}." if levels else ""


def _what_next(front: Front, folder: Path) -> list[str]:
    report = f"in a browser: {shlex.quote(str(folder / 'report.html'))}"
    if front.run.finished is False:
        return [f"hwnas-hls resume {shlex.quote(str(folder))}", report]
    lines = [report]
    if front.members:
        best = folder / "designs" / front.members[0].key
        limits = claims(front.target, front.goal.limits)
        lines.append(f"hwnas-hls validate {shlex.quote(str(best))} {limits}")
        checks = front.members[0].checks
        if front.target.family == "ecp5" and (best / "rtl").is_dir():
            # No HLS tool builds the hls4ml project for Lattice's parts; the RTL is what is routed.
            lines.append(f"make -C {shlex.quote(str(best / 'rtl'))} sim SIM=icarus")
        elif "project" in checks and checks["project"].ok and front.target.family != "ecp5":
            project = shlex.quote(str(best / "hls4ml"))
            build = f"cd {project} && vitis-run --tcl build_prj.tcl --mode hls"
            lines.append(build if shutil.which("vitis-run") else f"{build}   # on a machine with Vitis")
    elif front.least_infeasible:
        failed = sum(record.state == RecordState.FAILED for record in front.records)
        # Over all candidates: those nearest to feasible all violate the same limit.
        broken = Counter(limit for record in front.records for limit in record.violations)
        if failed > broken.total():
            lines.append(
                f"{counted(failed, 'candidate')} of {len(front.records)} failed; log.txt has the reasons"
            )
        for limit, count in broken.most_common(_MAX_LIMITS):
            lines.append(f"relax {limit}: violated by {counted(count, 'candidate')} of {len(front.records)}")
        lines.append("or search longer (--trials), or choose another part (--target)")
        lines.append("a limit must hold for the whole predicted interval, not just the best estimate")
    return lines


def picked_lines(member: Member, metrics: Sequence[str]) -> list[str]:
    """Numbers of a design during the search, and after full training and verification.

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
    return f"{_short(name, estimate.value)} {SOURCE_MARKS[estimate.source]}"


def _short(name: str, value: float) -> str:
    return figure(name, value).replace(" %", "%")


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


def _plain(words: str) -> str:
    """Text from data without control characters, which a terminal would interpret."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _failures(member: Member) -> list[str]:
    return [
        # The first line is the reason; log.txt has the full output of a compiler.
        _plain(f"{name}: {result.reason.strip().splitlines()[0]}")
        for name, result in member.checks.items()
        if result.failed
    ]


def _skipped(member: Member) -> bool:
    return "csim" in member.checks and member.checks["csim"].not_run


def _of_search(member: Member) -> bool:
    """Whether the design has the weights of the search, because no full training was better."""
    return member.design.meta.get("weights_of") == "search"


def _checked(member: Member) -> str:
    if _failures(member):
        return "FAILED"
    if "csim" in member.checks and member.checks["csim"].ok:
        return "bit-exact s" if _of_search(member) else "bit-exact"
    return "not run"


#: source -> its description in the legend of the table.
_MARK_WORDS = {
    "predicted": "predicted",
    "trained": "trained",
    "emulated": "emulated",
    "csim": "hls4ml's C simulation",
    "simulated_rtl": "RTL simulated",
    "csynth": "C synthesis",
    "open_synthesis": "counted by Yosys",
    "logic_synthesis": "counted by the vendor's synthesis",
    "post_route": "after routing",
}


def _legend(front: Front) -> str:
    """The marks in the columns of the table."""
    members = front.members
    names = _columns(front, [member.estimates for member in members])
    shown = [member.estimates[name] for member in members for name in names if name in member.estimates]
    met = {estimate.source for estimate in shown}
    marks = ", ".join(
        f"{mark} {_MARK_WORDS[source]}" for source, mark in SOURCE_MARKS.items() if source in met
    )
    doubtful = any(not estimate.in_domain for estimate in shown)
    return (
        ("In brackets: intervals. " if any(map(_between, shown)) else "")
        + f"Source of a number: {marks}."
        + (" ? outside the calibrated domain." if doubtful else "")
        + (" s weights of the search: no full training was better." if any(map(_of_search, members)) else "")
    )


def _states(front: Front) -> dict[str, int]:
    return dict(Counter(record.state for record in front.records))
