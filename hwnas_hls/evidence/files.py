"""Evidence files of a design: the results of its export and of every synthesis, each with a digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.system.files import write_text
from hwnas_hls.values.estimate import HARDWARE, Estimate, Source

EVIDENCE_FOLDER = "evidence"
_MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """The results of one step for one design.

    Args:
        origin: ``export`` or ``SYNTHESIZER-STAGE``.
        tool: name and version.
        digest: digest of the design.
        estimates: metric -> number.
        target: full part name; empty if the numbers do not depend on it.
        clock_ns: clock period.
        failure: why there are no numbers; empty on success.
        warnings: of the tool, for example that it built a different circuit than requested.
        firmware: SHA-256 of the hls4ml firmware that was simulated in C; empty if none was.
    """

    origin: str
    tool: str
    digest: str
    estimates: Mapping[str, Estimate]
    target: str = ""
    clock_ns: float = 0.0
    failure: str = ""
    warnings: tuple[str, ...] = ()
    firmware: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "tool": self.tool,
            "digest": self.digest,
            "target": self.target,
            "clock_ns": self.clock_ns,
            "failure": self.failure,
            "warnings": list(self.warnings),
            "firmware": self.firmware,
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
        }


def of_report(
    report: SynthesisReport, design: Design, synthesizer: str, target: str, clock_ns: float
) -> Piece:
    """A synthesis report as a piece of evidence."""
    return Piece(
        f"{synthesizer}-{report.stage}",
        report.tool,
        design.digest(),
        report.estimates,
        target,
        clock_ns,
        report.failure,
        report.warnings,
    )


def write(folder: Path, piece: Piece) -> Path:
    """Write a piece of evidence to a design's folder; it replaces one of the same origin and part.

    A failed attempt does not replace the numbers of an earlier one, which may have taken hours: it is
    written beside them, until an attempt succeeds.
    """
    path = folder / EVIDENCE_FOLDER / f"{piece.origin}.json"
    earlier = _earlier(path, piece.digest)
    if earlier is not None and earlier.target != piece.target:
        path = path.with_name(f"{piece.origin}-{piece.target or 'any-part'}.json")
        earlier = _earlier(path, piece.digest)
    failed = path.with_name(f"{path.stem}-failed.json")
    if piece.failure and earlier is not None:
        path = failed
    written = write_text(path, json.dumps(piece.to_json(), indent=2, allow_nan=False) + "\n")
    if not piece.failure:
        failed.unlink(missing_ok=True)
    return written


def _earlier(path: Path, digest: str) -> Piece | None:
    """The numbers of a design that a file holds already; ``None`` if they may be replaced."""
    if not path.is_file():
        return None
    try:
        piece = _piece(path)
    except UserError:
        return None
    return piece if piece.digest == digest and not piece.failure else None


def read(folder: Path, design: Design) -> list[Piece]:
    """All pieces of evidence in a design's folder.

    Raises:
        UserError: a file is not readable, or belongs to another design.
    """
    pieces = []
    for path in sorted((folder / EVIDENCE_FOLDER).glob("*.json")):
        piece = _piece(path)
        if piece.digest != design.digest():
            raise UserError(
                "evidence of another design",
                where=str(path),
                found=piece.digest,
                choices=[design.digest()],
                remedy="delete it, or synthesise this design again",
                kind=ErrorKind.MISMATCH,
            )
        pieces.append(piece)
    return pieces


def _estimate(name: str, item: Any) -> Estimate:
    """A number of the hardware, if it is one that a tool can have measured."""
    found = Estimate.from_json(name, item)
    # Simulated RTL may also give a score, and r2 can be negative.
    lowest = -math.inf if found.source == Source.SIMULATED_RTL else 0.0
    if found.source in HARDWARE and not lowest <= found.low <= found.value <= found.high:
        raise ValueError(f"{name} is {found.value:g} in the interval {found.low:g} to {found.high:g}")
    return found


def _piece(path: Path) -> Piece:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
        return Piece(
            str(data["origin"]),
            str(data["tool"]),
            str(data["digest"]),
            {str(name): _estimate(name, item) for name, item in data["estimates"].items()},
            str(data["target"]),
            float(data["clock_ns"]),
            str(data["failure"]),
            tuple(map(str, data.get("warnings", ()))),
            str(data.get("firmware", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            "not a readable piece of evidence",
            where=str(path),
            found=error,
            remedy="delete it, and repeat the step that wrote it (`synth`, or the run)",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error
