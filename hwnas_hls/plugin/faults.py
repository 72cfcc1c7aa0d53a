"""Faults of plugins: which exceptions count as faults, and how they are reported."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError

#: Exceptions that count as faults of the plugin; Ctrl-C comes from the user and is not caught.
PLUGIN_FAULTS = (Exception, SystemExit)


#: Frames of this package are not blamed: its checks raise in the name of the plugin.
_OWN_FOLDER = str(Path(__file__).parents[1])


class WrongReturn(TypeError):
    """A method of a plugin returned something else than its kind requires; the message says what.

    Its message is complete: the line that raised it is that of the check, not of the plugin.
    """


class PluginError(HwnasError):
    """A required plugin failed; the message names it."""

    kind = ErrorKind.PLUGIN_FAULT


def in_words(error: BaseException) -> str:
    """The type and message of an exception; for ``sys.exit``, the call; of a wrong return, the message."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}) was called"
    if isinstance(error, WrongReturn):
        return str(error)
    return f"{type(error).__name__}: {error}"


def place_of(error: BaseException) -> str:
    """File and line of the last frame outside this package that led to the exception; empty if none is."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((_OWN_FOLDER, "<")):
            return f"{frame.filename}, line {frame.lineno}"
    return ""


def in_words_with_place(error: BaseException) -> str:
    """Type, message and place of an exception; for a wrong return value, the message alone."""
    place = "" if isinstance(error, WrongReturn) else place_of(error)
    return f"{in_words(error)} ({place})" if place else in_words(error)


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
            f"{what}: {in_words_with_place(error)}\n  HWNAS_DEBUG=1 shows the traceback"
        ) from error
