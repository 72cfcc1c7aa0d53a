"""Report files of strangers: read whole, but bounded, decoded, and only if they are plain files."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TypeVar

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.spec.quantities import NS_PER_UNIT

#: Larger reports are refused; at most this much (and one byte) of any file is read.
MAX_BYTES = 32 * 1024 * 1024
#: Reports of more lines are refused: a hundred bytes of text take a thousand once cut into cells.
MAX_LINES = 300_000
#: No count in a report is larger; what is, is not a count.
MAX_COUNT = 10**12

T = TypeVar("T")
_ABSENT = frozenset({"", "-", "?", "na", "n/a", "undef", "none", "x", "inf", "-inf"})
_COUNT = re.compile(r"\d{1,15}(?:\.0+)?")
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?")


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a plain file.

    Raises:
        ReportError: no such file, not a plain file (a pipe, a device, a folder), empty, or
            larger than ``limit``.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer that never comes.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: cannot be opened: {_reason(error)}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ReportError(f"{path}: not a plain file", kind=ErrorKind.NOT_ACCESSIBLE)
        data = b""
        if status.st_size <= limit:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise ReportError(
            f"{path}: cannot be read: {_reason(error)}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    finally:
        os.close(descriptor)
    if status.st_size > limit or len(data) > limit:
        raise ReportError(
            f"{path}: larger than {limit / 2**20:g} MiB, the most that is read of a report",
            kind=ErrorKind.TOO_LARGE,
        )
    if not data.strip():
        raise ReportError(f"{path}: empty")
    return data


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a plain file: UTF-8, UTF-16 with its mark, else Latin-1.

    Raises:
        ReportError: as :func:`read_bytes`, or binary.
    """
    data = read_bytes(path, limit)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ReportError(f"{path}: marked as UTF-16, but is not: {error.reason}") from error
    if b"\0" in data:
        raise ReportError(f"{path}: binary, not a text report")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_lines(path: Path) -> list[str]:
    """The lines of a text report, without their ends.

    Raises:
        ReportError: as :func:`read_text`, or more lines than :data:`MAX_LINES`.
    """
    text = read_text(path)
    if text.count("\n") > MAX_LINES:
        raise ReportError(f"{path}: more than {MAX_LINES} lines", kind=ErrorKind.TOO_LARGE)
    return [line.rstrip("\r") for line in text.split("\n")]


def count(text: str | None, where: str) -> int | None:
    """A whole number that is not negative; ``None`` where the tool wrote that there is none.

    Args:
        text: a cell or element; ``-``, ``NA``, ``undef`` and the like mean none.
        where: file and field, for the error.

    Raises:
        ReportError: something else is there.
    """
    if text is None or text.strip().lower() in _ABSENT:
        return None
    stripped = text.strip()
    if not _COUNT.fullmatch(stripped):
        raise ReportError(f"{where}: not a count: {stripped[:40]!r}")
    value = int(float(stripped)) if "." in stripped else int(stripped)
    if value > MAX_COUNT:
        raise ReportError(f"{where}: not a believable count: {stripped[:40]!r}")
    return value


def number(text: str | None, where: str, *, least: float | None = 0.0) -> float | None:
    """A finite number, ``least`` or more; ``None`` where the tool wrote that there is none.

    A trailing unit (``5.00 ns``) is cut by :func:`nanoseconds`, not here.
    """
    if text is None or text.strip().lower() in _ABSENT:
        return None
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise ReportError(f"{where}: not a number: {stripped[:40]!r}")
    value = float(stripped)
    if abs(value) > MAX_COUNT or (least is not None and value < least):
        raise ReportError(f"{where}: not a believable number: {stripped[:40]!r}")
    return value


def nanoseconds(text: str | None, where: str) -> float | None:
    """``5.00``, ``5.00 ns``, ``1.2 us`` -> nanoseconds; a bare number is in nanoseconds."""
    if text is None:
        return None
    parts = text.strip().split()
    if len(parts) == 2 and parts[1].lower() in NS_PER_UNIT:
        value = number(parts[0], where)
        return None if value is None else value * NS_PER_UNIT[parts[1].lower()]
    return number(text, where)


def required(value: T | None, what: str, path: Path) -> T:
    """``value``, or an error that names the file and what it lacks."""
    if value is None:
        raise ReportError(f"{path}: has no {what}")
    return value


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
