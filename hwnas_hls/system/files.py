"""Files that hold either their old or their whole new content, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    The content reaches the disk before the name does, and folders are created as needed.

    Raises:
        HwnasError: the folder cannot be written to; nothing is left behind.
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
    """Write ``data`` whole or not at all; see :func:`replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8 with Unix line ends, whole or not at all; see :func:`replacing`."""
    return write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
