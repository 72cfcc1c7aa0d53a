"""The commands ``run``, ``resume`` and ``report``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hwnas_hls.cli.context import current_registry, print_json
from hwnas_hls.cli.flags import question_of_flags, session_cluster, spec_of_flags
from hwnas_hls.cli.options import (
    ended,
    goal_options,
    note_moved_data,
    watching,
    with_moved_data,
    with_workers,
)
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED


@click.command(short_help="Search, train, synthesise and export designs.")
@click.argument("spec_file", metavar="[SPEC]", required=False, type=click.Path(path_type=Path))
@click.option("--target", help="Part, board or path of a target file; `hwnas-hls targets` lists them.")
@click.option(
    "--task",
    help="Name of a task, or the path of a CSV, NPZ, NPY, Parquet, Feather, HDF5 or ROOT file.",
)
@click.option("--label", help="Label column of a task given as a file.")
@click.option(
    "--metric", help="Metric of the predictions: accuracy, auc, efficiency_at_fpr, f1, r2, rmse, ..."
)
@click.option(
    "--fpr",
    metavar="RATE",
    help="False positive rate of efficiency_at_fpr: 0.01, 1% or '100kHz of 40MHz'.  [default: 0.01]",
)
@click.option("--space", help="Search space; the default is mlp.")
@click.option("--strategy", help="Search strategy; `hwnas-hls plugins` lists them.")
@click.option("--trials", type=int, help="Number of candidates.")
@click.option("--minutes", type=float, help="Start no new batch after this many minutes.")
@goal_options
@click.option(
    "--mode", type=click.Choice(["pareto", "weighted", "constrained"]), help="How objectives are combined."
)
@click.option(
    "--clock",
    metavar="CLOCK",
    help="Clock period (5ns) or frequency (200MHz); the target has a default.",
)
@click.option("--seed", type=int, help="Random seed; the same seed gives the same front.")
@with_workers
@click.option("--device", help="auto, cpu or cuda.")
@click.option(
    "--synthesizer",
    help="open, vitis, vivado, a plugin's or none.  [default: open if installed]",
)
@click.option(
    "--hls-strategy",
    "hls_strategies",
    multiple=True,
    metavar="STRATEGY",
    help="hls4ml strategy of the layers: distributed_arithmetic, Latency or Resource; may be repeated.",
)
@click.option(
    "--synthesis-budget", type=int, help="Total number of syntheses; every exported design is measured."
)
@click.option(
    "--from",
    "earlier",
    multiple=True,
    metavar="RUN",
    help="Import candidates, weights and designs of an earlier run of the same data; may be repeated.",
)
@click.option(
    "--design",
    "designs",
    multiple=True,
    metavar="DESIGN",
    help="Your own design, evaluated first: 16-64-32-32-5, a design or hls4ml folder, a .pt, .onnx or .keras "
    "file; may be repeated.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Run folder; must be new or empty.")
@click.option(
    "--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Set any entry of the spec."
)
@click.option("--print-spec", is_flag=True, help="Print the whole spec with all defaults, and end.")
@watching
def run(
    spec_file: Path | None,
    output: Path | None,
    print_spec: bool,
    quiet: bool,
    plain: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Search for designs, synthesise the best, and export hls4ml projects checked bit by bit.

    SPEC is a TOML file that defines a whole run; flags override it. --target alone is enough.

    Exit codes: 0 done, also if no design is feasible (front.json then has no members and the
    terminal shows the binding limit); 1 failed, also if a design is not bit-exact or an export could
    not be written; 2 invalid input; 130 interrupted, `resume` continues; 141 the reader of the output
    ended (as `head` does).
    """
    from hwnas_hls.cli.terminal import watch
    from hwnas_hls.run import lifecycle as runs
    from hwnas_hls.run.resolution import resolve

    spec = spec_of_flags(spec_file, flags)
    registry = current_registry()
    if print_spec:
        problem = resolve(spec, registry)
        configured = {part.name: part.config for part in problem.estimators if part.config}
        click.echo(replace(problem.spec, estimators=configured).to_toml(), nl=False)
        return EXIT_DONE
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.start(spec, registry, output, observer)
    return ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


@click.command(short_help="Continue a run after an interruption.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--salvage", "salvaging", is_flag=True, help="First recover the intact part of a damaged store."
)
@with_moved_data
@with_workers
@watching
def resume(
    run_folder: Path,
    data: Path | None,
    salvaging: bool,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
    plain: bool,
    as_json: bool,
) -> int:
    """Continue a run after any interruption; nothing finished is lost or repeated.

    The workers may differ from before: --workers 0 continues in one process.
    """
    from hwnas_hls.cli.terminal import watch
    from hwnas_hls.run import lifecycle as runs

    note_moved_data(run_folder, data)
    cluster = session_cluster(run_folder, workers, scheduler)
    if salvaging:
        from hwnas_hls.run.folder import run_spec
        from hwnas_hls.run.storage.salvage import salvage

        run_spec(run_folder)
        click.echo(f"salvage: {salvage(run_folder)}", err=True)
    registry = current_registry()
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.resume(run_folder, registry, observer, cluster=cluster)
    return ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


@click.command(short_help="Redraw a report, or answer other limits from a run.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@goal_options
@with_moved_data
@watching
def report(run_folder: Path, data: Path | None, quiet: bool, plain: bool, as_json: bool, **flags: Any) -> int:
    """Redraw the report and front.json of a run, without searching or training.

    With --max, --min, --max-latency or --objective, answer a second question instead: the front of the
    stored candidates and designs under these limits and objectives. Nothing is then written.
    """
    from hwnas_hls.run import stored_run

    note_moved_data(run_folder, data)
    registry = current_registry()
    question = question_of_flags(flags)
    if question:
        return _answered(run_folder, question, quiet=quiet, plain=plain, as_json=as_json)
    outcome = stored_run.redraw(run_folder, registry)
    ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)
    return EXIT_FAILED if outcome.failures else EXIT_DONE


def _answered(run_folder: Path, question: dict[str, Any], *, quiet: bool, plain: bool, as_json: bool) -> int:
    """Print the answer to a second question; returns the exit code."""
    from hwnas_hls.cli.terminal import console
    from hwnas_hls.run.second_question import answer
    from hwnas_hls.views.second_question import print_answer

    found = answer(run_folder, current_registry(), question)
    if as_json:
        print_json(found.to_json())
    elif quiet:
        for key in found.keys:
            click.echo(key)
    else:
        print_answer(console(plain=plain), found)
    return EXIT_DONE
