"""``hwnas-hls predict``: the cost of a design before synthesis, without a search."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwnas_hls.cli.context import command_output, json_option, print_json
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.spec.quantities import parse_clock_ns

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.query import Query
    from hwnas_hls.protocols.target import Targets
    from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration

_COMPARED = {"vitis": "vitis_hls 2023.2", "vivado": "vivado_hls 2020.1"}


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """The options of ``predict``; ``None`` if not given."""

    path: str | None
    layers: str | None
    precision: str | None
    activations: str | None
    reuse_factor: str | None
    hls_strategy: str | None
    target: str | None
    clock: str | None
    tool: str | None
    stage: str | None
    nonzeros: str | None
    compare: str | None
    weights: Path | None
    output: Path | None
    calibration: Path | None
    as_json: bool

    @property
    def given_for_one_design(self) -> list[str]:
        """The options that describe one design and were given, as they are written."""
        names = (
            "precision",
            "activations",
            "reuse_factor",
            "hls_strategy",
            "target",
            "clock",
            "tool",
            "stage",
        )
        return [
            f"--{name.replace('_', '-')}"
            for name in (*names, "nonzeros", "compare")
            if getattr(self, name) is not None
        ]


def _not_here(_: click.Context, __: click.Parameter, value: str | None) -> None:
    """Refuse ``--strategy``, which is the search strategy of ``run``."""
    if value is not None:
        from hwnas_hls.network.fields import STRATEGIES

        raise UserError(
            "predict has no search strategy",
            where="--strategy",
            found=value,
            remedy=f"give the hls4ml strategy of the layers: --hls-strategy {value}"
            if value in STRATEGIES
            else f"--hls-strategy sets hls4ml's strategy of the layers: {', '.join(STRATEGIES)}",
        )


@click.command(
    "predict",
    short_help="Estimate the cost of an hls4ml MLP before synthesis.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("path", required=False)
@click.option("--layers", help="Widths from input to output, for example 16-64-32-32-5.")
@click.option(
    "--precision",
    help="One type for all ('ap_fixed<8,3>'), or parts 'in: w: b: acc: out: act: result:' with a type each.",
)
@click.option(
    "--activations", help="One per layer, for example relu-relu-softmax.  [default: relu, last one linear]"
)
@click.option("--reuse-factor", help="One number, or one per layer: '8;32;16'.  [default: 1]")
@click.option(
    "--hls-strategy",
    metavar="STRATEGY",
    help="hls4ml strategy of the layers: Latency, Resource or distributed_arithmetic.  [default: Latency]",
)
@click.option("--strategy", "search_strategy", hidden=True, expose_value=False, callback=_not_here)
@click.option("--target", help="Part, board, or the path of a target file.  [default: xcvu9p]")
@click.option("--clock", help="Clock period, for example 5ns.  [default: that of the target]")
@click.option("--tool", help="HLS compiler and version.  [default: vitis_hls 2023.2]")
@click.option(
    "--stage",
    help="Stage of LUT, FF and DSP: logic_synth or post_route, each with the figures of C synthesis beside "
    "them, or csynth for these alone.  [default: logic_synth]",
)
@click.option("--nonzeros", help="Non-zero weights of each layer: '512;1024;160'.")
@click.option(
    "--compare", help="Tools side by side, for example vitis,vivado or 'vitis_hls 2021.1,vitis_hls 2024.1'."
)
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of <row_id>.npz for a CSV of rows.")
@click.option("--output", type=click.Path(path_type=Path), help="File for the predictions of a CSV.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="A calibration file instead of the built-in one."
)
@json_option
def predict_command(**given: Any) -> None:
    """Estimate latency, initiation interval, LUT, FF, DSP and BRAM of an hls4ml MLP in milliseconds.

    PATH is a CSV of designs, a design folder, an hls4ml project or hls4ml_config.yml, or a torch, ONNX or
    Keras file (--precision then gives the types that it does not state); without it, --layers describes
    the design. Every number has an interval and states its calibration.
    """
    from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
    from hwnas_hls_plugins.estimators.hls_model.known_targets import known_targets
    from hwnas_hls_plugins.estimators.hls_model.predictor import predict_beside_reports

    options = PredictOptions(**given)
    path, compare = options.path, options.compare
    fitted = read_calibration(options.calibration)
    targets = known_targets()
    if path is not None and options.layers is not None:
        raise UserError(
            "PATH and --layers describe two designs",
            found=f"{path}, {options.layers}",
            remedy="give one",
            kind=ErrorKind.CONFLICT,
        )
    if path is not None and path.lower().endswith(".csv"):
        if options.given_for_one_design:
            raise UserError(
                "each row of a CSV file describes its own design",
                where=", ".join(options.given_for_one_design),
                found=path,
                remedy="leave the option out; tool, stage, part, clock_ns_target, precision and the like are "
                "columns, and tools are compared as a row each",
                kind=ErrorKind.CONFLICT,
            )
        _predict_rows(Path(path), options, fitted, targets)
        return
    if options.output is not None or options.weights is not None:
        raise UserError(
            "--output and --weights go with a CSV of rows", where="predict", kind=ErrorKind.CONFLICT
        )
    query = _of_flags(options, targets) if path is None else _of_path(path, options)
    query = _placed(query, options, targets)
    tools = [query.tool]
    if compare is not None:
        tools = [
            _COMPARED.get(name.strip().lower(), name.strip()) for name in compare.split(",") if name.strip()
        ]
        if not tools:
            raise UserError("no tool to compare", where="--compare", found=compare, choices=_COMPARED)
    for name in tools:
        _check_tool(name, "--tool" if compare is None else "--compare")
    predictions = predict_beside_reports(
        [dataclasses.replace(query, tool=name) for name in tools], fitted, targets
    )
    if query.blockers:
        raise UserError(
            "; ".join(map(str, query.blockers)), where=path or "--layers", kind=ErrorKind.UNSUPPORTED
        )
    from hwnas_hls_plugins.estimators.hls_model.text_table import (
        comparison_text,
        prediction_json,
        prediction_text,
    )

    view = None
    if path is not None and compare is None and not is_own(Path(path)):
        from hwnas_hls_plugins.estimators.hls_model.project_view import view_project

        view = view_project(Path(path).expanduser(), fitted)
    if options.as_json:
        data = [prediction_json(prediction) for prediction in predictions]
        if view is not None:
            data[0] |= view.to_json()
        print_json(data if compare is not None else data[0])
    elif compare is not None:
        click.echo(comparison_text(predictions))
    else:
        click.echo(prediction_text(predictions[0]))
        if view is not None and view.text:
            click.echo(f"\n{view.text}")


def _predict_rows(path: Path, options: PredictOptions, fitted: Calibration, targets: Targets) -> None:
    """A table of predictions on standard output or in a file; rows without a prediction are reported."""
    from hwnas_hls.spec.notation import counted
    from hwnas_hls_plugins.estimators.hls_model.rows_file import read_rows, write_predictions

    rows = read_rows(path)
    weights, output, as_json = options.weights, options.output, options.as_json
    folder = weights if weights is not None else path.parent / "weights"
    if weights is not None and not weights.is_dir():
        raise UserError("no such folder", where="--weights", found=str(weights), kind=ErrorKind.MISSING)
    known = folder if folder.is_dir() else None
    unpredicted: list[str] = []
    if output is None:
        count = write_predictions(
            rows, command_output(), known, fitted, targets, unpredicted, as_json=as_json
        )
    else:
        # A file that turns out to be broken half way must not leave half an answer behind.
        draft = output.with_name(output.name + ".part")
        try:
            with draft.open("w", newline="", encoding="utf-8") as file:
                count = write_predictions(rows, file, known, fitted, targets, unpredicted, as_json=as_json)
            draft.replace(output)
        except OSError as error:
            raise UserError(
                "cannot write the predictions", where=str(output), found=error, kind=ErrorKind.NOT_ACCESSIBLE
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        predicted = counted(count - len(unpredicted), "design")
        click.echo(f"{predicted} predicted, written to {output}", err=True)
    if unpredicted and len(unpredicted) == count:
        raise UserError("no row could be predicted", where=str(path), found=unpredicted[0])
    if unpredicted:
        others = ", the first" if len(unpredicted) > 1 else ""
        click.echo(
            f"{len(unpredicted)} of {count} rows could not be predicted{others}: {unpredicted[0]}", err=True
        )


def _check_tool(name: str, where: str) -> None:
    from hwnas_hls_plugins.estimators.hls_model.silicon import tool_of

    lower = name.lower()
    if "vitis" not in lower and "vivado" not in lower and not tool_of(name).version:
        raise UserError(
            "unknown tool", where=where, found=name, choices=["vitis_hls 2023.2", "vivado_hls 2020.1"]
        )


def is_own(place: Path) -> bool:
    """Whether this is a design folder or a model file, which is no hls4ml project."""
    from hwnas_hls.hls4ml.models import is_model

    return (place.expanduser() / "design.json").is_file() or is_model(place)


def _of_path(path: str, options: PredictOptions) -> Query:
    """The query of a design folder, an hls4ml project or configuration, or a model file."""
    from hwnas_hls.hls4ml.models import is_model, read_model
    from hwnas_hls.hls4ml.query import DEFAULT_PART, query_of
    from hwnas_hls.network.design import Design

    place = Path(path).expanduser()
    if (place / "design.json").is_file():
        design = Design.load(place)
        part = str(design.meta.get("target", "")) or DEFAULT_PART
        return query_of(design.architecture, part, design=design, name=place.name)
    if not place.is_dir() and not is_model(place) and place.suffix.lower() not in (".yml", ".yaml"):
        raise UserError(
            "cannot tell what this file is" if place.exists() else "no such file or folder",
            where="PATH",
            found=path,
            remedy="give a CSV of rows (.csv), a design folder, an hls4ml project or hls4ml_config.yml, or a "
            ".pt, .onnx, .keras or .h5 file",
            kind=ErrorKind.WRONG_FORMAT if place.exists() else ErrorKind.MISSING,
        )
    precision, strategy = options.precision or "ap_fixed<16,6>", options.hls_strategy or "Latency"
    return read_model(place, precision=precision, strategy=strategy)


_EXAMPLES = {
    "precision": "write one type, 'ap_fixed<8,3>', or parts: 'in: ap_fixed<8,3> w: ap_fixed<6,1>'",
    "reuse_factor": "write one whole number from 1, or one per layer: '8;32;16'",
    "n_nonzeros": "write one whole number per layer: '512;1024;160'",
    "activations": "write one per layer: relu-relu-softmax",
}


def _of_flags(options: PredictOptions, targets: Targets) -> Query:
    """The query of the flags; what is a warning in a CSV row is an error here."""
    from hwnas_hls.hls4ml.notes import NoteKind
    from hwnas_hls.hls4ml.query import DEFAULT_TOOL
    from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row

    layers, activations = options.layers, options.activations
    if not layers:
        raise UserError(
            "nothing to predict",
            where="predict",
            remedy="give --layers 16-64-32-32-5, a CSV, an hls4ml project folder or an hls4ml_config.yml",
            kind=ErrorKind.MISSING,
        )
    count = layers.count("-")
    row = {
        "layers": layers,
        "activations": activations if activations is not None else "-".join(["relu"] * max(0, count - 1)),
        "precision": options.precision or "ap_fixed<16,6>",
        "reuse_factor": options.reuse_factor or "1",
        "strategy": options.hls_strategy or "Latency",
        "n_nonzeros": options.nonzeros or "",
        "tool": DEFAULT_TOOL,
        "stage": "csynth",  # until `_placed`
        "part": "xcvu9p",
        "clock_ns_target": "5",  # of that part; `_placed` knows of others
    }
    query = query_of_row(row, targets=targets)
    flags = {
        "precision": "--precision",
        "reuse_factor": "--reuse-factor",
        "n_nonzeros": "--nonzeros",
        "activations": "--activations",
    }
    if query.blockers:
        what = query.blockers[0].text
        raise UserError(what, where="--layers", found=layers, remedy="write widths such as 16-64-32-32-5")
    for note in (*query.warnings, *query.reasons):
        if note.kind is NoteKind.UNREAD and note.about in flags:
            # A row of a CSV goes on with the substitute that the note names; a flag is refused.
            what = note.text.partition("; ")[0]
            raise UserError(
                what, where=flags[note.about], found=row[note.about], remedy=_EXAMPLES[note.about]
            )
    if query.reasons:
        from hwnas_hls_plugins.estimators.hls_model.table import ACTIVATION_CODES

        raise UserError(
            query.reasons[0].text, where="--activations", found=activations, choices=sorted(ACTIVATION_CODES)
        )
    names = ("latency", "resource", "distributed_arithmetic", "da", "resource_unrolled", "resourceunrolled")
    for layer in query.layers:
        if layer.strategy.lower() not in names:
            raise UserError(
                "unknown strategy: hls4ml would build Latency without a word",
                where="--hls-strategy",
                found=layer.strategy,
                choices=["Latency", "Resource", "distributed_arithmetic", "ResourceUnrolled"],
            )
    return query


def _states_part(path: str | None) -> bool:
    """Whether a design states its part; that of hls4ml's converter of model files is not the user's."""
    if path is None:
        return False
    # Readers of projects are not loaded for a design of flags.
    from hwnas_hls.hls4ml.models import is_model

    return not is_model(Path(path))


def _placed(query: Query, options: PredictOptions, targets: Targets) -> Query:
    """The query with the requested part, clock, tool and stage."""
    clock, states_part = options.clock, _states_part(options.path)
    if options.target is not None or not states_part:
        found = targets.find(options.target or "xcvu9p")
        query = dataclasses.replace(query, part=found.part)
        if clock is None and not states_part:
            query = dataclasses.replace(query, clock_ns=found.clock_ns)
    if clock is not None:
        query = dataclasses.replace(query, clock_ns=parse_clock_ns(clock, "--clock"))
    if options.tool is not None:
        query = dataclasses.replace(query, tool=options.tool)
    from hwnas_hls.hls4ml.query import STAGES
    from hwnas_hls.values.estimate import RESOURCE_STAGE

    stage = options.stage or RESOURCE_STAGE
    if stage not in STAGES:
        raise UserError("unknown stage", where="--stage", found=stage, choices=STAGES)
    return dataclasses.replace(query, stage=stage)
