"""Reads a torch module or an hls4ml graph as a query of the hardware model.

The module is read as hls4ml's torch front end reads it: a chain of linear layers, activations and batch
normalisations. Its weights are put onto the grid of their type, so that the model knows them::

    query = query_of_torch(module, precision="ap_fixed<8,3>", part="xcvu9p-flga2104-2L-e", clock_ns=5.0)
    prediction = predict([query])[0]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import (
    DEFAULT_CLOCK_NS,
    DEFAULT_PART,
    DEFAULT_TOOL,
    DEFAULT_TYPE,
    LayerQuery,
    Query,
    normalised_type,
)
from hwnas_hls.hls4ml.torch_chain import Linear, chain_of
from hwnas_hls.network.precision import FixedType, exact_sum
from hwnas_hls.network.reuse import nearest_legal

if TYPE_CHECKING:
    Kind = FixedType | str
    Precision = Kind | Mapping[str, Kind | Sequence[Kind]]

ROLES = ("input", "weight", "bias", "accum", "result")


def query_of_torch(
    module: Any,
    *,
    precision: Precision = DEFAULT_TYPE,
    reuse_factor: int | Sequence[int] = 1,
    strategy: str | Sequence[str] = "Latency",
    part: str = DEFAULT_PART,
    clock_ns: float = DEFAULT_CLOCK_NS,
    tool: str = DEFAULT_TOOL,
    stage: str = "csynth",
    clock_uncertainty: float | None = None,
    io_type: str = "io_parallel",
    softmax: str = "stable",
    name: str = "",
) -> Query:
    """The query of a torch module, as hls4ml would build it by default.

    Args:
        module: ``nn.Sequential`` or any ``nn.Module`` that is a chain of ``Linear``, activations,
            ``BatchNorm1d``, ``Dropout``, ``Flatten``, ``Identity``. A batch normalisation right behind a
            linear layer is folded into it; dropout vanishes. It is read as in evaluation mode.
        precision: one type for inputs, weights, biases and activations, or a mapping of ``input``,
            ``weight``, ``bias``, ``accum``, ``result`` (of activations) to a type or one type per layer;
            what is left out is ``ap_fixed<16,6>``, a left out ``accum`` is exact.
        reuse_factor, strategy: one for all linear layers, or one each; hls4ml's spelling.
        part, clock_ns, tool, stage, clock_uncertainty, io_type, softmax, name: as in
            :class:`~hwnas_hls.hls4ml.query.Query`.

    Raises:
        Unsupported: a layer of another kind, or branches; it is named.
        UserError: a type, strategy or reuse factor that is none, or weights that are not finite.
    """
    steps = list(chain_of(module))
    count = sum(step.kind == "linear" for step in steps)
    if count == 0:
        raise Unsupported("no Linear layer in the module")
    types = _types(precision, count)
    reuses = _each("reuse_factor", reuse_factor, count)
    strategies = _each("strategy", strategy, count)
    layers: list[LayerQuery] = []
    warnings: list[Note] = []
    reasons: list[Note] = []
    source = types["input"][0] or DEFAULT_TYPE
    linears: list[Linear] = []
    behind = ""
    for step in steps:
        if step.kind == "linear":
            number = len(layers)
            linear = Linear.of(step.module, step.name)
            if layers and layers[-1].n_out != linear.weight.shape[0]:
                raise Unsupported(f"layer {step.name!r} takes {linear.weight.shape[0]} inputs: not a chain")
            layer = _linear(
                linear, number, source, types, reuses[number], strategies[number], step.name, warnings
            )
            linears.append(linear)
            layers.append(layer)
        elif not layers:
            reasons.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {step.name!r} comes before any linear layer and is not counted",
                )
            )
            continue
        elif step.kind == "batch":
            if behind == "linear":
                linears[-1] = linears[-1].folded(step.module)
                layers[-1] = _with_values(
                    layers[-1], linears[-1], types["bias"][len(layers) - 1] or DEFAULT_TYPE
                )
                layers[-1] = _summed(layers[-1], types["accum"][len(layers) - 1])
            else:
                scale = types["weight"][len(layers) - 1] or DEFAULT_TYPE
                layers[-1] = dataclasses.replace(
                    layers[-1],
                    normalisation="batch",
                    result=normalised_type(layers[-1].result or scale, scale),
                )
        else:
            if layers[-1].activation != "linear":
                reasons.append(
                    Note(
                        NoteKind.UNCOUNTED,
                        f"layer {step.name!r} follows another activation, which is not counted",
                    )
                )
            result = types["result"][len(layers) - 1] or DEFAULT_TYPE
            layers[-1] = dataclasses.replace(layers[-1], activation=step.kind, result=result)
        behind = step.kind
        source = layers[-1].result or source
    return Query(
        layers=tuple(layers),
        part=part,
        clock_ns=clock_ns,
        tool=tool,
        stage=stage,
        clock_uncertainty=clock_uncertainty,
        io_type=io_type,
        softmax=softmax if any(layer.activation == "softmax" for layer in layers) else "",
        name=name,
        warnings=tuple(warnings),
        reasons=tuple(reasons),
    )


def _linear(
    linear: Linear,
    number: int,
    source: FixedType,
    types: Mapping[str, list[FixedType | None]],
    reuse: int,
    written: str,
    name: str,
    warnings: list[Note],
) -> LayerQuery:
    from hwnas_hls.hls4ml.folder.precisions import STRATEGIES, built_strategy

    built, known = built_strategy(written)
    if not known:
        raise UserError(
            "unknown strategy: hls4ml would silently build Latency",
            where=f"layer {name!r}",
            found=written,
            choices=list(STRATEGIES.values()),
        )
    if not isinstance(reuse, int) or reuse < 1:
        raise UserError("a reuse factor must be at least 1", where=f"layer {name!r}", found=reuse)
    n_in, n_out = linear.weight.shape
    if built == "Resource":
        legal = nearest_legal(n_in, n_out, "Resource", reuse)
        if legal != reuse:
            warnings.append(
                Note(NoteKind.CHANGED, f"layer {name!r}: reuse factor {reuse} is moved to {legal} by hls4ml")
            )
            reuse = legal
    layer = LayerQuery(
        n_in=n_in,
        n_out=n_out,
        input=source,
        weight=types["weight"][number] or DEFAULT_TYPE,
        reuse_factor=reuse,
        strategy=built,
    )
    layer = _with_values(layer, linear, types["bias"][number] or DEFAULT_TYPE)
    return _summed(layer, types["accum"][number])


def _with_values(layer: LayerQuery, linear: Linear, bias: FixedType) -> LayerQuery:
    weights = layer.weight.integers(linear.weight)
    return dataclasses.replace(
        layer,
        bias=None if linear.bias is None else bias,
        weights=weights,
        biases=None if linear.bias is None else bias.integers(linear.bias),
        n_nonzeros=int(np.count_nonzero(weights)),
    )


def _summed(layer: LayerQuery, accum: FixedType | None) -> LayerQuery:
    """With its accumulator: as asked, or as hls4ml infers it, which counts a bias of one bit always."""
    bias = layer.bias or FixedType(1, 1, signed=False)
    kind = accum or exact_sum(layer.input, layer.weight, bias, layer.n_in)
    return dataclasses.replace(layer, accum=kind, dense_out=kind, result=kind)


def _types(precision: Precision, count: int) -> dict[str, list[FixedType | None]]:
    """Role -> type of each layer; ``None`` where nothing was said."""
    if isinstance(precision, FixedType | str):
        precision = {role: precision for role in ROLES if role != "accum"}
    if not isinstance(precision, Mapping) or set(precision) - set(ROLES):
        found = sorted(map(str, precision)) if isinstance(precision, Mapping) else type(precision).__name__
        raise UserError("not a precision", where="query_of_torch: precision", found=found, choices=ROLES)
    out: dict[str, list[FixedType | None]] = {role: [None] * count for role in ROLES}
    for role, value in precision.items():
        values = _each(f"precision of {role}", value, 1 if role == "input" else count)
        kinds = [kind if isinstance(kind, FixedType) else FixedType.parse(str(kind)) for kind in values]
        out[role] = [*kinds]
    return out


def _each(what: str, value: Any, count: int) -> list[Any]:
    """One value per layer."""
    if isinstance(value, str | int | FixedType):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise UserError(
            f"{what}: one value for all {count} linear layers or one each",
            found=len(values),
            kind=ErrorKind.MISMATCH,
        )
    return values
