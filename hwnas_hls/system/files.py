"""Atomic file writes: after an interruption, a file has either its old or its complete new content."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it replaces ``path`` if the block succeeds.

    The content is synced to disk before the rename. Missing folders are created.

    Raises:
        HwnasError: the folder cannot be written; the temporary file is removed.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise HwnasError(
            f"cannot write {path}: {error.strerror or error}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data`` atomically; see :func:`replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` atomically as UTF-8 with Unix line ends; see :func:`replacing`."""
    return write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
