"""What the terminal prints at the end of a run: the front, what to know about it, and the next commands."""

from __future__ import annotations

import math
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.network.layers import Weighted
from hwnas_hls.spec.notation import claims, counted, figure, is_ratio, metric_of
from hwnas_hls.values.record import RecordState
from hwnas_hls.values.run_facts import LeftOutKind
from hwnas_hls.views.front_table import (
    KEY_DIGITS,
    failures,
    front_table,
    legend,
    nearest_legend,
    nearest_table,
    plain,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hwnas_hls.protocols.exporter import Front, Member

#: Half the width of a 90 % interval, the coverage of scores, in standard errors.
_Z = 1.645

_MAX_LIMITS = 3


def print_front(console: Console, front: Front, run_folder: Path) -> None:
    """Print the front, a legend, and the next commands."""
    from rich.text import Text

    def say(words: str, style: str = "") -> None:
        console.print(Text(words, style=style), soft_wrap=False)

    if front.members:
        console.print(front_table(front, console.width))
        say(legend(front), "dim")
        if words := circuit_words(front.members):
            say(words, "dim")
        if words := error_words(front):
            say(words, "dim")
        for words in filter(None, (chance_words(front), baseline_words(front))):
            say(words, "dim")
        for member in (member for member in front.members if member.record.origin):
            say(f"* {member.key[:KEY_DIGITS]} {plain(member.record.origin)}", "dim")
    elif front.least_infeasible:
        say("No feasible design. The nearest candidates:", "bold")
        console.print(nearest_table(front))
        say(nearest_legend(front), "dim")
    elif front.records:
        states = ", ".join(f"{count} {state}" for state, count in _states(front).items())
        say(f"No design was exported ({states}).", "bold")
    else:
        say("No candidate was evaluated.", "bold")
    for key, item in front.run.left_out.items():
        useless = item.kind is LeftOutKind.USELESS
        say(
            f"{key[:KEY_DIGITS]} left out{' as useless' if useless else ''}: {plain(item.reason)}",
            "bold red" if useless else "dim",
        )
    for words in _warnings(front.members):
        say(words, "yellow")
    wrong = [member for member in front.members if failures(member)]
    for member in wrong:
        say(f"{member.key[:KEY_DIGITS]} FAILED {'; '.join(failures(member))}", "bold red")
    skipped = [str(member.checks["csim"]) for member in front.members if _skipped(member)]
    if skipped:
        say(f"NOT VERIFIED by C simulation: {len(skipped)} of {len(front.members)} designs", "bold red")
        for reason in dict.fromkeys(skipped):
            say(f"  {plain(reason)}")
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
        f"{'all designs:' if 1 < len(keys) == len(members) else ', '.join(keys)} {plain(warning)}"
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


def _skipped(member: Member) -> bool:
    return "csim" in member.checks and member.checks["csim"].not_run


def _states(front: Front) -> dict[str, int]:
    return dict(Counter(record.state for record in front.records))
