"""Under ``--json``, standard output holds the result and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hwnas_hls import hookimpl
from hwnas_hls.pytest_plugin import Workplace


class Talkative:
    """Prints from every hook: while it is loaded, asked for targets, and given a record."""

    @hookimpl
    def hwnas_register_commands(self, cli: click.Group) -> None:
        click.echo("loading")

    @hookimpl
    def hwnas_target_dirs(self) -> list[Path]:
        click.echo("no targets here")
        return []

    @hookimpl
    def hwnas_candidate_recorded(self, run: Any, record: Any) -> None:
        click.echo(f"recorded {record.key}")


def test_plugin_output_goes_to_standard_error(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    work = hwnas(tmp_path, plugins=[Talkative()])
    run = work.run("--json")
    assert json.loads(run.stdout)["front"]["members"]
    assert "recorded" in run.stderr
    listed = work.invoke("targets", "--json")
    assert json.loads(listed.stdout)
    assert "loading" in listed.stderr
    assert "no targets here" in listed.stderr


def test_a_table_is_predicted_on_standard_output(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("row_id,layers\na,16-8-4\n")
    work = hwnas(tmp_path, plugins=[Talkative()])
    (row,) = json.loads(work.invoke("predict", "rows.csv", "--json").stdout)
    assert row["row_id"] == "a"
