"""Reads an ``hls4ml_config.yml`` without firmware as a query, with hls4ml's defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported, UserError
from hwnas_hls.hls4ml.folder.config import load_config, mapping_of, text_of
from hwnas_hls.hls4ml.folder.dense import Layers, weights_outside
from hwnas_hls.hls4ml.folder.folder import read_folder
from hwnas_hls.hls4ml.folder.layers import TABLE_SIZE, other_tables
from hwnas_hls.hls4ml.folder.precisions import Precisions, built_strategy
from hwnas_hls.hls4ml.folder.settings import BACKENDS, READ_BACKENDS, read_settings
from hwnas_hls.hls4ml.folder.shapes import Shape, read_shapes
from hwnas_hls.hls4ml.folder.surroundings import pragma_reasons
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import LayerQuery, Query, normalised_type
from hwnas_hls.network.precision import FixedType, exact_sum
from hwnas_hls.network.reuse import nearest_legal


def read_config(path: Path | str, stage: str = "csynth") -> Query:
    """Read a configuration; if its folder contains the firmware, that is read instead.

    Args:
        path: path of ``hls4ml_config.yml``.
        stage: stage of the query.

    Raises:
        UserError: there is no such file, or the shapes or the order of the layers are unknown.
        ReportError: not readable.
        Unsupported: a layer or the backend is not supported.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            "no such file",
            found=path,
            remedy="give hls4ml_config.yml or the project's folder",
            kind=ErrorKind.MISSING,
        )
    if (path.parent / "firmware" / "parameters.h").is_file():
        return read_folder(path.parent, stage)
    config = load_config(path)
    if "HLSConfig" not in config and "DefaultPrecision" not in config:
        raise UserError(
            "not a configuration of hls4ml",
            where=str(path),
            found="no HLSConfig in it",
            kind=ErrorKind.WRONG_FORMAT,
        )
    settings = read_settings(path.parent, config, None)
    if settings.backend and settings.backend not in BACKENDS.values():
        raise Unsupported(f"{path}: backend {settings.backend}; {READ_BACKENDS}")
    shapes = read_shapes(path, config)
    if not any(shape.kind == "Dense" for shape in shapes):
        raise UserError(
            "the configuration does not contain the widths of its layers",
            where=str(path),
            remedy="give the project folder (with firmware/), or put the Keras model into the same folder",
            kind=ErrorKind.MISSING,
        )
    shapes = _with_sizes(shapes, config, str(path))
    precisions = Precisions(config)
    layers, warnings, reasons, softmax = _layers(shapes, precisions, str(path))
    style = Layers(layers=layers, io_type=text_of(config, "IOType") or "io_parallel")
    reasons += pragma_reasons([_pipeline_pragma(precisions, style)], {}, style)
    name = text_of(config, "ProjectName") or path.stem
    return Query(
        layers=tuple(layers),
        part=settings.part,
        clock_ns=settings.clock_ns,
        tool=settings.tool,
        stage=stage,
        clock_uncertainty=settings.clock_uncertainty,
        io_type=style.io_type,
        backend=settings.backend,
        scope="core+AXI wrapper" if settings.backend == "VivadoAccelerator" else "core",
        softmax=softmax,
        name=name,
        warnings=(*settings.warnings, *warnings),
        reasons=tuple(reasons),
        pipeline_ii=style.pipeline_ii,
    )


def _with_sizes(shapes: list[Shape], config: dict[str, Any], where: str) -> list[Shape]:
    """The layers, the first one with its inputs; ``InputShapes`` exist in hls4ml 1.0 and later.

    Raises:
        UserError: the model beside the configuration has other inputs or outputs than it says.
    """
    places = [place for place, shape in enumerate(shapes) if shape.kind == "Dense"]
    first, last = shapes[places[0]], shapes[places[-1]]
    for key, found in (("InputShapes", first.n_in), ("OutputShapes", last.n_out)):
        stated = _values_of(mapping_of(config, key))
        if stated is not None and found is not None and stated != found:
            raise UserError(
                "the model is not the one that the configuration was written for",
                where=where,
                found=f"{found} values in the model, {stated} in {key}",
                remedy="put the model of this configuration beside it, or give the project folder",
                kind=ErrorKind.CONFLICT,
            )
    inputs = _values_of(mapping_of(config, "InputShapes"))
    if first.n_in is None and inputs is not None:
        shapes = list(shapes)
        shapes[places[0]] = dataclasses.replace(first, n_in=inputs)
    return shapes


def _values_of(tensors: dict[str, Any]) -> int | None:
    """The number of values of the only vector; ``None`` for several, and for images and sequences."""
    shapes = list(tensors.values())
    if len(shapes) != 1 or not isinstance(shapes[0], list) or len(shapes[0]) != 1:
        return None
    size = shapes[0][0]
    return size if type(size) is int and size > 0 else None


def _pipeline_pragma(precisions: Precisions, layers: Layers) -> str:
    """The pragma that hls4ml writes for ``PipelineStyle`` and ``PipelineInterval`` of the model."""
    style, interval = (precisions.model.get(key) for key in ("PipelineStyle", "PipelineInterval"))
    strategies = {layer.strategy for layer in layers.layers}
    if style not in ("pipeline", "dataflow"):
        written = precisions.model.get("Strategy")
        resource = isinstance(written, str) and built_strategy(written)[0] == "Resource"
        resource |= bool(strategies & {"Resource", "compressed"})
        style = "dataflow" if layers.io_type == "io_stream" or resource else "pipeline"
        if style == "pipeline" and "ResourceUnrolled" in strategies:
            interval = max(layer.reuse_factor for layer in layers.layers)
    return "PIPELINE" + ("" if interval is None else f" II={interval}") if style == "pipeline" else "DATAFLOW"


def _layers(
    shapes: list[Shape], precisions: Precisions, where: str
) -> tuple[list[LayerQuery], list[Note], list[Note], str]:
    layers: list[LayerQuery] = []
    text = "a configuration contains no weights: the cost is that of typical trained weights"
    warnings = [Note(NoteKind.ASSUMED, text)]
    reasons: list[Note] = []
    softmax = ""
    source = _input_type(precisions)
    width: int | None = None
    for shape in shapes:
        if shape.kind == "Dense":
            layer = _dense(shape, width, source, precisions, where, warnings)
            largest = precisions.model.get("BramFactor")
            if isinstance(largest, int) and layer.n_in * layer.n_out > largest:
                reasons.append(weights_outside(f"layer {shape.name!r}"))
            layers.append(layer)
            width = layer.n_out
        elif not layers:
            reasons.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {shape.name!r} comes before any dense layer and is not counted",
                )
            )
            continue
        elif shape.activation == "softmax" and _skipped(shape, precisions):
            continue
        else:
            layer = _behind(shape, layers[-1], precisions, warnings)
            layers[-1] = layer
            if shape.activation == "softmax":
                implementation = precisions.setting(shape.name, "Softmax", "Implementation")
                softmax = str(implementation).lower()[:20] if isinstance(implementation, str) else "stable"
                reasons += _table_reasons(shape, precisions)
        source = layer.result or layer.dense_out or layer.accum or precisions.default()
    return layers, warnings, reasons, softmax


def _skipped(shape: Shape, precisions: Precisions) -> bool:
    """Whether hls4ml leaves out a softmax."""
    return any(precisions.setting(shape.name, "Softmax", key) is True for key in ("skip", "Skip"))


def _table_reasons(shape: Shape, precisions: Precisions) -> list[Note]:
    """Why a softmax is not one of those measured: the sizes of its tables."""
    keys = ("TableSize", "ExpTableSize", "InvTableSize", "exp_table_size", "inv_table_size")
    sizes = [precisions.setting(shape.name, "Softmax", key) for key in keys]
    other = [size for size in sizes if type(size) is int and size != TABLE_SIZE]
    return [other_tables(shape.name, max(other))] if other else []


def _input_type(precisions: Precisions) -> FixedType:
    for name in precisions.by_name:
        if "input" in name or name in ("inp", "x"):
            return precisions.precision(name, "InputLayer", "result") or precisions.default()
    return precisions.default()


def _dense(
    shape: Shape,
    width: int | None,
    source: FixedType,
    precisions: Precisions,
    where: str,
    warnings: list[Note],
) -> LayerQuery:
    n_in = shape.n_in or width
    if n_in is None or shape.n_out is None:
        raise ReportError(f"{where}: the input width of layer {shape.name!r} is not given")
    if width is not None and n_in != width:
        raise Unsupported(
            f"layer {shape.name!r} takes {n_in} inputs after {width} outputs: not a chain of layers"
        )
    types = {
        role: precisions.precision(shape.name, "Dense", role)
        for role in ("weight", "bias", "accum", "result")
    }
    written = str(precisions.setting(shape.name, "Dense", "Strategy") or "Latency")
    compression = bool(precisions.setting(shape.name, "Dense", "Compression"))
    strategy, known = built_strategy(written, compression)
    if not known:
        warnings.append(
            Note(
                NoteKind.CHANGED,
                f"layer {shape.name!r}: strategy {written[:40]!r} is unknown to hls4ml and becomes Latency",
            )
        )
    factor = precisions.setting(shape.name, "Dense", "ReuseFactor")
    factor = factor if isinstance(factor, int) and not isinstance(factor, bool) and factor >= 1 else 1
    if strategy == "ResourceUnrolled" and factor == 1:
        strategy = "Resource"
    if strategy == "Resource":
        legal = nearest_legal(n_in, shape.n_out, "Resource", factor)
        if legal != factor:
            warnings.append(
                Note(
                    NoteKind.CHANGED,
                    f"layer {shape.name!r}: hls4ml changes reuse factor {factor} to {legal}",
                )
            )
            factor = legal
    default = precisions.default()
    layer = LayerQuery(
        n_in=n_in,
        n_out=shape.n_out,
        input=source,
        weight=types["weight"] or default,
        bias=types["bias"] or default,
        accum=types["accum"],
        dense_out=types["result"],
        reuse_factor=factor,
        strategy=strategy,
    )
    # auto means the exact sum, as hls4ml infers it
    exact = layer.accum or exact_sum(layer.input, layer.weight, layer.bias, layer.n_in)
    out = layer.dense_out or exact
    return dataclasses.replace(layer, accum=exact, dense_out=out, result=out)


def _normalised(last: LayerQuery, precisions: Precisions) -> FixedType:
    return normalised_type(last.result or precisions.default(), precisions.default())


def _behind(shape: Shape, last: LayerQuery, precisions: Precisions, warnings: list[Note]) -> LayerQuery:
    """An activation or normalisation after a dense layer."""
    result = precisions.precision(shape.name, shape.kind, "result")
    if shape.kind == "BatchNormalization":
        if last.activation == "linear":
            # hls4ml folds it into the previous dense layer
            return last
        return dataclasses.replace(
            last, normalisation="batch", result=result or _normalised(last, precisions)
        )
    if shape.activation == "linear":
        return dataclasses.replace(last, result=result or last.result)
    if last.activation != "linear":
        warnings.append(
            Note(
                NoteKind.UNCOUNTED,
                f"layer {shape.name!r} follows the activation {last.activation}, which is not counted",
            )
        )
    return dataclasses.replace(last, activation=shape.activation, result=result or precisions.default())
