"""``hwnas-hls calibrate``: your own reports on top of the built-in calibration."""

from __future__ import annotations

import datetime
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwnas_hls.cli.context import json_option, print_json
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.spec.notation import percent

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration
    from hwnas_hls_plugins.estimators.hls_model.keys import Group
    from hwnas_hls_plugins.estimators.hls_model.own_designs import LeftOut, OwnDesign
    from hwnas_hls_plugins.estimators.hls_model.recalibration import Recalibration, SiteErrors

WIDTH = 80


@click.command(
    "calibrate",
    short_help="Fit the cost predictor to your own reports.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("calibration.json"),
    show_default=True,
    help="Calibration file to write, for predict --calibration and the estimator hls-model.",
)
@click.option("--force", is_flag=True, help="Replace an existing output file.")
@click.option(
    "--doubtful",
    is_flag=True,
    help="Learn from a tool and part even where its reports differ from their predictions by more than "
    "compilers are known to.",
)
@click.option("--target", help="Use only reports of this part or board, and rows without a part.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Folder of <row_id>.npz for CSV rows.  [default: weights next to each CSV]",
)
@json_option
def calibrate_command(
    sources: tuple[Path, ...],
    output: Path,
    force: bool,
    doubtful: bool,
    target: str | None,
    weights: Path | None,
    as_json: bool,
) -> None:
    """Fit the hardware model to your own reports.

    SOURCES are CSV files (ROWS.csv: the columns that predict reads, and the measured latency_cycles_max,
    ii_min, lut, ff, dsp, bram18) and folders of hls4ml projects with reports of Vitis HLS, Vivado HLS or
    Vivado. The printed errors are those of designs that were held out of the fit.
    """
    from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
    from hwnas_hls_plugins.estimators.hls_model.known_targets import known_targets
    from hwnas_hls_plugins.estimators.hls_model.own_designs import read_designs
    from hwnas_hls_plugins.estimators.hls_model.recalibration import (
        recalibrate,
        without_doubtful,
        without_outliers,
    )

    _check_output(output, force)
    if weights is not None and not weights.is_dir():
        raise UserError("no such folder", where="--weights", found=str(weights), kind=ErrorKind.MISSING)
    targets = known_targets()
    part = None if target is None else targets.find(target).part
    designs, left = read_designs(sources, weights, part, targets)
    base = read_calibration()
    today = datetime.date.today().isoformat()
    if not doubtful:
        designs, odd = without_outliers(designs, base)
        left = [*left, *odd]
        _need_one(designs, left)
    count = len(designs)
    name = f"{base.name}+{count}-own-{today}"
    found = recalibrate(designs, base, name, provenance=_provenance(designs, sources, base, today))
    if not doubtful and found.factors:
        designs, doubted = without_doubtful(designs, found)
        left = [*left, *doubted]
        if doubted and designs:
            name = f"{base.name}+{len(designs)}-own-{today}"
            provenance = _provenance(designs, sources, base, today)
            found = recalibrate(designs, base, name, provenance=provenance)
        _need_one(designs, left)
    if not found.factors:
        raise UserError(
            "no design that a factor could be learnt from",
            found="; ".join(sorted({entry.reason for entry in found.unused})),
            remedy="give reports of io_parallel designs without an AXI wrapper, of at most 4,096 products in "
            "an unrolled layer",
            kind=ErrorKind.NOTHING_FITS,
        )
    data = found.calibration.to_json()
    _write(output, data, force)
    left = [*left, *found.unused]
    if as_json:
        print_json(_json(found, designs, left, output, str(data["hash"])))
    else:
        click.echo(_text(found, designs, left, output))


def _need_one(designs: Sequence[OwnDesign], left: Sequence[LeftOut]) -> None:
    """Refuse to calibrate where every design was doubtful."""
    from hwnas_hls_plugins.estimators.hls_model.own_designs import summary

    if not designs:
        raise UserError(
            "not one design to calibrate on",
            found=summary(left),
            remedy="give the reports of these designs, or --doubtful if they are",
        )


def _check_output(output: Path, force: bool) -> None:
    if output.is_dir():
        raise UserError(
            "a folder, not a file", where="--output", found=str(output), kind=ErrorKind.NOT_ACCESSIBLE
        )
    if output.exists() and not force:
        raise UserError(
            "the output exists already",
            where="--output",
            found=str(output),
            remedy="give another name, or --force to replace it",
            kind=ErrorKind.TAKEN,
        )


def _write(output: Path, data: dict[str, Any], force: bool) -> None:
    """Write a temporary file and rename it, so the old file stays complete until then."""
    draft = output.with_name(output.name + ".part")
    try:
        draft.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        _check_output(output, force)
        draft.replace(output)
    except OSError as error:
        raise UserError(
            "cannot write the calibration", where=str(output), found=error, kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _provenance(
    designs: Sequence[OwnDesign], sources: Sequence[Path], base: Calibration, date: str
) -> dict[str, Any]:
    return {
        "own": {
            "sources": sorted({path.name or str(path) for path in sources}),
            "designs": len(designs),
            "networks": len({design.network for design in designs}),
            "families": sorted({design.family for design in designs}),
            "tools": sorted({design.query.tool for design in designs}),
            "parts": sorted({design.query.part for design in designs}),
            "stages": sorted({design.query.stage for design in designs}),
            "date": date,
            "method": "hwnas-hls calibrate; factors moved by what exceeds the scatter of networks",
            "base": {"name": base.name, "hash": base.to_json()["hash"]},
        }
    }


def site_title(site: Group) -> str:
    """The description of a site."""
    from hwnas_hls_plugins.estimators.hls_model.keys import Flow

    built = "C synthesis" if site.flow is Flow.CSYNTH else "logic synthesis or routing"
    return f"{site.compiler}_hls {site.version}, {site.silicon}, {site.strategy} strategy, {built}"


def _given(designs: Sequence[OwnDesign], left: Sequence[LeftOut]) -> int:
    """Rows and reports that were given; one may be left out for several reasons, or lack one number only."""
    return len(designs) + len({entry.source for entry in left} - {design.source for design in designs})


def _interval(errors: SiteErrors, metric: str) -> str:
    if metric not in errors.coverage:
        return ""
    stated = errors.coverage[metric]
    text = "not calibrated" if stated is None else percent(stated)
    return f"{text} (own)" if metric in errors.own_interval else text


def _text(found: Recalibration, designs: Sequence[OwnDesign], left: Sequence[LeftOut], output: Path) -> str:
    from hwnas_hls_plugins.estimators.hls_model.own_designs import summary
    from hwnas_hls_plugins.estimators.hls_model.own_intervals import NETWORKS_FOR_BAND
    from hwnas_hls_plugins.estimators.hls_model.table import KNOWLEDGE

    networks = len({design.network for design in designs})
    used = len(designs) - len(found.unused)
    lines = [f"{used} of {_given(designs, left)} designs used, networks: {networks}"]
    if left:
        lines += ["left out:", f"    {summary(left)}"]
    for site, factors in found.factors.items():
        moved = ", ".join(f"{metric.upper()} x {factor:.2f}" for metric, factor in factors.items())
        lines += [
            "",
            *textwrap.wrap(site_title(site), WIDTH),
            f"now predicted: {moved}",
        ]
        lines += _doubts(next(errors for errors in found.errors if errors.site == site))
        lines.append(
            f"{'':18}{'n':>4}{'nets':>6}{'LUT error':>11}{'after':>8}{'FF error':>10}{'after':>8}"
            f"{'LUT interval':>15}"
        )
        for errors in found.errors:
            if errors.site != site:
                continue
            cells = "".join(
                f"{_percent(side.get(metric)):>{width}}"
                for metric, wide in (("lut", 11), ("ff", 10))
                for side, width in ((errors.before, wide), (errors.after, 8))
            )
            lines.append(
                f"{KNOWLEDGE[errors.knowledge]:18}{errors.designs:>4}{errors.networks:>6}{cells}"
                f"{_interval(errors, 'lut'):>15}"
            )
    left_out = {errors.left_out for errors in found.errors}
    notes = {
        "families": "errors after: whole families left out",
        "networks": "errors after: every network predicted from the others",
        "designs": "errors after: of one network's variants, each predicted from the others; other networks "
        "will be worse",
        "": "- : one design alone cannot show what it is worth; the next ones can",
    }
    lines.append("")
    lines += textwrap.wrap(
        "factors: of other networks; further designs of these are moved by nearly all they differ",
        WIDTH,
        subsequent_indent="  ",
    )
    for kind in ("families", "networks", "designs", ""):
        if kind in left_out:
            lines += textwrap.wrap(notes[kind], WIDTH, subsequent_indent="  ")
    if not any(errors.own_interval for errors in found.errors):
        lines += textwrap.wrap(
            f"intervals: those of the built-in calibration, widened for designs outside its domain; "
            f"{NETWORKS_FOR_BAND} networks of one site make an interval of their own",
            WIDTH,
            subsequent_indent="  ",
        )
    lines.append(f"written to {output}")
    return "\n".join(lines)


def _doubts(errors: SiteErrors) -> list[str]:
    from hwnas_hls_plugins.estimators.hls_model.recalibration import is_doubtful

    lines = []
    for metric, ratio in errors.ratio.items():
        if is_doubtful(errors, metric):
            lines += textwrap.wrap(
                f"doubtful: {metric.upper()} reported is {ratio:.2g} times what was predicted, more than "
                "compilers are known to differ by; are these the reports of these designs?",
                WIDTH,
                subsequent_indent="  ",
            )
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _json(
    found: Recalibration, designs: Sequence[OwnDesign], left: Sequence[LeftOut], output: Path, digest: str
) -> dict[str, Any]:
    from hwnas_hls_plugins.estimators.hls_model.table import KNOWLEDGE

    return {
        "output": str(output),
        "calibration": found.calibration.name,
        "hash": digest,
        "designs": len(designs) - len(found.unused),
        "left_out": [{"source": entry.source, "reason": entry.reason} for entry in left],
        "sites": [
            {
                "site": str(site),
                "title": site_title(site),
                "factors": dict(factors),
                "errors": [
                    {
                        "known": KNOWLEDGE[errors.knowledge],
                        "designs": errors.designs,
                        "networks": errors.networks,
                        "left_out": errors.left_out or None,
                        "before": dict(errors.before),
                        "after": dict(errors.after),
                        "reported_over_predicted": dict(errors.ratio),
                        "coverage": dict(errors.coverage),
                        "own_interval": list(errors.own_interval),
                    }
                    for errors in found.errors
                    if errors.site == site
                ],
            }
            for site, factors in found.factors.items()
        ],
    }
