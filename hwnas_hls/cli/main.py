"""The command line."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from hwnas_hls import __version__
from hwnas_hls.cli.context import messages_on_terminal
from hwnas_hls.cli.inspection_commands import doctor, plugins, targets
from hwnas_hls.cli.result_commands import compare, export
from hwnas_hls.cli.run_commands import report, resume, run
from hwnas_hls.cli.scaffold import new_plugin
from hwnas_hls.cli.synth_command import synth
from hwnas_hls.cli.validate_command import validate
from hwnas_hls.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_PIPE,
    EXIT_USER,
    HwnasError,
    ReaderEndedError,
)

if TYPE_CHECKING:
    from hwnas_hls.plugin.registry import Registry


#: The commands in the order of a project; those of other plugins follow.
_ORDER = (
    "run",
    "resume",
    "report",
    "export",
    "compare",
    "predict",
    "calibrate",
    "synth",
    "validate",
    "targets",
    "plugins",
    "new-plugin",
    "doctor",
)


class _Commands(click.Group):
    """A group that lists its commands in the order of a project.

    It reports a closed pipe as such; click itself would call ``sys.exit(1)``.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **settings)
        except BrokenPipeError as error:
            raise ReaderEndedError from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderEndedError from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="hwnas-hls")
def cli() -> None:
    """Search small neural networks for FPGAs: accuracy against latency, LUT, DSP and energy.

    To start: hwnas-hls run --target xcvu9p
    """


for _command in (run, resume, report, export, compare, synth, validate, targets, plugins, new_plugin, doctor):
    cli.add_command(_command)
_OWN = frozenset(cli.commands)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its exit code."""
    code = invoke(arguments)
    if code == EXIT_PIPE:
        # Python flushes the output when it exits, which would fail again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
    sys.exit(code)


def invoke(arguments: list[str] | None = None, registry: Callable[[], Registry] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: default: the arguments of the process.
        registry: creates the registry of this command; default: the installed plugins.
    """
    with messages_on_terminal():
        return _invoke(arguments, registry)


def _invoke(arguments: list[str] | None, registry: Callable[[], Registry] | None) -> int:
    from hwnas_hls.plugin.faults import PLUGIN_FAULTS, PluginError, in_words
    from hwnas_hls.plugin.registry import Registry

    try:
        # A copy: commands added by plugins must not outlive this call.
        group = copy.copy(cli)
        group.commands = dict(cli.commands)
        # What a plugin prints while it loads is no part of a command's output.
        with redirect_stdout(sys.stderr):
            built = (registry or Registry)()
            built.call_each("hwnas_register_commands", cli=group)
        result = group.main(arguments, prog_name="hwnas-hls", standalone_mode=False, obj=built)
    except HwnasError as error:
        if isinstance(error, PluginError) and os.environ.get("HWNAS_DEBUG"):
            raise
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USER
    except ReaderEndedError:
        return EXIT_PIPE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except PLUGIN_FAULTS as error:
        # A command added by a plugin may call sys.exit; within a built-in command that is a fault.
        given = sys.argv[1:] if arguments is None else arguments
        if isinstance(error, SystemExit) and given and given[0] not in _OWN:
            raise
        if os.environ.get("HWNAS_DEBUG"):
            raise
        click.echo(
            f"error: {in_words(error)}\n"
            "  this is a bug in hwnas-hls or in a plugin; HWNAS_DEBUG=1 shows the traceback",
            err=True,
        )
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_DONE
