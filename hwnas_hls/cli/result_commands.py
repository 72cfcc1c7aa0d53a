"""The commands ``export`` and ``compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwnas_hls.cli.context import current_registry, json_option, print_json
from hwnas_hls.cli.flags import session_cluster
from hwnas_hls.cli.options import ended, watching, with_workers
from hwnas_hls.errors import EXIT_DONE, ErrorKind, UserError
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.spec.notation import counted

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Member
    from hwnas_hls.run.selection import Picked


@click.command(short_help="Export one design of a run, or the run in another format.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("key", required=False)
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="Exporter: csv, optuna, ...; may be repeated."
)
@click.option(
    "--pick",
    metavar="RULE",
    help="Instead of KEY: knee, or a rule such as 'min lut where accuracy>=0.93 and dsp<=0'.",
)
@click.option(
    "--among",
    type=click.Choice(["designs", "search"]),
    help="Pick from the exported designs (the default, if there are any) or from all complete candidates.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --format: a setting of the exporter, such as rows=0.",
)
@with_workers
@watching
def export(
    run_folder: Path,
    key: str | None,
    formats: tuple[str, ...],
    pick: str | None,
    among: str | None,
    settings: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
    plain: bool,
    as_json: bool,
) -> int:
    """Export one candidate of a run (KEY or --pick) as an hls4ml project, on the front or not.

    A design that was exported before is left as it is; delete its folder to export it again.

    Without KEY and --pick, all designs of the front are exported again. With --format, the run is
    written in that format as it is, without training; verilog and vhdl also take one design.
    """
    from hwnas_hls.cli.terminal import watch
    from hwnas_hls.run import lifecycle as runs
    from hwnas_hls.run import stored_run

    registry = current_registry()
    if formats and (key is not None or pick is not None):
        _takes_design(formats, f"KEY {key}" if pick is None else f"--pick {pick}")
    elif formats:
        return _formatted(run_folder, formats, settings, None, as_json=as_json)
    if settings and not formats:
        raise UserError(
            "--set sets an exporter", kind=ErrorKind.MISSING, where="--set", remedy="give --format as well"
        )
    cluster = session_cluster(run_folder, workers, scheduler)
    picked = None
    if pick is not None:
        if key is not None:
            raise UserError("KEY and --pick select two designs", where="--pick", found=f"KEY {key}")
        picked = stored_run.pick(run_folder, pick, registry, among)
        key = picked.record.key
    elif among is not None:
        raise UserError("--among needs a rule", where="--among", remedy="give --pick as well")
    if key is None:
        with watch(quiet=quiet or as_json, plain=plain) as observer:
            outcome = runs.resume(run_folder, registry, observer, export_again=True, cluster=cluster)
        return ended(outcome, registry, quiet=quiet, plain=plain, as_json=as_json)
    if picked is not None and picked.member is not None:
        member = picked.member
    else:
        with watch(quiet=quiet or as_json, plain=plain) as observer:
            member = stored_run.export_one(run_folder, key, registry, observer, cluster=cluster)
    if formats:
        return _formatted(run_folder, formats, settings, member, as_json=as_json)
    _show(member, picked, run_folder / "designs" / member.key, quiet=quiet, as_json=as_json)
    return EXIT_DONE


def _show(member: Member, picked: Picked | None, place: Path, *, quiet: bool, as_json: bool) -> None:
    """What came of an export, for a reader or a script."""
    from hwnas_hls.views.front_table import picked_lines

    if as_json:
        metrics = {name: estimate.to_json() for name, estimate in member.estimates.items()}
        checks = {name: str(result) for name, result in member.checks.items()}
        text = {"key": member.key, "design": str(place), "metrics": metrics, "checks": checks}
        if picked is not None:
            text["search"] = {n: estimate.to_json() for n, estimate in member.record.estimates.items()}
        print_json(text)
    else:
        click.echo(place)
        if not quiet:
            for line in picked_lines(member, picked.metrics) if picked else ():
                click.echo(f"  {line}")
            if picked and picked.by_test_rows:
                click.echo("  selected by the score on the test rows, which is therefore slightly optimistic")
            for check, result in member.checks.items():
                click.echo(f"  {check}: {result}")


def _takes_design(formats: Sequence[str], found: str) -> None:
    """Raises: UserError: an exporter writes whole runs only."""
    offers = [current_registry().offer("exporter", name, "--format") for name in formats]
    takes_design = {
        offer.name for offer in offers if issubclass(offer.cls, Exporter) and offer.cls.takes_design
    }
    if whole := [offer.name for offer in offers if offer.name not in takes_design]:
        raise UserError(
            f"--format {whole[0]} exports the whole run and takes no design",
            kind=ErrorKind.CONFLICT,
            where="--format",
            found=found,
        )


def _formatted(
    run_folder: Path,
    formats: Sequence[str],
    settings: Sequence[str],
    member: Member | None,
    *,
    as_json: bool,
) -> int:
    """Write a run, or one design of it, by the exporters named."""
    from hwnas_hls.run import stored_run
    from hwnas_hls.spec.spec import setting_value

    table = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError("expected KEY=VALUE", kind=ErrorKind.INVALID, where="--set", found=text)
        table[name.strip()] = setting_value(value)
    outcome = stored_run.redraw(run_folder, current_registry(), formats, settings=table, member=member)
    files = [str(path) for path in outcome.files]
    if as_json:
        print_json({"files": files})
    else:
        click.echo("\n".join(files))
    return EXIT_DONE


@click.command(short_help="Compare runs by the hypervolume of their fronts.")
@click.argument("run_folders", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write attainment and hypervolume plots to an HTML file.",
)
@json_option
def compare(run_folders: tuple[Path, ...], page: Path | None, as_json: bool) -> int:
    """Compare runs by the hypervolume of their fronts, with a shared reference point."""
    from hwnas_hls.cli.terminal import console
    from hwnas_hls.views.comparison import compared, comparison_table

    if len(run_folders) < 2:
        raise UserError(
            "a comparison needs two runs",
            where="RUN RUN...",
            found=counted(len(run_folders), "run folder"),
            remedy="give two or more",
        )
    registry = current_registry()
    rows, goal = compared(run_folders, registry)
    if page is not None:
        from hwnas_hls.system.files import write_text
        from hwnas_hls.views.comparison_page import comparison_page

        write_text(page, comparison_page(rows, goal))
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        console().print(comparison_table(rows))
    if page is not None:
        click.echo(f"plots: {page}", err=as_json)
    return EXIT_DONE
