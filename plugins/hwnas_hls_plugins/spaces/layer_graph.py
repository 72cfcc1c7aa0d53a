"""A graph of layers under construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from hwnas_hls.network.architecture import INPUT, Architecture, Layer, Merge
from hwnas_hls.network.precision import FixedType

#: (height, width, channels).
Shape = tuple[int, int, int]


class End(NamedTuple):
    """The output of a layer, or the network's input.

    Args:
        number: number of the layer; ``INPUT`` for the input.
        width: number of values.
        kind: type of the values.
        shape: of an image.
    """

    number: int
    width: int
    kind: FixedType
    shape: Shape | None = None


class LayerGraph:
    """The layers so far.

    Args:
        kind: type of the inputs.
        width: number of inputs.
        shape: of an image.
    """

    def __init__(self, kind: FixedType, width: int, shape: Shape | None = None) -> None:
        self.input = End(INPUT, width, kind, shape)
        self._layers: list[Layer] = []
        self._sources: list[Sequence[End]] = []

    def add(self, layer: Layer, sources: Sequence[End], shape: Shape | None = None) -> End:
        """Append ``layer`` with the given sources.

        Args:
            shape: shape of its output, if that is an image.
        """
        self._layers.append(layer)
        self._sources.append(sources)
        kind = layer.output_type(*[source.kind for source in sources])
        return End(len(self._layers) - 1, layer.n_out, kind, shape)

    def merge(
        self, how: str, first: End, second: End, activation: str = "linear", result: FixedType | None = None
    ) -> End:
        """Add or concatenate two outputs; images along their channels."""
        shape, channels = first.shape, None
        if how == "concatenate" and first.shape is not None and second.shape is not None:
            channels = (first.shape[2], second.shape[2])
            shape = (*first.shape[:2], sum(channels))
        merge = Merge(
            how, (first.width, second.width), (first.number, second.number), activation, result, channels
        )
        return self.add(merge, (first, second), shape)

    def architecture(
        self, clock_ns: float | None, kept_adders: float = 1.0, narrow_features: bool = False
    ) -> Architecture:
        """The network; in a chain, layers have implicit inputs."""
        layers = self._layers
        if any(
            len(sources) > 1 or sources[0].number != number - 1
            for number, sources in enumerate(self._sources)
        ):
            layers = [
                replace(layer, inputs=tuple(source.number for source in sources))
                for layer, sources in zip(layers, self._sources, strict=True)
            ]
        return Architecture(
            self.input.kind,
            tuple(layers),
            clock_ns,
            kept_adders=kept_adders,
            narrow_features=narrow_features,
        )


def summand(result: FixedType) -> FixedType:
    """The type of a summand of a result of type ``result``: same grid, twice the range, signed."""
    more = 1 + (not result.signed)
    return replace(result, width=result.width + more, integer=result.integer + more, signed=True)
