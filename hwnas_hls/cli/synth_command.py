"""The command ``synth``: the synthesis of a design, whose results are stored as evidence."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwnas_hls.cli.context import current_registry, json_option, print_json
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED, ErrorKind, HwnasError, ToolMissing, UserError

if TYPE_CHECKING:
    from hwnas_hls.evidence.files import Piece
    from hwnas_hls.network.design import Design
    from hwnas_hls.plugin.offers import Offer
    from hwnas_hls.plugin.registry import Registry
    from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
    from hwnas_hls.protocols.target import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """A design folder with its target and clock."""

    folder: Path
    design: Design
    target: Target
    clock_ns: float


@click.command(short_help="Synthesise a design and store the results as evidence.")
@click.argument("design_folder", metavar="DESIGN", type=click.Path(path_type=Path))
@click.option("--synthesizer", help="`hwnas-hls plugins` lists them. [default: open; for ECP5 parts: ecp5]")
@click.option("--stage", default="", help="Last stage to run: csynth, cosim, logic_synth, post_route.")
@click.option("--target", help="Part, if not the one the design was made for.")
@click.option(
    "--files",
    "copies",
    type=click.Path(path_type=Path),
    help="Folder for copies of the tools' files: RTL, logs, reports, bitstream.",
)
@json_option
def synth(
    design_folder: Path,
    synthesizer: str | None,
    stage: str,
    target: str | None,
    copies: Path | None,
    as_json: bool,
) -> int:
    """Synthesise a design (a folder such as RUN/designs/KEY) and store the results as evidence."""

    from hwnas_hls.run.resolution import usual_synthesizers

    registry = current_registry()
    subject = subject_of(design_folder, registry, target)
    if synthesizer is None:
        synthesizer = usual_synthesizers(subject.target)[0]
    offer = registry.offer("synthesizer", synthesizer, "--synthesizer")
    piece, path, report = synthesise(registry, offer, subject, stage)
    if copies is not None:
        _copy(report.files, copies)
    if as_json:
        print_json({**piece.to_json(), "file": str(path)})
    elif piece.failure:
        raise _failed(subject, offer.name, report)
    else:
        _print_numbers(piece)
        for warning in piece.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"stored in {path}")
        if copies is not None:
            names = ", ".join(sorted({file.name for file in report.files.values()}))
            click.echo(f"files in {copies}: {names or 'none'}")
    return EXIT_FAILED if piece.failure else EXIT_DONE


def _failed(subject: Subject, name: str, report: SynthesisReport) -> HwnasError:
    """The error of a synthesis without numbers."""
    lines = [f"{name} has not synthesised the design", f"  where: {subject.folder}"]
    lines.append(f"  found: {report.failure}")
    if report.failure_kind in (ErrorKind.UNSUPPORTED, ErrorKind.INEXACT):
        lines.append(
            "  remedy: use another --synthesizer (`hwnas-hls plugins` lists them), or search designs that "
            f"{name} builds (`hwnas-hls run --synthesizer {name}`)"
        )
    elif report.files:
        lines.append(f"  remedy: read the tool's files: {', '.join(map(str, report.files.values()))}")
    return HwnasError("\n".join(lines), kind=report.failure_kind)


def subject_of(folder: Path, registry: Registry, target: str | None = None) -> Subject:
    """The design in a folder, with its target and clock.

    Args:
        target: part or board instead of the one that the design was made for.

    Raises:
        UserError: the folder holds no design, or a run; the design has no part; no such target.
    """
    from hwnas_hls.network.design import Design

    if not (folder / "design.json").is_file() and any((folder / "designs").glob("*/design.json")):
        raise UserError(
            "expected a design, found a run",
            where=str(folder),
            remedy=f"give a folder such as {next((folder / 'designs').glob('*/design.json')).parent}",
        )
    if not (folder / "design.json").is_file():
        raise UserError(
            "not a design folder: design.json is missing",
            where=str(folder),
            remedy="give a folder RUN/designs/KEY",
        )
    design = Design.load(folder)
    part = target or design.meta.get("target")
    if not part:
        raise UserError("the design has no part", where=str(folder), remedy="give --target")
    found = registry.target(str(part))
    return Subject(folder, design, found, design.architecture.clock_ns or found.clock_ns)


def usable_synthesizer(registry: Registry, subject: Subject, origins: Collection[str]) -> str:
    """The usual synthesizer of the part that can run here and builds the design as it asks; empty if none.

    Where several can, it is the one with the strongest evidence; none if that one has been run.

    Args:
        origins: of the evidence of the design.
    """
    from hwnas_hls.network.layers import Weighted
    from hwnas_hls.plugin.faults import blamed
    from hwnas_hls.run.resolution import usual_synthesizers

    asked = {x.strategy for x in subject.design.architecture.layers if isinstance(x, Weighted)}
    for name in usual_synthesizers(subject.target):
        if name not in registry.offers("synthesizer"):
            continue
        try:
            built: Synthesizer = registry.build(registry.offer("synthesizer", name, "synth"), {}, "synth")
            with blamed(f"synthesizer {name} failed in available()"):
                missing = built.available(subject.target)
        except HwnasError as error:
            log.info("synthesizer %s is not proposed: %s", name, error)
            continue
        if not missing and asked <= set(built.hls_strategies):
            return "" if f"{name}-{built.default_stage}" in origins else name
    return ""


def synthesise(
    registry: Registry, offer: Offer, subject: Subject, stage: str
) -> tuple[Piece, Path, SynthesisReport]:
    """Synthesise a design and store the results; returns the evidence, its file and the report.

    Args:
        stage: last stage; empty means the synthesizer's default.

    Raises:
        UserError: the folder cannot be written.
        ToolMissing: the synthesizer cannot run here.
    """
    from hwnas_hls.evidence import files as evidence
    from hwnas_hls.plugin.faults import blamed
    from hwnas_hls.plugin.isolation import guarded
    from hwnas_hls.plugin.returned import checked_availability, checked_report

    _check_writable(subject.folder / evidence.EVIDENCE_FOLDER)
    built = registry.build(offer, {}, "--synthesizer")
    synthesizer: Synthesizer = guarded(registry, "synthesizer", built, {})
    with blamed(f"synthesizer {offer.name} failed in available()"):
        missing = checked_availability(synthesizer.available(subject.target))
    if missing:
        raise ToolMissing(f"{offer.name} cannot run here: {missing}")
    with blamed(f"synthesizer {offer.name} failed in synthesize()"):
        returned = synthesizer.synthesize(subject.design, subject.target, stage or synthesizer.default_stage)
        report = checked_report(returned)
    piece = evidence.of_report(report, subject.design, offer.name, subject.target.part, subject.clock_ns)
    try:
        return piece, evidence.write(subject.folder, piece), report
    except HwnasError:
        # A synthesis can take hours: its numbers are at least shown.
        _print_numbers(piece, err=True)
        raise


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    """Copy the tools' files, and whole folders of them, into a folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files.values():
            if path.is_dir():
                shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
            else:
                shutil.copy2(path, folder / path.name)
    except OSError as error:
        raise UserError(
            "the tools' files cannot be copied",
            where=str(folder),
            found=error,
            remedy="name another folder",
            kind=ErrorKind.NOT_ACCESSIBLE,
        ) from error


def _check_writable(folder: Path) -> None:
    """Refuse a folder that cannot take the result, before the synthesis and not after it."""
    held = folder if folder.exists() else folder.parent
    if not held.is_dir() or not os.access(held, os.W_OK):
        raise UserError(
            "the folder of the design cannot be written",
            where=str(held),
            remedy="copy the design to a writable place, and use the copy",
            kind=ErrorKind.NOT_ACCESSIBLE,
        )


def _print_numbers(piece: Piece, err: bool = False) -> None:
    click.echo(f"{piece.tool}, {piece.target}, {piece.clock_ns:g} ns", err=err)
    for name, estimate in piece.estimates.items():
        spread = "" if estimate.low == estimate.high else f"  ({estimate.low:g} .. {estimate.high:g})"
        click.echo(f"  {name:<16}{estimate.value:>12g}{spread}  {estimate.source}", err=err)
