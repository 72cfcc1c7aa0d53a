"""Common parts of all layers: vocabulary, checks, exact sums, and the JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from hwnas_hls.errors import UserError
from hwnas_hls.network.precision import FixedType


class Activation(StrEnum):
    """The activation of a layer, in hls4ml's spelling."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    LINEAR = "linear"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class HlsStrategy(StrEnum):
    """hls4ml's strategy for the products of a layer, in its spelling."""

    #: Unrolled: separate hardware for each product.
    LATENCY = "Latency"
    #: ``reuse_factor`` products share a multiplier.
    RESOURCE = "Resource"
    #: Constant multiplications as adder graphs.
    DISTRIBUTED_ARITHMETIC = "distributed_arithmetic"


ACTIVATIONS = tuple(Activation)
STRATEGIES = tuple(HlsStrategy)
NORMALISATIONS = ("none", "batch")
PADDINGS = ("same", "valid")
MERGES = ("add", "concatenate")
POOLINGS = ("max", "average")
#: The number of the network's input in ``inputs``.
INPUT = -1
#: Slope of ``leaky_relu`` below zero; a power of two needs no multiplier.
LEAKY_SLOPE = 0.125
#: Types and settings of layers with weights, by field name.
WEIGHTED_TYPES = ("weight", "bias", "accum", "result")
SETTINGS = ("activation", "reuse_factor", "strategy", "normalisation", "dropout", "sparsity")


class AnyLayer(Protocol):
    """The attributes of every layer."""

    @property
    def kind(self) -> str: ...

    @property
    def inputs(self) -> tuple[int, ...]: ...


class WeightedLayer(AnyLayer, Protocol):
    """The additional attributes of a layer with weights."""

    @property
    def activation(self) -> str: ...

    @property
    def strategy(self) -> str: ...

    @property
    def normalisation(self) -> str: ...

    @property
    def weight(self) -> FixedType: ...

    @property
    def bias(self) -> FixedType | None: ...


def at_least_one(layer: AnyLayer, *names: str) -> None:
    """Raise UserError if one of these fields of a layer is below 1."""
    for name in names:
        value = getattr(layer, name)
        if value < 1:
            raise UserError(f"{name} of a {layer.kind} layer must be at least 1", found=value)


def check_weighted(layer: WeightedLayer) -> None:
    """Raise UserError if the activation, strategy or normalisation of a layer is unknown."""
    if layer.activation not in ACTIVATIONS:
        raise UserError("unknown activation", found=layer.activation, choices=ACTIVATIONS)
    if layer.strategy not in STRATEGIES:
        raise UserError("unknown HLS strategy", found=layer.strategy, choices=STRATEGIES)
    if layer.normalisation not in NORMALISATIONS:
        raise UserError("unknown normalisation", found=layer.normalisation, choices=NORMALISATIONS)


def check_count(layer: AnyLayer, wanted: int) -> None:
    """Raise UserError unless a layer has ``wanted`` inputs; a single input may be implicit."""
    count = len(layer.inputs)
    if count != wanted and not (wanted == 1 and count == 0):
        raise UserError(f"a {layer.kind} layer takes {wanted} input(s)", found=list(layer.inputs))


def fields_to_json(layer: AnyLayer, plain: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    """A layer as JSON-able data: ``plain`` fields unchanged, ``types`` as ``ap_fixed`` text."""
    out: dict[str, Any] = {"kind": layer.kind}
    for name in plain:
        value = getattr(layer, name)
        out[name] = list(value) if isinstance(value, tuple) else value
    for name in types:
        value = getattr(layer, name)
        out[name] = None if value is None else str(value)
    if layer.inputs:
        out["inputs"] = list(layer.inputs)
    return out


def fields_from_json(data: Mapping[str, Any], plain: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    """The constructor arguments of a layer from :func:`fields_to_json`."""
    fields = {name: data[name] for name in (*plain, "inputs") if name in data}
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return fields | {name: None if data.get(name) is None else FixedType.parse(data[name]) for name in types}
