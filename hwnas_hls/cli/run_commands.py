"""The commands ``run``, ``resume`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hwnas_hls.cli.context import current_registry
from hwnas_hls.cli.flags import session_cluster, spec_of_flags
from hwnas_hls.cli.options import ended, watching, with_workers
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED


@click.command()
@click.argument("spec_file", metavar="[SPEC]", required=False, type=click.Path(path_type=Path))
@click.option("--target", help="Part, board or path of a target file; `hwnas-hls targets` lists them.")
@click.option("--task", help="Name of a task, or the path of a CSV, NPZ or Parquet file.")
@click.option("--label", help="Label column of a task given as a file.")
@click.option("--space", help="Search space; the default is mlp.")
@click.option("--strategy", help="Search strategy; `hwnas-hls plugins` lists them.")
@click.option("--trials", type=int, help="Candidates to judge.")
@click.option("--minutes", type=float, help="Begin no new batch after this time.")
@click.option(
    "--objective", "objectives", multiple=True, metavar="METRIC[=WEIGHT]", help="What to optimise; repeat it."
)
@click.option(
    "--mode", type=click.Choice(["pareto", "weighted", "constrained"]), help="How objectives combine."
)
@click.option("--max", "maxima", multiple=True, metavar="METRIC=VALUE", help="Hard upper limit; repeat it.")
@click.option("--min", "minima", multiple=True, metavar="METRIC=VALUE", help="Hard lower limit; repeat it.")
@click.option("--max-latency", metavar="TIME", help="Same as --max latency_ns=TIME: 1us, or a number of ns.")
@click.option(
    "--clock",
    metavar="CLOCK",
    help="Clock: a period (5ns) or a frequency (200MHz); the target has a default.",
)
@click.option("--seed", type=int, help="Of everything random; the same seed gives the same front.")
@with_workers
@click.option("--device", help="auto, cpu or cuda.")
@click.option(
    "--synthesizer", help="open, vitis, vivado, a plugin's or none; the default is open where it runs."
)
@click.option(
    "--hls-strategy",
    "hls_strategies",
    multiple=True,
    metavar="STRATEGY",
    help="hls4ml strategy of the layers: distributed_arithmetic, Latency or Resource; repeat it.",
)
@click.option("--synthesis-budget", type=int, help="Syntheses in all; every design handed over is measured.")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder, new or empty.")
@click.option(
    "--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Any other entry of the spec."
)
@watching
def run(
    spec_file: Path | None, output: Path | None, quiet: bool, plain: bool, as_json: bool, **flags: Any
) -> int:
    """Search, train the front in full, and hand over hls4ml projects proven bit-exact.

    SPEC is a TOML file that holds a whole run; flags override it. Works with --target alone.

    Exit codes: 0 done, also where no design is feasible (front.json then has no members and the
    terminal shows what binds); 1 failed, also where a design is not bit-exact or an export could
    not be written; 2 your mistake; 130 interrupted, `resume` goes on.
    """
    from hwnas_hls.cli.terminal import watch
    from hwnas_hls.run import lifecycle as runs

    spec = spec_of_flags(spec_file, flags)
    registry = current_registry()
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.start(spec, registry, output, observer)
    return ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--salvage", "salvaging", is_flag=True, help="First keep what is whole of a damaged store.")
@with_workers
@watching
def resume(
    run_folder: Path,
    salvaging: bool,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
    plain: bool,
    as_json: bool,
) -> int:
    """Go on with a run after any interruption; nothing finished is lost or done twice.

    The workers may be others than before: --workers 0 goes on in one process.
    """
    from hwnas_hls.cli.terminal import watch
    from hwnas_hls.run import lifecycle as runs

    cluster = session_cluster(run_folder, workers, scheduler)
    if salvaging:
        from hwnas_hls.run.folder import run_spec
        from hwnas_hls.run.salvage import salvage

        run_spec(run_folder)
        click.echo(f"salvage: {salvage(run_folder)}", err=True)
    registry = current_registry()
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.resume(run_folder, registry, observer, cluster=cluster)
    return ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@watching
def report(run_folder: Path, quiet: bool, plain: bool, as_json: bool) -> int:
    """Draw a run's report and front.json again; nothing is searched or trained."""
    from hwnas_hls.run import lifecycle as runs

    registry = current_registry()
    outcome = runs.redraw(run_folder, registry)
    ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)
    return EXIT_FAILED if outcome.failures else EXIT_DONE
