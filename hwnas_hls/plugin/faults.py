"""Faults in the code of plugins: what counts as one, and how it is reported."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from hwnas_hls.errors import ErrorKind, HwnasError

#: What a plugin's code may end with and is its fault alone; Ctrl-C is the user's and passes.
PLUGIN_FAULTS = (Exception, SystemExit)


class PluginError(HwnasError):
    """A plugin without which nothing goes on failed; the text names it."""

    kind = ErrorKind.PLUGIN_FAULT


def in_words(error: BaseException) -> str:
    """What a plugin raised, with its type; of ``sys.exit`` the call."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}) was called"
    return f"{type(error).__name__}: {error}"


def place_of(error: BaseException) -> str:
    """The file and line that raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """Round the code of a plugin without which nothing goes on: what it raises becomes its fault by name.

    Args:
        what: the plugin and what it did not do: ``task mine could not be loaded``.

    Raises:
        PluginError: it raised, or called ``sys.exit``; the tool's own errors pass.
    """
    try:
        yield
    except HwnasError:
        raise
    except PLUGIN_FAULTS as error:
        raise PluginError(
            f"{what}: {in_words(error)} ({place_of(error)})\n  HWNAS_DEBUG=1 shows the traceback"
        ) from error
