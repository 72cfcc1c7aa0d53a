"""Conversions by hls4ml: one at a time, without its output on the terminal."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast

# hls4ml prints, and has global state (its backends), during a conversion.
_CONVERTING = threading.Lock()


class _Diverted:
    """A stream that redirects the output of one thread to ``sink``.

    The output of other threads (a progress bar) must not be lost.
    """

    def __init__(self, original: TextIO, sink: io.StringIO) -> None:
        self._original, self._sink = original, sink
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        mine = threading.get_ident() == self._thread
        return (self._sink if mine else self._original).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@contextlib.contextmanager
def converting(sink: io.StringIO) -> Iterator[None]:
    """Wait for other conversions; write what this thread prints on standard output and error to ``sink``."""
    with (
        _CONVERTING,
        contextlib.redirect_stdout(cast("TextIO", _Diverted(sys.stdout, sink))),
        contextlib.redirect_stderr(cast("TextIO", _Diverted(sys.stderr, sink))),
    ):
        yield
