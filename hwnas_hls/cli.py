"""The command line."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwnas_hls import __version__
from hwnas_hls.cluster_table import TLS_FILES
from hwnas_hls.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER, HwnasError, UserError
from hwnas_hls.inspection import doctor, plugins, targets
from hwnas_hls.scaffold import new_plugin
from hwnas_hls.validation import synth, validate

if TYPE_CHECKING:
    from hwnas_hls.cluster_table import ClusterTable
    from hwnas_hls.run import Outcome
    from hwnas_hls.spec import Spec

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hwnas-hls")
def cli() -> None:
    """Search small neural networks for FPGAs: accuracy against latency, LUT, DSP and energy.

    The whole job in one line: hwnas-hls run --target xcvu9p
    """


def _watching(command: Command) -> Command:
    """The options of every command that runs a while."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result's folder."),
        click.option("--plain", is_flag=True, help="Lines instead of a live display, without colour."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."),
    ):
        command = option(command)
    return command


def _with_workers(command: Command) -> Command:
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


@cli.command()
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
@click.option("--max-latency", metavar="TIME", help="Same as --max latency_ns=TIME, for example 1us.")
@click.option("--clock", metavar="TIME", help="Clock period, for example 5ns; the target has a default.")
@click.option("--seed", type=int, help="Of everything random; the same seed gives the same front.")
@_with_workers
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--synthesizer", help="Real hardware in the loop: open, vitis, vivado or a plugin's.")
@click.option("--synthesis-budget", type=int, help="Syntheses in all; every design handed over is measured.")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder, new or empty.")
@click.option(
    "--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Any other entry of the spec."
)
@_watching
def run(
    spec_file: Path | None, output: Path | None, quiet: bool, plain: bool, as_json: bool, **flags: Any
) -> int:
    """Search, train the front in full, and hand over hls4ml projects proven bit-exact.

    SPEC is a TOML file that holds a whole run; flags override it. Works with --target alone.

    Exit codes: 0 done, also where no design is feasible (front.json then has no members and the
    terminal shows what binds); 1 failed, also where a design is not bit-exact or an export could
    not be written; 2 your mistake; 130 interrupted, `resume` goes on.
    """
    from hwnas_hls import run as runs
    from hwnas_hls.plugins import Registry
    from hwnas_hls.terminal import watch

    spec = _spec(spec_file, flags)
    registry = Registry()
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.start(spec, registry, output, observer)
    return _end(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


def _spec(path: Path | None, flags: Mapping[str, Any]) -> Spec:
    from hwnas_hls import spec as specs

    tables = {} if path is None else specs.read_tables(path)
    for flag, place in _FLAG_PLACES.items():
        if flags[flag] is not None:
            _named(tables, place, flags[flag])
    if flags["clock"] is not None:
        specs.override(tables, ("target", "clock_ns"), specs.parse_time_ns(flags["clock"], "--clock"))
    for kind, flag in (("max", "maxima"), ("min", "minima")):
        for text in flags[flag]:
            metric, bound = specs.parse_bound(text, f"--{kind}")
            specs.override(tables, ("limits", kind, metric), bound)
    if flags["max_latency"] is not None:
        bound = specs.parse_time_ns(flags["max_latency"], "--max-latency")
        specs.override(tables, ("limits", "max", "latency_ns"), bound)
    _cluster(tables, flags["workers"], flags["scheduler"])
    if flags["objectives"]:
        _objectives(tables, flags["objectives"])
    for text in flags["settings"]:
        specs.override(tables, *specs.parse_setting(text))
    return specs.spec_from_tables(tables, str(path) if path else "the command line")


_FLAG_PLACES = {
    "target": ("target", "name"),
    "task": ("task", "name"),
    "label": ("task", "label"),
    "space": ("space", "name"),
    "strategy": ("strategy", "name"),
    "trials": ("run", "trials"),
    "minutes": ("run", "minutes"),
    "seed": ("run", "seed"),
    "device": ("run", "device"),
    "mode": ("objectives", "mode"),
    "synthesizer": ("synthesis", "synthesizer"),
    "synthesis_budget": ("synthesis", "budget"),
}


def _named(tables: dict[str, Any], place: tuple[str, str], value: Any) -> None:
    from hwnas_hls.spec import override

    table, key = place
    if key == "name" and table != "target":
        held = tables.get(table)
        # Another plugin by flag: the file's configuration belongs to the one it replaces.
        if isinstance(held, dict) and held.get("name") != value:
            tables[table] = {}
    override(tables, place, value)


def _cluster(tables: dict[str, Any], workers: int | None, scheduler: str | None) -> None:
    """``--workers`` and ``--scheduler``; one of them takes the place of what a file says of the other."""
    from hwnas_hls.spec import override

    if workers == 0 and scheduler is None:
        tables["cluster"] = {}
        return
    if workers is not None:
        override(tables, ("cluster", "workers"), workers)
    if scheduler is not None:
        override(tables, ("cluster", "scheduler"), scheduler)
    if workers is None and scheduler is None:
        return
    held = tables["cluster"]
    gone: tuple[str, ...] = ()
    if scheduler is not None:
        gone = () if workers else ("workers", "system")
        if not scheduler.startswith("tls://"):
            gone += TLS_FILES
    elif held.get("scheduler"):
        # What a synthesis takes was said of that scheduler's workers.
        gone = ("scheduler", "synthesis_needs", *TLS_FILES)
    for key in gone:
        held.pop(key, None)


def _session_cluster(run_folder: Path, workers: int | None, scheduler: str | None) -> ClusterTable | None:
    """The workers that flags give a run which has begun; ``None`` for those of its spec."""
    from hwnas_hls.run import run_spec
    from hwnas_hls.spec import spec_from_tables

    if workers is None and scheduler is None:
        return None
    tables = run_spec(run_folder).to_tables()
    _cluster(tables, workers, scheduler)
    return spec_from_tables(tables, str(run_folder / "spec.toml")).cluster


def _objectives(tables: dict[str, Any], texts: tuple[str, ...]) -> None:
    from hwnas_hls.spec import override

    names, weights = [], {}
    for text in texts:
        name, sign, weight = text.partition("=")
        names.append(name)
        if sign:
            try:
                weights[name] = float(weight)
            except ValueError:
                raise UserError("a weight is a number", where="--objective", found=text) from None
    override(tables, ("objectives", "metrics"), names)
    if weights:
        override(tables, ("objectives", "weights"), weights)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--salvage", "salvaging", is_flag=True, help="First keep what is whole of a damaged store.")
@_with_workers
@_watching
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
    from hwnas_hls import run as runs
    from hwnas_hls.plugins import Registry
    from hwnas_hls.terminal import watch

    cluster = _session_cluster(run_folder, workers, scheduler)
    if salvaging:
        from hwnas_hls.salvage import salvage

        runs.run_spec(run_folder)
        click.echo(f"salvage: {salvage(run_folder)}", err=True)
    registry = Registry()
    with watch(quiet=quiet or as_json, plain=plain) as observer:
        outcome = runs.resume(run_folder, registry, observer, cluster=cluster)
    return _end(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@_watching
def report(run_folder: Path, quiet: bool, plain: bool, as_json: bool) -> int:
    """Draw a run's report and front.json again; nothing is searched or trained."""
    from hwnas_hls import run as runs
    from hwnas_hls.plugins import Registry

    registry = Registry()
    outcome = runs.redraw(run_folder, registry)
    _end(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)
    return EXIT_FAILED if outcome.failures else EXIT_DONE


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("key", required=False)
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="An exporter: csv, optuna, ...; repeat it."
)
@click.option(
    "--pick",
    metavar="RULE",
    help="In place of KEY: knee, or a rule such as 'min lut where accuracy>=0.93 and dsp<=0'.",
)
@click.option(
    "--among",
    type=click.Choice(["designs", "search"]),
    help="Pick from what was handed over (default, where there is any) or from every complete candidate.",
)
@_with_workers
@_watching
def export(
    run_folder: Path,
    key: str | None,
    formats: tuple[str, ...],
    pick: str | None,
    among: str | None,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
    plain: bool,
    as_json: bool,
) -> int:
    """Hand over one candidate (KEY, or by --pick) of a run as an hls4ml project, on the front or not.

    Without either every member of the front is written again. With --format the run as it stands
    is written in that form, and nothing is trained.
    """
    from hwnas_hls import run as runs
    from hwnas_hls.plugins import Registry
    from hwnas_hls.tables import picked_lines
    from hwnas_hls.terminal import watch

    registry = Registry()
    if formats:
        if key is not None or pick is not None:
            raise UserError("a format is of a whole run", where="--format", found=f"KEY {key or pick}")
        files = [str(path) for path in runs.redraw(run_folder, registry, formats).files]
        click.echo(json.dumps({"files": files}, indent=2) if as_json else "\n".join(files))
        return EXIT_DONE
    cluster = _session_cluster(run_folder, workers, scheduler)
    picked = None
    if pick is not None:
        if key is not None:
            raise UserError("a KEY is chosen already", where="--pick", found=f"KEY {key}")
        picked = runs.pick(run_folder, pick, registry, among)
        key = picked.record.key
    elif among is not None:
        raise UserError("there is nothing to pick by", where="--among", remedy="give --pick as well")
    if key is None:
        with watch(quiet=quiet or as_json, plain=plain) as observer:
            outcome = runs.resume(run_folder, registry, observer, anew=True, cluster=cluster)
        return _end(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)
    if picked is not None and picked.member is not None:
        member = picked.member
    else:
        with watch(quiet=quiet or as_json, plain=plain) as observer:
            member = runs.hand_over_one(run_folder, key, registry, observer, cluster=cluster)
    place = run_folder / "designs" / member.key
    if as_json:
        metrics = {name: estimate.to_json() for name, estimate in member.estimates.items()}
        text = {"key": member.key, "design": str(place), "metrics": metrics, "checks": dict(member.checks)}
        if picked is not None:
            text["search"] = {n: estimate.to_json() for n, estimate in member.record.estimates.items()}
        click.echo(json.dumps(text, indent=2))
    else:
        click.echo(place)
        if not quiet:
            for line in picked_lines(member, picked.metrics) if picked else ():
                click.echo(f"  {line}")
            if picked and picked.by_test_rows:
                click.echo("  chosen by the score on the test rows, which flatters it a little")
            for check, result in member.checks.items():
                click.echo(f"  {check}: {result}")
    return EXIT_DONE


@cli.command()
@click.argument("run_folders", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write attainment and hypervolume plots to an HTML file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def compare(run_folders: tuple[Path, ...], page: Path | None, as_json: bool) -> int:
    """Compare runs by the hypervolume of their fronts, below one shared reference."""
    from hwnas_hls.comparison import compared, comparison_table
    from hwnas_hls.plugins import Registry
    from hwnas_hls.terminal import console

    if len(run_folders) < 2:
        raise UserError(
            "there is nothing to compare",
            where="RUN RUN...",
            found=f"{len(run_folders)} run folder(s)",
            remedy="give two or more",
        )
    registry = Registry()
    rows, goal = compared(run_folders, registry)
    if page is not None:
        from hwnas_hls.comparison_page import comparison_page
        from hwnas_hls.render import write_atomically

        write_atomically(page, comparison_page(rows, goal))
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        console().print(comparison_table(rows))
    return EXIT_DONE


for _command in (synth, validate, targets, plugins, new_plugin, doctor):
    cli.add_command(_command)


def _end(outcome: Outcome, registry: Any, *, quiet: bool, plain: bool, as_json: bool) -> int:
    """Print what came of a run; returns the exit code."""
    from hwnas_hls.terminal import print_outcome

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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that DESIGN documents."""
    sys.exit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from hwnas_hls.plugins import Registry

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        Registry().call_each("hwnas_register_commands", cli=cli)
        result = cli.main(arguments, prog_name="hwnas-hls", standalone_mode=False)
    except HwnasError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USER
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("HWNAS_DEBUG"):
            raise
        click.echo(
            f"error: {type(error).__name__}: {error}\n"
            "  this is a fault of hwnas-hls or of a plugin; HWNAS_DEBUG=1 shows where",
            err=True,
        )
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_DONE
