"""The layer list that trainers, predictors, the emulator and exporters share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.precision import FixedType

ACTIVATIONS = ("relu", "linear", "tanh", "sigmoid", "softmax")
STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")
NORMALISATIONS = ("none", "batch")


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
    kind: str = field(default="dense", init=False)

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out", "reuse_factor"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of a dense layer is at least 1", found=getattr(self, name))
        if self.activation not in ACTIVATIONS:
            raise UserError("unknown activation", found=self.activation, choices=ACTIVATIONS)
        if self.strategy not in STRATEGIES:
            raise UserError("unknown HLS strategy", found=self.strategy, choices=STRATEGIES)
        if self.normalisation not in NORMALISATIONS:
            raise UserError("unknown normalisation", found=self.normalisation, choices=NORMALISATIONS)

    @property
    def n_products(self) -> int:
        return self.n_in * self.n_out

    def exact_accum(self, source: FixedType) -> FixedType:
        """The type that holds every partial sum for *any* weights of this layer.

        Args:
            source: type of the layer's input.
        """
        fraction = source.fraction + self.weight.fraction
        product_integer = source.integer + self.weight.integer
        integer = product_integer + max(0, math.ceil(math.log2(self.n_in)))
        if self.bias is not None:
            fraction = max(fraction, self.bias.fraction)
            integer = max(integer, self.bias.integer) + 1
        return FixedType(integer + fraction, integer)

    def output_type(self, source: FixedType) -> FixedType:
        """The type this layer hands to the next one."""
        if self.result is not None:
            return self.result
        return self.accum or self.exact_accum(source)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"kind": self.kind}
        for name in _PLAIN:
            out[name] = getattr(self, name)
        for name in _TYPES:
            value = getattr(self, name)
            out[name] = None if value is None else str(value)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dense:
        fields = {name: data[name] for name in _PLAIN if name in data}
        fields |= {name: None if data.get(name) is None else FixedType.parse(data[name]) for name in _TYPES}
        return cls(**fields)


_PLAIN = (
    "n_in",
    "n_out",
    "activation",
    "reuse_factor",
    "strategy",
    "normalisation",
    "dropout",
    "sparsity",
)
_TYPES = ("weight", "bias", "accum", "result")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network as hardware: input type, layers from input to output, clock.

    Args:
        input: type of the inputs; the host rounds and limits them onto its grid.
        layers: at least one; widths must fit together.
        clock_ns: target clock period in ns; ``None`` takes the target's default.
        io_type: hls4ml's ``io_parallel`` or ``io_stream``.
    """

    input: FixedType
    layers: tuple[Dense, ...]
    clock_ns: float | None = None
    io_type: str = "io_parallel"

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("an architecture has at least one layer")
        for number, (layer, following) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if layer.n_out != following.n_in:
                raise UserError(
                    f"layer {number} has {layer.n_out} outputs, layer {number + 1} takes {following.n_in}"
                )

    @property
    def n_in(self) -> int:
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @property
    def shape(self) -> str:
        """For example ``16-64-32-32-5``."""
        return "-".join(str(width) for width in (self.n_in, *(layer.n_out for layer in self.layers)))

    def layer_inputs(self) -> Iterable[tuple[FixedType, Dense]]:
        """Each layer with the type of its input."""
        source = self.input
        for layer in self.layers:
            yield source, layer
            source = layer.output_type(source)

    def to_json(self) -> dict[str, Any]:
        return {
            "input": str(self.input),
            "clock_ns": self.clock_ns,
            "io_type": self.io_type,
            "layers": [layer.to_json() for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        layers = []
        for number, layer in enumerate(data["layers"]):
            if layer.get("kind", "dense") != "dense":
                raise UserError(
                    "unknown kind of layer", where=f"layer {number}", found=layer["kind"], choices=["dense"]
                )
            layers.append(Dense.from_json(layer))
        return cls(
            input=FixedType.parse(data["input"]),
            layers=tuple(layers),
            clock_ns=data.get("clock_ns"),
            io_type=data.get("io_type", "io_parallel"),
        )


def as_architecture(value: object) -> Architecture:
    """What a space's ``architecture`` may hand over: an :class:`Architecture`, its JSON form, or a
    plain list of layers, whose inputs then have hls4ml's default type ``ap_fixed<16,6>``.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, Architecture):
        return value
    if isinstance(value, Mapping) and "layers" in value:
        return Architecture.from_json({"input": str(_DEFAULT_INPUT), **value})
    if isinstance(value, list | tuple) and all(isinstance(layer, Dense | Mapping) for layer in value):
        layers = [layer if isinstance(layer, Dense) else Dense.from_json(layer) for layer in value]
        return Architecture(_DEFAULT_INPUT, tuple(layers))
    raise UserError(
        "a space's architecture is an Architecture or a list of layers", found=type(value).__name__
    )


_DEFAULT_INPUT = FixedType(16, 6)
