"""The graph of layers that trainers, predictors, the emulator and exporters share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.network.fields import HlsStrategy
from hwnas_hls.network.input_words import InputScaling
from hwnas_hls.network.layers import (
    ACTIVATIONS,
    INPUT,
    NORMALISATIONS,
    STRATEGIES,
    Conv2D,
    Dense,
    Layer,
    Merge,
    Pool2D,
    Weighted,
    layer_from_json,
)
from hwnas_hls.network.precision import FixedType

__all__ = [
    "ACTIVATIONS",
    "INPUT",
    "NORMALISATIONS",
    "STRATEGIES",
    "Architecture",
    "Conv2D",
    "Dense",
    "Layer",
    "LayerTypes",
    "Merge",
    "Pool2D",
    "as_architecture",
]

#: The types of a layer's input, its accumulator and its result.
LayerTypes = tuple[FixedType, FixedType, FixedType]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network as hardware: input type, layers from input to output, clock.

    Most networks are *chains*: dense layers one after the other (:attr:`chain`). Others are graphs
    whose layers name their inputs.

    Args:
        input: type of the inputs; the host rounds and saturates them to its grid.
        layers: at least one, each after its sources; widths must match. The last layer is the output,
            and every other layer must reach it.
        clock_ns: target clock period in ns; ``None`` means the target's default.
        io_type: hls4ml's ``io_parallel`` or ``io_stream``.
        kept_adders: share of the adders (signed digits of the weights) that training keeps; 1 keeps all.
            The sparsity of the layers is then only an expectation.
        narrow_features: whether training may take bits of single input features and drop whole features;
            the types that remain belong to the design. Only chains of distributed arithmetic allow it.
        scaling: of raw words, where layer 0 computes it (:mod:`hwnas_hls.network.scaling`); ``None``: the
            host scales and rounds the inputs.
    """

    input: FixedType
    layers: tuple[Layer, ...]
    clock_ns: float | None = None
    io_type: str = "io_parallel"
    kept_adders: float = 1.0
    narrow_features: bool = False
    scaling: InputScaling | None = None
    _chain: tuple[Dense, ...] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("an architecture needs at least one layer", kind=ErrorKind.MISSING)
        if not 0 < self.kept_adders <= 1:
            raise UserError("kept_adders must be above 0 and at most 1", found=self.kept_adders)
        if self.scaling is not None:
            first, n_in = self.layers[0], len(self.scaling.words)
            if not isinstance(first, Dense) or (first.n_in, first.n_out) != (n_in, n_in):
                raise UserError(
                    f"the first layer does not scale {n_in} features", found=first, kind=ErrorKind.MISMATCH
                )
        straight = chain = True
        for number, layer in enumerate(self.layers):
            if layer.inputs and layer.inputs != (number - 1,):
                straight = False
            if not isinstance(layer, Dense):
                chain = False
        object.__setattr__(self, "_chain", self.layers if straight and chain else None)
        if straight:
            self._check_widths()
        else:
            self._check_graph()

    def _check_widths(self) -> None:
        given = self.layers[0].n_out
        for number, layer in enumerate(self.layers[1:], 1):
            wanted = layer.input_widths[0]
            if given != wanted:
                raise UserError(
                    f"layer {number - 1} has {given} outputs, layer {number} takes {wanted}",
                    kind=ErrorKind.MISMATCH,
                )
            given = layer.n_out

    def _check_graph(self) -> None:
        taken: set[int] = set()
        for number in range(len(self.layers)):
            for source, wanted in zip(self.sources(number), self.layers[number].input_widths, strict=True):
                if not INPUT <= source < number:
                    raise UserError(
                        f"layer {number} must take its inputs from earlier layers or {INPUT} (the input)",
                        found=source,
                    )
                given = self.n_in if source == INPUT else self.layers[source].n_out
                if given != wanted:
                    name = "the input" if source == INPUT else f"layer {source}"
                    raise UserError(
                        f"{name} has {given} values, layer {number} takes {wanted}", kind=ErrorKind.MISMATCH
                    )
                taken.add(source)
        for number in range(len(self.layers) - 1):
            if number not in taken:
                raise UserError(f"layer {number} does not reach the output")

    @property
    def is_chain(self) -> bool:
        """Whether it consists of dense layers in sequence only."""
        return self._chain is not None

    @property
    def chain(self) -> tuple[Dense, ...]:
        """The layers of a chain.

        Raises:
            Unsupported: it is not a chain; the caller supports chains only.
        """
        if self._chain is None:
            raise Unsupported(f"only chains of dense layers are supported here, not {self.shape}")
        return self._chain

    @property
    def allows_feature_types(self) -> bool:
        """Whether single input features and hidden neurons may have types of their own.

        They may in a chain whose layers all use distributed arithmetic and read all inputs at once: what
        hls4ml and the writers of RTL build for it agrees bit for bit.
        """
        return (
            self.io_type == "io_parallel"
            and self._chain is not None
            and all(layer.strategy == HlsStrategy.DISTRIBUTED_ARITHMETIC for layer in self._chain)
        )

    @property
    def n_in(self) -> int:
        return self.layers[0].input_widths[0]

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @property
    def shape(self) -> str:
        """The widths, for example ``16-64-32-32-5``; the width of a non-dense layer follows its kind.

        The scaling of raw words is left out.
        """
        parts = [str(self.n_in)]
        for layer in self.layers[1 if self.scaling is not None else 0 :]:
            parts.append(f"{'' if isinstance(layer, Dense) else _mark(layer)}{layer.n_out}")
        return "-".join(parts)

    def sources(self, number: int) -> tuple[int, ...]:
        """The sources of layer ``number``: numbers of layers, or :data:`INPUT`."""
        return self.layers[number].inputs or (number - 1,)

    def output_types(self) -> tuple[FixedType, ...]:
        """The output type of each layer, derived from the types (weights may allow narrower ones)."""
        return tuple(result for *_, result in self.layer_types())

    def layer_types(
        self, accum_of: Callable[[int, Dense | Conv2D, FixedType], FixedType] | None = None
    ) -> tuple[LayerTypes, ...]:
        """The types of each layer.

        For a merge, the input is the first one (:meth:`sources` gives the other), and the accumulator is
        the input of the activation. For a pooling, it is the type of the window's sum.

        Args:
            accum_of: gives the accumulator of a layer with weights that states none, from its number, the
                layer and the type of its input; by default one that holds the sums of any weights.
        """
        out: list[LayerTypes] = []
        results = {INPUT: self.input}
        for number, layer in enumerate(self.layers):
            given = [results[source] for source in self.sources(number)]
            if isinstance(layer, Weighted):
                accum = layer.accum
                if accum is None:
                    accum = accum_of(number, layer, given[0]) if accum_of else layer.exact_accum(given[0])
                result = layer.result or accum
            else:
                accum, result = layer.exact_accum(*given), layer.output_type(*given)
            results[number] = result
            out.append((given[0], accum, result))
        return tuple(out)

    def layer_inputs(self) -> Iterable[tuple[FixedType, Dense]]:
        """Each layer of a chain with the type of its input.

        Raises:
            Unsupported: it is not a chain.
        """
        source = self.input
        for layer in self.chain:
            yield source, layer
            source = layer.output_type(source)

    def to_json(self) -> dict[str, Any]:
        return {
            "input": str(self.input),
            "clock_ns": self.clock_ns,
            "io_type": self.io_type,
            # Omit the default value, so existing keys stay the same.
            **({"kept_adders": self.kept_adders} if self.kept_adders < 1 else {}),
            **({"narrow_features": True} if self.narrow_features else {}),
            **({"scaling": self.scaling.to_json()} if self.scaling is not None else {}),
            "layers": [layer.to_json() for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        return cls(
            input=FixedType.parse(data["input"]),
            layers=tuple(
                layer_from_json(layer, f"layer {number}") for number, layer in enumerate(data["layers"])
            ),
            clock_ns=data.get("clock_ns"),
            io_type=data.get("io_type", "io_parallel"),
            kept_adders=data.get("kept_adders", 1.0),
            narrow_features=data.get("narrow_features", False),
            scaling=InputScaling.from_json(data["scaling"]) if data.get("scaling") else None,
        )


def _mark(layer: Layer) -> str:
    if isinstance(layer, Merge):
        return "add" if layer.merge == "add" else "cat"
    if isinstance(layer, Pool2D):
        return layer.pooling[:3]
    return "dw" if isinstance(layer, Conv2D) and layer.depthwise else "conv"


def as_architecture(value: object) -> Architecture:
    """What a space's ``architecture`` may return: an :class:`Architecture`, its JSON form, or a
    plain list of layers, whose inputs then have hls4ml's default type ``ap_fixed<16,6>``.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, Architecture):
        return value
    if isinstance(value, Mapping) and "layers" in value:
        return Architecture.from_json({"input": str(_DEFAULT_INPUT), **value})
    if isinstance(value, list | tuple) and all(isinstance(layer, Layer | Mapping) for layer in value):
        layers = [
            layer_from_json(layer, f"layer {number}") if isinstance(layer, Mapping) else layer
            for number, layer in enumerate(value)
        ]
        return Architecture(_DEFAULT_INPUT, tuple(layers))
    raise UserError(
        "architecture() of a space must return an Architecture or a list of layers",
        found=type(value).__name__,
        kind=ErrorKind.WRONG_FORMAT,
    )


_DEFAULT_INPUT = FixedType(16, 6)
