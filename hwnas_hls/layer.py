"""The kinds of layer that an architecture is made of, each as hls4ml will build it.

A layer says by ``inputs`` whose outputs it takes: ``k`` stands for layer ``k``, :data:`INPUT` for
the network's input, and an empty tuple for the layer before it (the input, for the first one).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.precision import FixedType

ACTIVATIONS = ("relu", "leaky_relu", "linear", "tanh", "sigmoid", "softmax")
STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")
NORMALISATIONS = ("none", "batch")
PADDINGS = ("same", "valid")
MERGES = ("add", "concatenate")
POOLINGS = ("max", "average")
#: The number under which ``inputs`` names the network's input.
INPUT = -1
#: Slope of ``leaky_relu`` below zero: a power of two, and so free of multipliers.
LEAKY_SLOPE = 0.125


@dataclass(frozen=True, slots=True)
class Dense:
    """One fully connected layer with its activation, as hls4ml will build it.

    Args:
        n_in, n_out: width of its input and output.
        activation: one of :data:`ACTIVATIONS`.
        weight: type of every weight.
        bias: type of every bias; ``None`` for a layer without biases.
        accum: type of the accumulator; ``None`` means exact (the narrowest type in which no
            sum can overflow or lose a bit, see :meth:`exact_accum`).
        result: type after the activation; ``None`` hands the accumulator on unchanged.
        reuse_factor: how many products share one multiplier.
        strategy: one of :data:`STRATEGIES`, in hls4ml's spelling.
        normalisation: ``batch`` trains with batch normalisation, folded into weights and bias.
        dropout: share of the outputs dropped in training; nothing of it reaches hardware.
        sparsity: share of the weights that training prunes to zero, by magnitude.
        inputs: whose output it takes: none (the layer before) or one number.
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
        _at_least_one(self, "n_in", "n_out", "reuse_factor")
        _check_weighted(self)
        _check_count(self, 1)

    @property
    def input_widths(self) -> tuple[int, ...]:
        return (self.n_in,)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.n_in, self.n_out)

    @property
    def n_products(self) -> int:
        """Products of one inference."""
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
        return _exact_sum(self, source, self.n_in)

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        return self.result or self.accum or self.exact_accum(source)

    def to_json(self) -> dict[str, Any]:
        return _to_json(self, _DENSE_PLAIN, _WEIGHTED_TYPES)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dense:
        return cls(**_fields(data, _DENSE_PLAIN, _WEIGHTED_TYPES))


@dataclass(frozen=True, slots=True)
class Conv2D:
    """A two-dimensional convolution, stride 1, with its activation; a series is an image of height 1.

    Values travel flat, channels last: index ``(row * in_width + column) * channels + channel``.

    Args:
        in_height, in_width, in_channels: shape of its input.
        filters: output channels; a depthwise convolution has ``in_channels`` of them.
        kernel_height, kernel_width: size of the window.
        padding: ``same`` (zeros around, the size stays; odd kernels only) or ``valid``.
        depthwise: every channel has a window of its own and sees no other channel.
        Everything else as in :class:`Dense`.
    """

    in_height: int
    in_width: int
    in_channels: int
    filters: int
    kernel_height: int
    kernel_width: int
    activation: str
    weight: FixedType
    bias: FixedType | None
    accum: FixedType | None = None
    result: FixedType | None = None
    padding: str = "same"
    depthwise: bool = False
    reuse_factor: int = 1
    strategy: str = "Latency"
    normalisation: str = "none"
    dropout: float = 0.0
    sparsity: float = 0.0
    inputs: tuple[int, ...] = ()
    kind: str = field(default="conv2d", init=False)

    def __post_init__(self) -> None:
        _at_least_one(
            self,
            "in_height",
            "in_width",
            "in_channels",
            "filters",
            "kernel_height",
            "kernel_width",
            "reuse_factor",
        )
        _check_weighted(self)
        _check_count(self, 1)
        if self.padding not in PADDINGS:
            raise UserError("unknown padding", found=self.padding, choices=PADDINGS)
        if self.padding == "same" and not (self.kernel_height % 2 and self.kernel_width % 2):
            raise UserError(
                "padding same wants a kernel of odd size", found=f"{self.kernel_height} x {self.kernel_width}"
            )
        if self.out_height < 1 or self.out_width < 1:
            raise UserError(
                "the kernel is larger than the image",
                found=f"{self.kernel_height} x {self.kernel_width} on {self.in_height} x {self.in_width}",
            )
        if self.depthwise and self.filters != self.in_channels:
            raise UserError(
                "a depthwise convolution has as many filters as channels",
                found=f"{self.filters} filters, {self.in_channels} channels",
            )

    @property
    def out_height(self) -> int:
        return self.in_height - (0 if self.padding == "same" else self.kernel_height - 1)

    @property
    def out_width(self) -> int:
        return self.in_width - (0 if self.padding == "same" else self.kernel_width - 1)

    @property
    def input_widths(self) -> tuple[int, ...]:
        return (self.in_height * self.in_width * self.in_channels,)

    @property
    def n_out(self) -> int:
        return self.out_height * self.out_width * self.filters

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(kernel height, kernel width, channels that one filter sees, filters)."""
        seen = 1 if self.depthwise else self.in_channels
        return (self.kernel_height, self.kernel_width, seen, self.filters)

    @property
    def n_products(self) -> int:
        """Products of one inference, those with padded zeros included."""
        return self.out_height * self.out_width * math.prod(self.weight_shape)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, columns) of the matrix that hls4ml multiplies by, once a position of the window.

        A depthwise convolution is built as an ordinary one whose other weights are zero.
        """
        return (self.kernel_height * self.kernel_width * self.in_channels, self.filters)

    def exact_accum(self, source: FixedType) -> FixedType:
        """The type that holds every partial sum for *any* weights of this layer."""
        return _exact_sum(self, source, math.prod(self.weight_shape[:3]))

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        return self.result or self.accum or self.exact_accum(source)

    def to_json(self) -> dict[str, Any]:
        return _to_json(self, _CONV_PLAIN, _WEIGHTED_TYPES)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conv2D:
        return cls(**_fields(data, _CONV_PLAIN, _WEIGHTED_TYPES))


@dataclass(frozen=True, slots=True)
class Pool2D:
    """Pooling over windows that do not overlap; what does not fill a window at the far edges is left out.

    Args:
        in_height, in_width, in_channels: shape of its input, which travels as in :class:`Conv2D`.
        pool_height, pool_width: size of a window, and the stride.
        pooling: ``max`` or ``average``.
        result: type of the outputs; ``None`` takes the input's (``max``), or the narrowest that
            holds every average exactly (windows of a power of two only).
    """

    in_height: int
    in_width: int
    in_channels: int
    pool_height: int
    pool_width: int
    pooling: str
    result: FixedType | None = None
    inputs: tuple[int, ...] = ()
    kind: str = field(default="pool2d", init=False)

    def __post_init__(self) -> None:
        _at_least_one(self, "in_height", "in_width", "in_channels", "pool_height", "pool_width")
        _check_count(self, 1)
        if self.pooling not in POOLINGS:
            raise UserError("unknown pooling", found=self.pooling, choices=POOLINGS)
        if self.out_height < 1 or self.out_width < 1:
            raise UserError(
                "the window is larger than the image",
                found=f"{self.pool_height} x {self.pool_width} on {self.in_height} x {self.in_width}",
            )
        if self.pooling == "average" and self.window & (self.window - 1):
            raise UserError("an average is taken over a power of two of values", found=self.window)

    @property
    def window(self) -> int:
        """Values that one output is made of."""
        return self.pool_height * self.pool_width

    @property
    def out_height(self) -> int:
        return self.in_height // self.pool_height

    @property
    def out_width(self) -> int:
        return self.in_width // self.pool_width

    @property
    def input_widths(self) -> tuple[int, ...]:
        return (self.in_height * self.in_width * self.in_channels,)

    @property
    def n_out(self) -> int:
        return self.out_height * self.out_width * self.in_channels

    @property
    def weight_shape(self) -> None:
        return None

    def exact_accum(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type that holds the sum of a window and its average, or the largest value, exactly."""
        if self.pooling == "max":
            return FixedType(source.width, source.integer, source.signed)
        more = self.window.bit_length() - 1
        return FixedType(source.width + 2 * more, source.integer + more, source.signed)

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        if self.result is not None or self.pooling == "max":
            return self.result or FixedType(source.width, source.integer, source.signed)
        return FixedType(source.width + self.window.bit_length() - 1, source.integer, source.signed)

    def to_json(self) -> dict[str, Any]:
        return _to_json(self, _POOL_PLAIN, ("result",))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pool2D:
        return cls(**_fields(data, _POOL_PLAIN, ("result",)))


@dataclass(frozen=True, slots=True)
class Merge:
    """Two tensors made one: element by element, or one after the other, with an activation after it.

    Args:
        merge: ``add`` (a residual connection) or ``concatenate`` (of the last axis).
        input_widths: flat width of each of the two inputs; equal under ``add``.
        inputs: which two, in order.
        activation: one of :data:`ACTIVATIONS`.
        result: type after the activation; ``None`` keeps every bit.
        channels: of each input where they are images that are concatenated, else ``None``.
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
        _check_count(self, 2)
        if len(self.input_widths) != 2 or min(self.input_widths) < 1:
            raise UserError("a merge has two inputs of at least one value", found=self.input_widths)
        if self.merge == "add" and self.input_widths[0] != self.input_widths[1]:
            raise UserError("only tensors of the same width are added", found=self.input_widths)

    @property
    def n_out(self) -> int:
        return self.input_widths[0] if self.merge == "add" else sum(self.input_widths)

    @property
    def weight_shape(self) -> None:
        return None

    def exact_accum(self, first: FixedType, *others: FixedType) -> FixedType:
        """The narrowest type that holds every outcome before the activation."""
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
        return _to_json(self, _MERGE_PLAIN, ("result",))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Merge:
        return cls(**_fields(data, _MERGE_PLAIN, ("result",)))


Layer = Dense | Conv2D | Pool2D | Merge
Weighted = Dense | Conv2D

_READERS: dict[str, Callable[[Mapping[str, Any]], Layer]] = {
    "dense": Dense.from_json,
    "conv2d": Conv2D.from_json,
    "pool2d": Pool2D.from_json,
    "merge": Merge.from_json,
}


def layer_from_json(data: Mapping[str, Any], where: str) -> Layer:
    """Read what ``to_json`` of a layer wrote; ``kind`` is ``dense`` where it is missing.

    Raises:
        UserError: a kind that is not known; a value that a layer cannot have.
    """
    kind = data.get("kind", "dense")
    if kind not in _READERS:
        raise UserError("unknown kind of layer", where=where, found=kind, choices=sorted(_READERS))
    return _READERS[kind](data)


_WEIGHTED_TYPES = ("weight", "bias", "accum", "result")
_SETTINGS = ("activation", "reuse_factor", "strategy", "normalisation", "dropout", "sparsity")
_IMAGE = ("in_height", "in_width", "in_channels")
_DENSE_PLAIN = ("n_in", "n_out", *_SETTINGS)
_CONV_PLAIN = (*_IMAGE, "filters", "kernel_height", "kernel_width", "padding", "depthwise", *_SETTINGS)
_POOL_PLAIN = (*_IMAGE, "pool_height", "pool_width", "pooling")
_MERGE_PLAIN = ("merge", "input_widths", "activation", "channels")


def _at_least_one(layer: Layer, *names: str) -> None:
    for name in names:
        if getattr(layer, name) < 1:
            raise UserError(f"{name} of a {layer.kind} layer is at least 1", found=getattr(layer, name))


def _check_weighted(layer: Weighted) -> None:
    if layer.activation not in ACTIVATIONS:
        raise UserError("unknown activation", found=layer.activation, choices=ACTIVATIONS)
    if layer.strategy not in STRATEGIES:
        raise UserError("unknown HLS strategy", found=layer.strategy, choices=STRATEGIES)
    if layer.normalisation not in NORMALISATIONS:
        raise UserError("unknown normalisation", found=layer.normalisation, choices=NORMALISATIONS)


def _check_count(layer: Layer, wanted: int) -> None:
    allowed = (0, wanted) if wanted == 1 else (wanted,)
    if len(layer.inputs) not in allowed:
        raise UserError(f"a {layer.kind} layer takes {wanted} input(s)", found=list(layer.inputs))


def _exact_sum(layer: Weighted, source: FixedType, count: int) -> FixedType:
    fraction = source.fraction + layer.weight.fraction
    integer = source.integer + layer.weight.integer + max(0, math.ceil(math.log2(count)))
    if layer.bias is not None:
        fraction = max(fraction, layer.bias.fraction)
        integer = max(integer, layer.bias.integer) + 1
    return FixedType(integer + fraction, integer)


def _to_json(layer: Layer, plain: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
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


def _fields(data: Mapping[str, Any], plain: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    fields = {name: data[name] for name in (*plain, "inputs") if name in data}
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return fields | {name: None if data.get(name) is None else FixedType.parse(data[name]) for name in types}
