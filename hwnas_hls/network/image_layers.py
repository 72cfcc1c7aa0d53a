"""Image layers: convolution and pooling. A time series is an image of height 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.network.fields import (
    PADDINGS,
    POOLINGS,
    SETTINGS,
    WEIGHTED_TYPES,
    at_least_one,
    check_count,
    check_weighted,
    fields_from_json,
    fields_to_json,
)
from hwnas_hls.network.precision import FixedType, exact_sum

_IMAGE = ("in_height", "in_width", "in_channels")
_CONV_PLAIN = (*_IMAGE, "filters", "kernel_height", "kernel_width", "padding", "depthwise", *SETTINGS)
_POOL_PLAIN = (*_IMAGE, "pool_height", "pool_width", "pooling")


@dataclass(frozen=True, slots=True)
class Conv2D:
    """A two-dimensional convolution, stride 1, with its activation; a time series has height 1.

    Images are flat arrays, channels last: index ``(row * in_width + column) * channels + channel``.

    Args:
        in_height, in_width, in_channels: shape of its input.
        filters: number of output channels; ``in_channels`` for a depthwise convolution.
        kernel_height, kernel_width: size of the window.
        padding: ``same`` (zero padding, same size; odd kernels only) or ``valid``.
        depthwise: whether each channel has its own kernel and does not use other channels.
        Other arguments: as in :class:`Dense`.
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
        at_least_one(
            self,
            "in_height",
            "in_width",
            "in_channels",
            "filters",
            "kernel_height",
            "kernel_width",
            "reuse_factor",
        )
        check_weighted(self)
        check_count(self, 1)
        if self.padding not in PADDINGS:
            raise UserError("unknown padding", found=self.padding, choices=PADDINGS)
        if self.padding == "same" and not (self.kernel_height % 2 and self.kernel_width % 2):
            raise UserError(
                "padding same needs a kernel of odd size", found=f"{self.kernel_height} x {self.kernel_width}"
            )
        if self.out_height < 1 or self.out_width < 1:
            raise UserError(
                "the kernel is larger than the image",
                found=f"{self.kernel_height} x {self.kernel_width} on {self.in_height} x {self.in_width}",
            )
        if self.depthwise and self.filters != self.in_channels:
            raise UserError(
                "a depthwise convolution must have as many filters as channels",
                found=f"{self.filters} filters, {self.in_channels} channels",
            )

    @property
    def margins(self) -> tuple[int, int]:
        """Zero rows above (and below) the image, and zero columns left (and right) of it."""
        return (self.kernel_height // 2, self.kernel_width // 2) if self.padding == "same" else (0, 0)

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
        """Number of products per inference, including those with padded zeros."""
        return self.out_height * self.out_width * math.prod(self.weight_shape)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, columns) of the matrix that hls4ml multiplies by, once per position of the window.

        A depthwise convolution is built as an ordinary one with zeros for the other weights.
        """
        return (self.kernel_height * self.kernel_width * self.in_channels, self.filters)

    def exact_accum(self, source: FixedType) -> FixedType:
        """The type that holds every partial sum for *any* weights of this layer."""
        return exact_sum(source, self.weight, self.bias, math.prod(self.weight_shape[:3]))

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        return self.result or self.accum or self.exact_accum(source)

    def to_json(self) -> dict[str, Any]:
        return fields_to_json(self, _CONV_PLAIN, WEIGHTED_TYPES)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conv2D:
        return cls(**fields_from_json(data, _CONV_PLAIN, WEIGHTED_TYPES))


@dataclass(frozen=True, slots=True)
class Pool2D:
    """Pooling over windows that do not overlap; incomplete windows at the edges are dropped.

    Args:
        in_height, in_width, in_channels: shape of its input, flat as in :class:`Conv2D`.
        pool_height, pool_width: size of a window, and the stride.
        pooling: ``max`` or ``average``.
        result: type of the outputs; ``None`` means the input type (``max``), or the narrowest type that
            represents every average exactly (only for windows whose size is a power of two).
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
        at_least_one(self, "in_height", "in_width", "in_channels", "pool_height", "pool_width")
        check_count(self, 1)
        if self.pooling not in POOLINGS:
            raise UserError("unknown pooling", found=self.pooling, choices=POOLINGS)
        if self.out_height < 1 or self.out_width < 1:
            raise UserError(
                "the window is larger than the image",
                found=f"{self.pool_height} x {self.pool_width} on {self.in_height} x {self.in_width}",
            )
        if self.pooling == "average" and self.window & (self.window - 1):
            raise UserError(
                "the window of an average must contain a power of two of values", found=self.window
            )

    @property
    def window(self) -> int:
        """Number of values per window."""
        return self.pool_height * self.pool_width

    @property
    def out_height(self) -> int:
        return self.in_height // self.pool_height

    @property
    def out_width(self) -> int:
        return self.in_width // self.pool_width

    @property
    def activation(self) -> str:
        """Always ``linear``: hls4ml builds none after a pooling."""
        return "linear"

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
        """The type that represents the sum of a window and its average, or the largest value, exactly."""
        if self.pooling == "max":
            return source.plain
        more = self.window.bit_length() - 1
        return FixedType(source.width + 2 * more, source.integer + more, source.signed)

    def output_type(self, source: FixedType, *_: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        if self.result is not None or self.pooling == "max":
            return self.result or source.plain
        return FixedType(source.width + self.window.bit_length() - 1, source.integer, source.signed)

    def to_json(self) -> dict[str, Any]:
        return fields_to_json(self, _POOL_PLAIN, ("result",))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pool2D:
        return cls(**fields_from_json(data, _POOL_PLAIN, ("result",)))
