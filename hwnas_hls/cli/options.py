"""Options shared by several commands, and the output at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwnas_hls.cli.context import errors_only, json_option, print_json
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from hwnas_hls.run.lifecycle import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])


def _quietly(_: click.Context, __: click.Parameter, quiet: bool) -> bool:
    if quiet:
        errors_only()
    return quiet


def watching(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command with a progress display."""
    for option in (
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            callback=_quietly,
            help="Print only errors and the folder of the result.",
        ),
        click.option("--plain", is_flag=True, help="Plain lines instead of a live display, without colour."),
    ):
        command = option(command)
    return json_option(command)


def with_workers(command: Command) -> Command:
    """The options of every command that can train on worker processes."""
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Use the workers of an existing dask scheduler: tcp://HOST:8786.",
        ),
        click.option(
            "--workers",
            type=int,
            metavar="N",
            help="Number of worker processes; with [cluster] system, in batch jobs.",
        ),
    ):
        command = option(command)
    return command


def goal_options(command: Command) -> Command:
    """The options of every command that takes objectives and limits."""
    for option in (
        click.option(
            "--max-latency",
            metavar="TIME",
            help="Same as --max latency_ns=TIME: 1us, or a number of ns.",
        ),
        click.option(
            "--min",
            "minima",
            multiple=True,
            metavar="METRIC=VALUE",
            help="Hard lower limit; may be repeated.",
        ),
        click.option(
            "--max",
            "maxima",
            multiple=True,
            metavar="METRIC=VALUE",
            help="Hard upper limit; may be repeated.",
        ),
        click.option(
            "--objective",
            "objectives",
            multiple=True,
            metavar="METRIC[=WEIGHT]",
            help="Metric to optimise; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def with_moved_data(command: Command) -> Command:
    """The option of commands on a run whose data file has moved; see :func:`note_moved_data`."""
    return click.option(
        "--task",
        "data",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="Where the run's data file is now, if it has moved; its hash must be the same.",
    )(command)


def note_moved_data(run_folder: Path, data: Path | None) -> None:
    """Note the new place of a run's data file, where every command then finds it."""
    if data is not None:
        from hwnas_hls.run.folder import run_spec

        run_spec(run_folder, data)


def ended(outcome: Outcome, registry: Any, *, quiet: bool, plain: bool, as_json: bool) -> int:
    """Print the outcome of a run; returns the exit code."""
    from hwnas_hls.cli.terminal import print_outcome

    if as_json:
        path = outcome.folder / "front.json"
        front = json.loads(path.read_text()) if path.is_file() else None
        text = {"folder": str(outcome.folder), "interrupted": outcome.interrupted, "front": front}
        print_json(text)
    elif quiet:
        click.echo(outcome.folder)
    else:
        print_outcome(outcome, registry.faults, plain=plain)
    for failure in outcome.failures:
        click.echo(f"error: {failure.splitlines()[0]}", err=True)
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if outcome.failures else EXIT_DONE
