"""What lasts as long as one command: the plugin registry, JSON output, log messages on the terminal."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

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


#: Key of the command's standard output in the context of click.
_OUTPUT = "hwnas_hls.output"


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--json`` of a command, which passes the result to :func:`print_json`.

    What plugins and libraries print meanwhile goes to standard error, so that the output remains JSON.
    """

    @functools.wraps(command)
    def diverted(*arguments: Any, as_json: bool, **options: Any) -> Any:
        if not as_json:
            return command(*arguments, as_json=as_json, **options)
        click.get_current_context().meta[_OUTPUT] = sys.stdout
        with redirect_stdout(sys.stderr):
            return command(*arguments, as_json=as_json, **options)

    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(diverted)


def command_output() -> TextIO:
    """The standard output of the running command, also under ``--json``."""
    output: TextIO | None = click.get_current_context().meta.get(_OUTPUT)
    return output or sys.stdout


def print_json(data: object) -> None:
    """Print the result of a command as JSON."""
    click.echo(json.dumps(data, indent=2), file=command_output())


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
