"""What several commands share: options, and how a run's command ends."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from hwnas_hls.run.lifecycle import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])


def _errors_only(context: click.Context, _: click.Parameter, quiet: bool) -> bool:
    """While a quiet command runs, what is logged below an error is kept off the terminal only."""
    if quiet:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                context.call_on_close(functools.partial(handler.setLevel, handler.level))
                handler.setLevel(max(handler.level, logging.ERROR))
    return quiet


def watching(command: Command) -> Command:
    """The options of every command that runs a while."""
    for option in (
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            callback=_errors_only,
            help="Print nothing but errors and the result's folder.",
        ),
        click.option("--plain", is_flag=True, help="Lines instead of a live display, without colour."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."),
    ):
        command = option(command)
    return command


def with_workers(command: Command) -> Command:
    """The options of every command that can train on several processes."""
    for option in (
        click.option(
            "--scheduler", metavar="ADDRESS", help="Use the workers of this dask scheduler: tcp://HOST:8786."
        ),
        click.option(
            "--workers", type=int, metavar="N", help="Worker processes; with [cluster] system, in its jobs."
        ),
    ):
        command = option(command)
    return command


def ended(outcome: Outcome, registry: Any, *, quiet: bool, plain: bool, as_json: bool) -> int:
    """Print what came of a run; returns the exit code."""
    from hwnas_hls.cli.terminal import print_outcome

    if as_json:
        path = outcome.folder / "front.json"
        front = json.loads(path.read_text()) if path.is_file() else None
        text = {"folder": str(outcome.folder), "interrupted": outcome.interrupted, "front": front}
        click.echo(json.dumps(text, indent=2))
    elif quiet:
        click.echo(outcome.folder)
    else:
        print_outcome(outcome, registry.faults, plain=plain)
    for failure in outcome.failures:
        click.echo(f"error: {failure.splitlines()[0]}", err=True)
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if outcome.failures else EXIT_DONE
