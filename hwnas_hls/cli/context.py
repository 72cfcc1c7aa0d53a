"""What lasts as long as one command: the plugin registry, and log messages on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from hwnas_hls.plugin.registry import Registry


def current_registry() -> Registry:
    """The registry of the running command; outside a command, the installed plugins.

    Commands of plugins may call it too.
    """
    from hwnas_hls.plugin.registry import Registry

    context = click.get_current_context(silent=True)
    if context is None:
        return Registry()
    root = context.find_root()
    if root.obj is None:
        root.obj = Registry()
    registry: Registry = root.obj
    return registry


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Log messages on standard error, from warnings on."""

    def __init__(self) -> None:
        super().__init__()
        self.setLevel(logging.WARNING)
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))


@contextmanager
def messages_on_terminal() -> Iterator[None]:
    """Show log messages while a command runs.

    Afterwards the root logger is as it was, so several commands in one process do not share a handler.
    """
    root, handler = logging.getLogger(), TerminalHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def errors_only() -> None:
    """Show only errors of the running command on the terminal; the log file has all messages."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TerminalHandler):
            handler.setLevel(logging.ERROR)
