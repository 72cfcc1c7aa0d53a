"""The card of each design for the template: its numbers, layers, checks, files and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.evidence.operating_point import OperatingPoint
from hwnas_hls.spec.notation import (
    Rung,
    basis,
    claims,
    figure,
    interval,
    ladder,
    quantity,
    share,
    title,
)
from hwnas_hls.values.check import CheckResult, CheckState
from hwnas_hls.values.estimate import Estimate
from hwnas_hls_plugins.exporters.html_report.drawing import Drawing, draw
from hwnas_hls_plugins.exporters.html_report.layer_rows import LayerRow, layer_rows
from hwnas_hls_plugins.exporters.html_report.mistakes import Mistakes, mistakes
from hwnas_hls_plugins.exporters.html_report.points import head_metric

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.exporter import Front, Member

#: Folder of the hls4ml project of an exported design.
PROJECT_FOLDER = "hls4ml"
PROJECT_SCRIPT = "build_prj.tcl"
#: The first rows of a card's table of numbers, after the task's metric.
FIRST_METRICS = (
    "latency_ns",
    "latency_cycles",
    "ii_cycles",
    "fmax_mhz",
    "lut",
    "ff",
    "dsp",
    "bram_18k",
    "uram",
)
#: Maximum number of listed files; the others are only counted.
MAX_FILES = 40


@dataclass(frozen=True, slots=True)
class Number:
    """One row of a card's table of numbers, as text."""

    name: str
    title: str
    value: str
    interval: str
    basis: str
    share: str
    source: str
    evidence: str
    searched: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a design: passed, failed or not run; ``words`` gives the reason."""

    name: str
    outcome: str
    words: str


#: State of a check -> its word in the template.
_OUTCOMES = {CheckState.OK: "passed", CheckState.FAILED: "failed", CheckState.NOT_RUN: "missing"}


def check(name: str, result: CheckResult) -> Check:
    """A check for the template."""
    return Check(name, _OUTCOMES[result.state], str(result))


@dataclass(frozen=True, slots=True)
class Card:
    """All data of one member for the template."""

    anchor: str
    key: str
    shape: str
    origin: str
    summary: str
    clock: str
    io_type: str
    input: str
    features: str
    drawing: Drawing
    numbers: tuple[Number, ...]
    layers: tuple[LayerRow, ...]
    share_titles: tuple[str, ...]
    ladder: tuple[Rung, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    knobs: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    more_files: int
    commands: tuple[str, ...]
    form: str
    operating_point: str
    mistakes: Mistakes | None

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return all(item.outcome != "failed" for item in self.checks)

    @property
    def missing(self) -> bool:
        """Whether a check was not run."""
        return not self.checks or any(item.outcome == "missing" for item in self.checks)


def card(member: Member, place: int, front: Front, folder: Path) -> Card:
    """The card of one member; ``folder`` is the run folder, read for the design's files."""
    design = member.design
    home = folder / "designs" / member.key
    files = _files(home)
    titles = tuple(dict.fromkeys(name for layer in member.layer_estimates for name in layer))
    return Card(
        anchor=f"design-{place}",
        key=member.key,
        shape=design.architecture.shape,
        origin=member.record.origin,
        summary=summary(member.estimates, head_metric(front)),
        clock=f"{design.architecture.clock_ns or front.clock_ns:g} ns",
        io_type=design.architecture.io_type,
        input=str(design.architecture.input),
        features=features_read(design),
        drawing=draw(design),
        numbers=tuple(
            _number(member, member.estimates[name], front)
            for name in dict.fromkeys(
                (
                    *(objective.metric for objective in front.goal.objectives),
                    front.dataset.metric,
                    *FIRST_METRICS,
                    *member.estimates,
                )
            )
            if name in member.estimates
        ),
        layers=tuple(layer_rows(design, member, titles)),
        share_titles=tuple(f"share of {title(name)}" for name in titles),
        ladder=ladder(member.estimates),
        checks=tuple(check(name, result) for name, result in member.checks.items()),
        warnings=tuple(dict.fromkeys((*member.record.warnings, *member.warnings))),
        knobs=tuple((name, str(value)) for name, value in member.candidate.knobs.items()),
        files=files[:MAX_FILES],
        more_files=max(0, len(files) - MAX_FILES),
        commands=_commands(member.key, home, front),
        form=_form(member, home),
        operating_point=_operating_point(design),
        mistakes=mistakes(design, front.dataset),
    )


def _operating_point(design: Design) -> str:
    """The threshold on the score and what it accepts; empty for a task without a signal class."""
    stated = design.meta.get("operating_point")
    return str(OperatingPoint.from_json(stated)) if isinstance(stated, Mapping) else ""


def features_read(design: Design) -> str:
    """How many features are read with how many bits, and which with which type; empty where all have one.

    Whether the circuit scales them is said, too.
    """
    scaling = "raw words, scaled in the circuit" if design.architecture.scaling is not None else ""
    if not design.features:
        return scaling
    names = design.preprocessing.names if design.preprocessing else ()
    read = [(number, kind) for number, kind in enumerate(design.features) if kind is not None]
    words = [f"{names[number] if names else f'feature {number}'} {kind}" for number, kind in read]
    bits = sum(kind.width for _, kind in read)
    said = f"{len(read)} of {len(design.features)} features, {bits} bits: {', '.join(words) or 'none'}"
    return f"{scaling}; {said}" if scaling else said


def summary(estimates: Mapping[str, Estimate], metric: str) -> str:
    """One line with the most important numbers, for example ``95.1 %, 32 ns, 3,120 LUT``."""
    latency = "latency_ns" if "latency_ns" in estimates else "latency_cycles"
    wanted = (metric, latency, "lut", "dsp")
    parts = [_said(estimates[name]) for name in wanted if name in estimates]
    return ", ".join(parts)


def _said(estimate: Estimate) -> str:
    words = quantity(estimate.metric, estimate.value)
    if estimate.is_predicted:
        known = estimate.low == estimate.value == estimate.high
        words += " (predicted)" if known else f" (predicted, {interval(estimate)})"
    return words


def _number(member: Member, estimate: Estimate, front: Front) -> Number:
    name = estimate.metric
    part = share(front.target, name, estimate.value)
    if part and estimate.high != estimate.value:
        part += f" (up to {share(front.target, name, estimate.high)})"
    seen = member.record.estimates.get(name)
    return Number(
        name=name,
        title=title(name),
        value=figure(name, estimate.value),
        interval=interval(estimate),
        basis=basis(estimate),
        share=part,
        source=estimate.source,
        evidence=estimate.evidence,
        searched="" if seen is None else f"{figure(name, seen.value)} ({seen.source})",
        doubtful=not estimate.in_domain or _is_unproven(estimate),
    )


def _is_unproven(estimate: Estimate) -> bool:
    none = estimate.low == estimate.value == estimate.high == 0
    return estimate.is_predicted and estimate.coverage is None and not none


def _files(home: Path) -> tuple[str, ...]:
    """The names in the design's folder, folders first; empty if there is no folder."""
    try:
        entries = sorted(home.iterdir(), key=lambda path: (path.is_file(), path.name))
        return tuple(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    except OSError:
        return ()


def _form(member: Member, home: Path) -> str:
    """Which of the two forms of a design its numbers are of, in a sentence."""
    if not (home / "rtl" / "circuit.json").is_file():
        return "Only the hls4ml project was exported; the hardware numbers do not belong to RTL beside it."
    circuits = {found.circuit for found in member.estimates.values() if found.circuit}
    if not circuits:
        return "rtl/ holds a circuit with the same outputs; its testbench proves it, nothing was counted yet."
    return (
        f"The numbers of open synthesis are of the circuit in rtl/ (SHA-256 {min(circuits)[:12]}). The "
        "hls4ml project gives the same outputs by another circuit: da4ml's adders, scheduled by Vitis HLS."
    )


def _commands(key: str, home: Path, front: Front) -> tuple[str, ...]:
    """Commands that build the design and check its requirements, to be run in the run folder."""
    scripts = sorted(home.glob(PROJECT_SCRIPT)) or sorted(home.glob(f"*/{PROJECT_SCRIPT}"))
    within = scripts[0].parent.relative_to(home).as_posix() if scripts else PROJECT_FOLDER
    project = f"designs/{key}" + ("" if within == "." else f"/{within}")
    rtl = (
        (f"make -C {shlex.quote(f'designs/{key}/rtl')} sim",) if (home / "rtl" / "Makefile").is_file() else ()
    )
    return (
        *rtl,
        f"cd {shlex.quote(project)} && vitis-run --tcl {PROJECT_SCRIPT} --mode hls",
        f"hwnas-hls synth {shlex.quote(f'designs/{key}')} --synthesizer vitis",
        f"hwnas-hls validate {shlex.quote(f'designs/{key}')} {claims(front.target, front.goal.limits)}",
    )
