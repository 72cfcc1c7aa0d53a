"""The kinds of layers of an architecture, each as hls4ml builds it.

``inputs`` names the sources of a layer: ``k`` means layer ``k``, :data:`INPUT` the network's input,
and an empty tuple the previous layer (for the first layer, the network's input).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.fields import (
    ACTIVATIONS,
    INPUT,
    LEAKY_SLOPE,
    MERGES,
    NORMALISATIONS,
    PADDINGS,
    POOLINGS,
    SETTINGS,
    STRATEGIES,
    WEIGHTED_TYPES,
    at_least_one,
    check_count,
    check_weighted,
    fields_from_json,
    fields_to_json,
)
from hwnas_hls.network.image_layers import Conv2D, Pool2D
from hwnas_hls.network.precision import FixedType, exact_sum

__all__ = [
    "ACTIVATIONS",
    "INPUT",
    "LEAKY_SLOPE",
    "MERGES",
    "NORMALISATIONS",
    "PADDINGS",
    "POOLINGS",
    "STRATEGIES",
    "Conv2D",
    "Dense",
    "Layer",
    "Merge",
    "Pool2D",
    "Weighted",
    "layer_from_json",
]

_DENSE_PLAIN = ("n_in", "n_out", *SETTINGS)
_MERGE_PLAIN = ("merge", "input_widths", "activation", "channels")


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer with its activation, as hls4ml builds it.

    Args:
        n_in, n_out: width of its input and output.
        activation: one of :data:`ACTIVATIONS`.
        weight: type of every weight.
        bias: type of every bias; ``None`` for a layer without biases.
        accum: type of the accumulator; ``None`` means exact (the narrowest type in which no sum
            overflows or loses a bit, see :meth:`exact_accum`).
        result: type after the activation; ``None`` keeps the accumulator type.
        reuse_factor: number of products that share a multiplier.
        strategy: one of :data:`STRATEGIES`, in hls4ml's spelling.
        normalisation: ``batch`` trains with batch normalisation, folded into weights and bias.
        dropout: share of the outputs dropped in training; does not affect the hardware.
        sparsity: share of the weights that training prunes to zero, by magnitude.
        inputs: its source: empty (the previous layer) or one number.
    """

    n_in: int
    n_out: int
    activation: str
    weight: FixedType
    bias: FixedType | None
    accum: FixedType | None = None
    result: FixedType | None = None
    reuse_factor: int = 1
    strategy: str = "Latency"
    normalisation: str = "none"
    dropout: float = 0.0
    sparsity: float = 0.0
    inputs: tuple[int, ...] = ()
    kind: str = field(default="dense", init=False)

    def __post_init__(self) -> None:
        if min(self.n_in, self.n_out, self.reuse_factor) < 1:
            at_least_one(self, "n_in", "n_out", "reuse_factor")
        check_weighted(self)
        check_count(self, 1)

    @property
    def input_widths(self) -> tuple[int, ...]:
        return (self.n_in,)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.n_in, self.n_out)

    @property
    def n_products(self) -> int:
        """Number of products per inference."""
        return self.n_in * self.n_out

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, columns) of the matrix that hls4ml multiplies by."""
        return (self.n_in, self.n_out)

    def exact_accum(self, source: FixedType) -> FixedType:
        """The type that holds every partial sum for *any* weights of this layer.

        Args:
            source: type of the layer's input.
        """
        return exact_sum(source, self.weight, self.bias, self.n_in)

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        return self.result or self.accum or self.exact_accum(source)

    def to_json(self) -> dict[str, Any]:
        return fields_to_json(self, _DENSE_PLAIN, WEIGHTED_TYPES)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dense:
        return cls(**fields_from_json(data, _DENSE_PLAIN, WEIGHTED_TYPES))


@dataclass(frozen=True, slots=True)
class Merge:
    """The sum or concatenation of two tensors, with an activation.

    Args:
        merge: ``add`` (a residual connection) or ``concatenate`` (of the last axis).
        input_widths: flat width of each of the two inputs; equal under ``add``.
        inputs: its two sources, in order.
        activation: one of :data:`ACTIVATIONS`.
        result: type after the activation; ``None`` keeps every bit.
        channels: channels of each input if images are concatenated, else ``None``.
    """

    merge: str
    input_widths: tuple[int, ...]
    inputs: tuple[int, ...]
    activation: str = "linear"
    result: FixedType | None = None
    channels: tuple[int, ...] | None = None
    kind: str = field(default="merge", init=False)

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise UserError("unknown merge", found=self.merge, choices=MERGES)
        if self.activation not in ACTIVATIONS:
            raise UserError("unknown activation", found=self.activation, choices=ACTIVATIONS)
        check_count(self, 2)
        if len(self.input_widths) != 2 or min(self.input_widths) < 1:
            raise UserError("a merge needs two inputs of at least one value each", found=self.input_widths)
        if self.merge == "add" and self.input_widths[0] != self.input_widths[1]:
            raise UserError(
                "add needs tensors of the same width", found=self.input_widths, kind=ErrorKind.MISMATCH
            )

    @property
    def n_out(self) -> int:
        return self.input_widths[0] if self.merge == "add" else sum(self.input_widths)

    @property
    def weight_shape(self) -> None:
        return None

    def exact_accum(self, first: FixedType, *others: FixedType) -> FixedType:
        """The narrowest type that represents every result before the activation exactly."""
        (second,) = others
        integer = max(
            source.integer + (not source.signed and (first.signed or second.signed))
            for source in (first, second)
        )
        if self.merge == "add":
            integer += 1
        fraction = max(first.fraction, second.fraction)
        return FixedType(integer + fraction, integer, first.signed or second.signed)

    def output_type(self, first: FixedType, *others: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        return self.result or self.exact_accum(first, *others)

    def to_json(self) -> dict[str, Any]:
        return fields_to_json(self, _MERGE_PLAIN, ("result",))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Merge:
        return cls(**fields_from_json(data, _MERGE_PLAIN, ("result",)))


Layer = Dense | Conv2D | Pool2D | Merge
Weighted = Dense | Conv2D

_READERS: dict[str, Callable[[Mapping[str, Any]], Layer]] = {
    "dense": Dense.from_json,
    "conv2d": Conv2D.from_json,
    "pool2d": Pool2D.from_json,
    "merge": Merge.from_json,
}


def layer_from_json(data: Mapping[str, Any], where: str) -> Layer:
    """A layer from its JSON form; the default ``kind`` is ``dense``.

    Raises:
        UserError: an unknown kind, or an invalid value.
    """
    kind = data.get("kind", "dense")
    if kind not in _READERS:
        raise UserError("unknown kind of layer", where=where, found=kind, choices=sorted(_READERS))
    return _READERS[kind](data)
