"""Faults of plugins: which exceptions count as faults, and how they are reported."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from hwnas_hls.errors import ErrorKind, HwnasError

#: Exceptions that count as faults of the plugin; Ctrl-C comes from the user and is not caught.
PLUGIN_FAULTS = (Exception, SystemExit)


class PluginError(HwnasError):
    """A required plugin failed; the message names it."""

    kind = ErrorKind.PLUGIN_FAULT


def in_words(error: BaseException) -> str:
    """The type and message of an exception; for ``sys.exit``, the call."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}) was called"
    return f"{type(error).__name__}: {error}"


def place_of(error: BaseException) -> str:
    """The file and line that raised the exception."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """Run the code of a required plugin; an exception becomes a :class:`PluginError` that names the plugin.

    Args:
        what: the plugin and what failed, for example ``task mine could not be loaded``.

    Raises:
        PluginError: the code raised or called ``sys.exit``; the tool's own errors pass through.
    """
    try:
        yield
    except HwnasError:
        raise
    except PLUGIN_FAULTS as error:
        raise PluginError(
            f"{what}: {in_words(error)} ({place_of(error)})\n  HWNAS_DEBUG=1 shows the traceback"
        ) from error
