"""The hooks of hwnas-hls; the pluggy project and the entry point group are both named ``hwnas_hls``.

A plugin is a module (or object) with functions decorated by :data:`hookimpl`, and an entry point of
the group ``hwnas_hls`` that names it::

    # hello.py
    from hwnas_hls import hookimpl

    @hookimpl
    def hwnas_register_strategies():
        from hello_strategy import Hello
        return [Hello]

    # pyproject.toml
    [project.entry-points.hwnas_hls]
    hello = "hello"
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from hwnas_hls.protocols.exporter import Front
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls.values.record import Record
    from hwnas_hls.values.run_facts import RunFacts

PROJECT = "hwnas_hls"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hwnas_register_spaces() -> Iterable[type]:
    """Return search spaces: subclasses of ``Space`` with ``name`` and ``Config``."""


@hookspec
def hwnas_register_strategies() -> Iterable[type]:
    """Return strategies: subclasses of ``Strategy`` with ``name`` and ``Config``."""


@hookspec
def hwnas_register_estimators() -> Iterable[type]:
    """Return estimators: subclasses of ``Estimator`` with ``name`` and ``Config``."""


@hookspec
def hwnas_register_tasks() -> Iterable[type]:
    """Return tasks: subclasses of ``Task`` with ``name`` and ``Config``."""


@hookspec
def hwnas_register_synthesizers() -> Iterable[type]:
    """Return synthesizers: subclasses of ``Synthesizer`` with ``name`` and ``Config``."""


@hookspec
def hwnas_register_exporters() -> Iterable[type]:
    """Return exporters: subclasses of ``Exporter`` with ``name`` and ``Config``."""


@hookspec
def hwnas_target_dirs() -> Iterable[Path]:
    """Return folders of target files (``*.toml``); a later target replaces one of the same name."""


@hookspec
def hwnas_register_commands(cli: click.Group) -> None:
    """Add commands to the command line with ``cli.add_command``."""


@hookspec
def hwnas_amend_project(project: dict[str, str], candidate: Candidate, target: Target) -> None:
    """Add or change files of an HLS project before they are written.

    Args:
        project: path in the project -> content; change it in place.
        candidate: the candidate of the project.
        target: the part.
    """


@hookspec
def hwnas_run_started(run: RunFacts) -> None:
    """A run has begun. ``run`` holds its name, folder, seed, versions and more."""


@hookspec
def hwnas_candidate_recorded(run: RunFacts, record: Record) -> None:
    """Called when a candidate has been evaluated and stored."""


@hookspec
def hwnas_run_finished(run: RunFacts, front: Front) -> None:
    """Called when a run has ended and its files are written."""
