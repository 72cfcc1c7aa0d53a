"""Reads untrusted report files: plain files of bounded size only."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TypeVar

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.spec.quantities import NS_PER_UNIT

#: Maximum size of a report; at most one byte more is read.
MAX_BYTES = 32 * 1024 * 1024
#: Maximum number of lines of a report; parsed text takes about ten times its size in memory.
MAX_LINES = 300_000
#: Maximum plausible count in a report.
MAX_COUNT = 10**12

T = TypeVar("T")
_ABSENT = frozenset({"", "-", "?", "na", "n/a", "undef", "none", "x", "inf", "-inf"})
_COUNT = re.compile(r"\d{1,15}(?:\.0+)?")
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?")


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a plain file.

    Raises:
        ReportError: the file is missing, not a plain file (a pipe, a device, a folder), empty, or larger
            than ``limit``.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not block.
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
            f"{path}: larger than {limit / 2**20:g} MiB, the maximum size of a report",
            kind=ErrorKind.TOO_LARGE,
        )
    if not data.strip():
        raise ReportError(f"{path}: empty")
    return data


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a plain file: UTF-8, UTF-16 with a byte order mark, else Latin-1.

    Raises:
        ReportError: as in :func:`read_bytes`, or the file is binary.
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
    """The lines of a text report, without line ends.

    Raises:
        ReportError: as in :func:`read_text`, or more than :data:`MAX_LINES` lines.
    """
    text = read_text(path)
    if text.count("\n") > MAX_LINES:
        raise ReportError(f"{path}: more than {MAX_LINES} lines", kind=ErrorKind.TOO_LARGE)
    return [line.rstrip("\r") for line in text.split("\n")]


def is_width(text: str) -> bool:
    """Whether a text is a number of bits that a port may have."""
    return text.isascii() and text.isdigit() and len(text) <= 7


def count(text: str | None, where: str) -> int | None:
    """A non-negative integer; ``None`` if the report has none.

    Args:
        text: a cell or element; for example ``-``, ``NA`` and ``undef`` mean none.
        where: file and field, for the error.

    Raises:
        ReportError: anything else.
    """
    if text is None or text.strip().lower() in _ABSENT:
        return None
    stripped = text.strip()
    if not _COUNT.fullmatch(stripped):
        raise ReportError(f"{where}: not a count: {stripped[:40]!r}")
    value = int(float(stripped)) if "." in stripped else int(stripped)
    if value > MAX_COUNT:
        raise ReportError(f"{where}: not a plausible count: {stripped[:40]!r}")
    return value


def number(text: str | None, where: str, *, least: float | None = 0.0) -> float | None:
    """A finite number, at least ``least``; ``None`` if the report has none.

    :func:`nanoseconds` removes a trailing unit (``5.00 ns``), this function does not.
    """
    if text is None or text.strip().lower() in _ABSENT:
        return None
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise ReportError(f"{where}: not a number: {stripped[:40]!r}")
    value = float(stripped)
    if abs(value) > MAX_COUNT or (least is not None and value < least):
        raise ReportError(f"{where}: not a plausible number: {stripped[:40]!r}")
    return value


def nanoseconds(text: str | None, where: str) -> float | None:
    """``5.00``, ``5.00 ns``, ``1.2 us`` -> nanoseconds, the default unit."""
    if text is None:
        return None
    parts = text.strip().split()
    if len(parts) == 2 and parts[1].lower() in NS_PER_UNIT:
        value = number(parts[0], where)
        return None if value is None else value * NS_PER_UNIT[parts[1].lower()]
    return number(text, where)


def required(value: T | None, what: str, path: Path) -> T:
    """Return ``value``; if it is ``None``, raise an error that names the file and the missing item."""
    if value is None:
        raise ReportError(f"{path}: has no {what}")
    return value


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
