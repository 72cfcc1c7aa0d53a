"""The command ``validate``: requirements of designs, checked against their evidence."""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
import textwrap
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwnas_hls import __version__
from hwnas_hls.cli.context import current_registry, json_option, print_json
from hwnas_hls.cli.synth_command import Subject, subject_of, synthesise, usable_synthesizer
from hwnas_hls.errors import HwnasError, UserError

if TYPE_CHECKING:
    from hwnas_hls.evidence.files import Piece
    from hwnas_hls.evidence.verdict import Judgement
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.values.estimate import Estimate
    from hwnas_hls.values.objective import Limit


@click.command(short_help="Check requirements of designs against their evidence.")
@click.argument("folders", metavar="DESIGN|RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--max-latency", metavar="TIME", help="Same as --max latency_ns=TIME: 1us, or a number of ns.")
@click.option(
    "--max", "maxima", multiple=True, metavar="METRIC=VALUE", help="Required upper bound; may be repeated."
)
@click.option(
    "--min", "minima", multiple=True, metavar="METRIC=VALUE", help="Required lower bound; may be repeated."
)
@click.option("--synthesizer", help="First obtain evidence with this synthesizer.")
@click.option("--stage", default="", help="Last stage of the synthesizer.")
@json_option
def validate(
    folders: tuple[Path, ...],
    max_latency: str | None,
    maxima: tuple[str, ...],
    minima: tuple[str, ...],
    synthesizer: str | None,
    stage: str,
    as_json: bool,
) -> int:
    """Check requirements of designs, or of every design of a run: PROVEN (exit code 0), REFUTED (1), NOT
    PROVEN (3). The exit code is that of the worst design.

    The default requirement is a latency of at most 1 us.
    """
    from hwnas_hls.evidence import verdict
    from hwnas_hls.run.storage.database import run_lock

    registry = current_registry()
    _requirements(max_latency, maxima, minima, None)
    reports = []
    unstored = set()
    subjects: dict[str, Subject] = {}
    for folder in dict.fromkeys(folders):
        # While a run exports its designs, some are missing or incomplete.
        with run_lock(folder) if (folder / "spec.toml").is_file() else nullcontext():
            for place in _designs(folder):
                subject = subject_of(place, registry)
                subjects[str(subject.folder)] = subject
                limits = _requirements(max_latency, maxima, minima, subject.target)
                if synthesizer is not None:
                    offer = registry.offer("synthesizer", synthesizer, "--synthesizer")
                    synthesise(registry, offer, subject, stage)
                report = _validate(subject, limits)
                reports.append(report)
                if not _stored(report, subject.folder):
                    unstored.add(report["design"])
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            name = report["design"]
            origins = {str(piece["origin"]) for piece in report["evidence"]}
            more = usable_synthesizer(registry, subjects[name], origins)
            _print(report, more, name not in unstored)
    verdicts = {str(report["verdict"]) for report in reports}
    worst = next(v for v in (verdict.REFUTED, verdict.NOT_PROVEN, verdict.PROVEN) if v in verdicts)
    return verdict.EXIT_OF[worst]


def _requirements(
    max_latency: str | None, maxima: Sequence[str], minima: Sequence[str], part: Target | None
) -> list[Limit]:
    """The requirements; those that are a share of the part are left out if ``part`` is ``None``."""
    from hwnas_hls.run.goal import checked_limit
    from hwnas_hls.spec.bounds import parse_bound
    from hwnas_hls.spec.quantities import parse_time_ns
    from hwnas_hls.values.objective import Limit

    limits = []
    if max_latency is not None:
        limits.append(Limit("latency_ns", "max", parse_time_ns(max_latency, "--max-latency")))
    for kind, texts in (("max", maxima), ("min", minima)):
        for text in texts:
            if part is None and text.rstrip().endswith("%"):
                continue
            metric, bound = parse_bound(text, f"--{kind}", part)
            limits.append(checked_limit(Limit(metric, kind, bound), f"--{kind}"))
    return limits or [Limit("latency_ns", "max", 1000.0)]


def _designs(folder: Path) -> list[Path]:
    if (folder / "design.json").is_file():
        return [folder]
    found = sorted(path.parent for path in (folder / "designs").glob("*/design.json"))
    if not found:
        raise UserError(
            "neither a design nor a run with designs",
            where=str(folder),
            remedy="give a run folder, or a folder such as RUN/designs/KEY",
        )
    return found


def _validate(subject: Subject, limits: Sequence[Limit]) -> dict[str, Any]:
    """Check one design."""
    from hwnas_hls.evidence import files as evidence
    from hwnas_hls.evidence import verdict
    from hwnas_hls.evidence.circuits import exported_circuit, firmware_hash

    pieces = evidence.read(subject.folder, subject.design)
    used = [piece for piece in pieces if not piece.failure]
    # Numbers for another part or clock are not evidence here.
    fitting = [
        p for p in used if p.target in ("", subject.target.part) and p.clock_ns in (0.0, subject.clock_ns)
    ]
    firmware = firmware_hash(subject.folder)
    known: list[Estimate] = [estimate for piece in fitting for estimate in _current(piece, firmware)]
    _check_names(limits, {estimate.metric for estimate in known})
    circuit = exported_circuit(subject.folder)
    findings: list[Judgement] = [
        *_alive(subject, known, limits),
        *verdict.judge(limits, known, subject.clock_ns, circuit),
    ]
    return {
        "schema": 1,
        "design": str(subject.folder),
        "verdict": verdict.overall(findings),
        "findings": [finding.to_json() for finding in findings],
        "target": subject.target.part,
        "clock_ns": subject.clock_ns,
        "counted_in_latency": _scope(subject.design),
        "evidence": [
            {
                "origin": piece.origin,
                "tool": piece.tool,
                "target": piece.target,
                "clock_ns": piece.clock_ns,
                "failure": piece.failure,
                "used": piece in fitting,
            }
            for piece in pieces
        ],
        "design_digest": subject.design.digest(),
        "circuit": circuit,
        "proven_form": _form(subject, known, circuit),
        "files_sha256": _hashes(subject.folder),
        "hwnas_hls_version": __version__,
        "judged": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "repeat": _repetition(subject, fitting, limits),
    }


def _current(piece: Piece, firmware: str) -> list[Estimate]:
    """The estimates of a piece; those of a C simulation of other firmware are marked as not of the design.

    Args:
        firmware: SHA-256 of the firmware in the design's folder.
    """
    from hwnas_hls.values.estimate import Source

    estimates = list(piece.estimates.values())
    if piece.firmware in ("", firmware):  # older evidence names no firmware
        return estimates
    note = "hls4ml/firmware was changed since" if firmware else "hls4ml/firmware is missing"
    return [
        replace(each, in_domain=False, evidence=f"{each.evidence}; {note}")
        if each.source == Source.CSIM
        else each
        for each in estimates
    ]


def _stored(report: dict[str, Any], folder: Path) -> bool:
    """Write ``validation.json`` and ``validation.html``; ``False``, with a warning, if that is impossible.

    The verdict does not depend on it: an archive of designs may be read-only, and exit code 1 means REFUTED.
    """
    from hwnas_hls.render import render
    from hwnas_hls.system.files import write_text

    try:
        write_text(folder / "validation.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
        write_text(folder / "validation.html", render("report/validation.html.j2", report=report))
    except HwnasError as error:
        click.echo(f"warning: {error}; the verdict is printed only", err=True)
        return False
    return True


def _repetition(subject: Subject, pieces: Sequence[Piece], limits: Sequence[Limit]) -> list[str]:
    """The commands that repeat every step of the evidence, and the verdict."""
    from hwnas_hls.run.resolution import usual_synthesizers

    found = [estimate for piece in pieces for estimate in piece.estimates.values() if estimate.circuit]
    folder = shlex.quote(str(subject.folder))
    commands = []
    if (subject.folder / "rtl" / "Makefile").is_file():
        commands.append(f"make -C {folder}/rtl sim SIM=icarus")
    if any(not estimate.is_predicted for estimate in found):
        name = usual_synthesizers(subject.target)[0]
        commands.append(f"hwnas-hls synth {folder} --synthesizer {name}")
    bounds = " ".join(f"--{x.kind} {x.metric}={x.exact_bound}" for x in limits)
    return [*commands, f"hwnas-hls validate {folder} {bounds}"]


def _alive(subject: Subject, known: Sequence[Estimate], limits: Sequence[Limit]) -> list[Judgement]:
    """A refuting judgement if a design has constant outputs, or a score at chance level; else nothing.

    Scores are those of the task's metric and of the metrics that a requirement names.
    """
    from hwnas_hls.evidence import verdict
    from hwnas_hls.evidence.usefulness import constant
    from hwnas_hls.values.run_facts import Chance

    if words := constant(subject.design):
        return [verdict.Judgement("outputs depend on the inputs", verdict.Verdict.REFUTED, words)]
    stated = subject.design.meta.get("chances")
    chances = [Chance(**item) for item in stated] if isinstance(stated, list) else []
    named = {limit.metric for limit in limits}
    found = []
    for chance in (chance for place, chance in enumerate(chances) if place == 0 or chance.metric in named):
        scores = [e for e in known if e.metric == chance.metric and e.source in verdict.SIMULATED]
        if scores and all(chance.reached(estimate) for estimate in scores):
            why = (
                f"{scores[0].value:.4g} where {chance.words} reaches {chance.value:.4g} +- {chance.error:.2g}"
            )
            words = f"{chance.metric} better than chance"
            found.append(verdict.Judgement(words, verdict.Verdict.REFUTED, why, tuple(scores)))
    return found


def _check_names(limits: Sequence[Limit], known: set[str]) -> None:
    from hwnas_hls.values.estimate import METRICS

    for limit in limits:
        if limit.metric not in known | METRICS.keys():
            raise UserError(
                "unknown metric",
                where=f"--{limit.kind}",
                found=limit.metric,
                choices=sorted(known | METRICS.keys()),
            )


def _scope(design: Design) -> str:
    architecture = design.architecture
    names = {"dense": "dense", "conv2d": "convolutional", "pool2d": "pooling", "merge": "merging"}
    counts = Counter(names[layer.kind] for layer in architecture.layers)
    parts = [f"{count} {name}" for name, count in counts.items()]
    last = architecture.layers[-1].activation
    inside = f"{', '.join(parts)} layers with their activations and the registers between them"
    softmax = "softmax included" if last == "softmax" else "no softmax (the largest output is the class)"
    host = "standardisation and rounding of raw features, "
    if architecture.scaling is not None:
        inside, host = f"{inside}; the first layer scales the raw words", ""
    return (
        f"from the inputs at the core's ports to its outputs: {inside}; {softmax}. Not counted: "
        f"{host}input and output registers outside the core, "
        "AXI wrappers, board links"
    )


def _form(subject: Subject, known: Sequence[Estimate], circuit: str) -> str:
    """Which of the two forms of a design its evidence is of: the RTL, or the hls4ml project."""
    measured = {estimate.circuit for estimate in known if estimate.circuit and not estimate.is_predicted}
    if circuit and circuit in measured:
        return (
            f"rtl/: the circuit {circuit[:12]} in rtl/src/core was simulated and counted. The hls4ml project "
            "gives the same outputs by another circuit (da4ml's adders, scheduled by Vitis HLS)"
        )
    if measured:
        return (
            f"a circuit ({min(measured)[:12]}) that is not among these files: `hwnas-hls export RUN "
            f"{subject.folder.name} --format verilog` writes it"
        )
    return "hls4ml/: no circuit of open synthesis is among the evidence"


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that define the design."""
    wanted = [folder / "design.json", folder / "weights.npz"]
    wanted += sorted((folder / "hls4ml" / "firmware").glob("*.*"))
    wanted += sorted((folder / "rtl" / "src").rglob("*.v*"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in wanted
        if path.is_file()
    }


def _wrapped(text: str, margin: str) -> str:
    return textwrap.fill(text, 80, initial_indent=margin, subsequent_indent=margin, break_long_words=False)


def _print(report: dict[str, Any], synthesizer: str, stored: bool) -> None:
    """Print a report.

    Args:
        synthesizer: that can give more evidence here; empty if none is known.
        stored: whether the report is in the design's folder.
    """
    from hwnas_hls.evidence.verdict import Verdict

    click.echo(f"{report['verdict']}  {report['design']}")
    for finding in report["findings"]:
        click.echo(f"  {finding['verdict']:<11} {finding['requirement']}")
        click.echo(_wrapped(finding["why"], " " * 14))
    click.echo(_wrapped(f"evidence is of {report['proven_form']}", "  "))
    for piece in report["evidence"]:
        if not piece["used"]:
            reason = (
                f"it failed: {piece['failure']}"
                if piece["failure"]
                else f"it is for {piece['target']} at {piece['clock_ns']:g} ns"
            )
            click.echo(_wrapped(f"not used: {piece['origin']}, because {reason}", "  "))
    click.echo(_wrapped(f"latency counts {report['counted_in_latency']}", "  "))
    if report["verdict"] == Verdict.NOT_PROVEN:
        command = f"hwnas-hls synth {shlex.quote(report['design'])} --synthesizer"
        click.echo(f"  for more evidence: {command} {synthesizer or 'NAME'}")
        if not synthesizer:
            click.echo("  (`hwnas-hls plugins` lists synthesizers, `hwnas-hls doctor` the installed tools)")
    for place, command in enumerate(report["repeat"]):
        click.echo(f"  {'to repeat it:' if not place else '':<13} {command}")
    if stored:
        click.echo(f"  for a reviewer: {report['design']}/validation.html")
