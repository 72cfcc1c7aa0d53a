"""A design as the graph of hls4ml's nodes, with all settings of each node.

A layer becomes one node, and its activation another; before a dense layer on an image there is a
node that flattens it. hls4ml 1.3 requires a certain order of nodes, and silently rejects or misbuilds
some graphs. These are rejected here with a reason (see ``docs/hls4ml-projects.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.features import hull
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge, Pool2D, Weighted
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Type of the zero array that the firmware has for a layer without biases.
NO_BIAS = FixedType(1, 1, signed=False)
#: Type of the slope of ``leaky_relu``.
SLOPE = FixedType(1, -2, signed=False)

#: (height, width, channels) of an image; ``None`` for a flat tensor.
Image = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One node of hls4ml's graph.

    Args:
        name: its name in hls4ml.
        kind: ``dense``, ``conv2d``, ``pool2d``, ``add``, ``concatenate``, ``relu``, ``leaky_relu``
            or ``flatten`` (which is no call in the firmware).
        number: number of its layer.
        inputs: names of its source nodes, or of the network's input.
        accum: accumulator type of a layer with sums, else ``None``.
        result: type of its outputs.
        image: shape of its outputs.
        taken: shape of its first input.
    """

    name: str
    kind: str
    number: int
    inputs: tuple[str, ...]
    accum: FixedType | None
    result: FixedType
    image: Image
    taken: Image


@dataclass(frozen=True, slots=True, eq=False)
class NodeGraph:
    """A design as hls4ml's graph, built once by :func:`graph_of`.

    Args:
        design: the design.
        input: the network's input; its type has default modes, because inputs are already on the grid and
            da4ml rejects a saturating input.
        nodes: in the order of the firmware's calls.
    """

    design: Design
    input: Node
    nodes: tuple[Node, ...]

    @property
    def calls(self) -> tuple[Node, ...]:
        """The nodes with a call in the firmware."""
        return tuple(node for node in self.nodes if node.kind != "flatten")

    @property
    def flattened(self) -> dict[str, str]:
        """Name of each node that flattens an image -> its source."""
        return {node.name: node.inputs[0] for node in self.nodes if node.kind == "flatten"}

    def layer(self, node: Node) -> Layer:
        """The layer of a node."""
        return self.design.architecture.layers[node.number]


def _input_shape(architecture: Architecture) -> Image:
    """The image shape of the network's input, if convolutions or poolings read it.

    Raises:
        Unsupported: they require different shapes.
    """
    shapes = {
        (layer.in_height, layer.in_width, layer.in_channels)
        for number, layer in enumerate(architecture.layers)
        if isinstance(layer, Conv2D | Pool2D) and INPUT in architecture.sources(number)
    }
    if len(shapes) > 1:
        raise Unsupported(f"the network's input is read as images of several shapes: {sorted(shapes)}")
    return shapes.pop() if shapes else None


def graph_of(design: Design) -> NodeGraph:
    """The graph of a design.

    Raises:
        Unsupported: an activation that goes through a table, or a graph that hls4ml cannot build
            or builds wrongly.
    """
    built = _Builder(design)
    return NodeGraph(design, built.input, tuple(built.nodes))


def uses_dataflow(architecture: Architecture) -> bool:
    """Whether hls4ml builds it as DATAFLOW processes instead of one pipeline."""
    return architecture.io_type == "io_stream" or any(
        (isinstance(layer, Weighted) and layer.strategy == "Resource")
        or (isinstance(layer, Conv2D) and layer.out_height * layer.out_width > 1)
        for layer in architecture.layers
    )


class _Builder:
    def __init__(self, design: Design) -> None:
        architecture, self.design = design.architecture, design
        self.architecture = architecture
        self.types = design.layer_types()
        self.nodes: list[Node] = []
        name = "input_1" if architecture.is_chain else "x"  # the argument of the torch module
        image = _input_shape(architecture)
        self.input = Node(name, "input", INPUT, (), None, architecture.input.plain, image, None)
        #: The last node of each layer, and the node that flattens the image for a dense layer.
        self.last, self.flat = {INPUT: self.input}, dict[int, Node]()
        self.counts: Counter[str] = Counter()
        if not architecture.is_chain and architecture.io_type != "io_parallel":
            raise Unsupported(
                f"a network that is not a chain is built with io_parallel, not with {architecture.io_type}"
            )
        self._flatten(INPUT)
        for number, layer in enumerate(architecture.layers):
            self._layer(number, layer)
            self._flatten(number)

    def _layer(self, number: int, layer: Layer) -> None:
        _, accum, result = self.types[number]
        types = self.design.own_results(number)
        if types and isinstance(layer, Dense):
            # Exact: the cast before the next layer rounds and limits them.
            slope = SLOPE.fraction if layer.activation == "leaky_relu" else 0
            exact = FixedType(accum.width + slope, accum.integer, accum.signed)
            result = hull((exact, hull(types, result).plain), exact)
        activation = "linear" if isinstance(layer, Pool2D) else layer.activation
        if activation not in ("relu", "leaky_relu", "linear"):
            raise Unsupported(
                f"layer {number}: {activation} uses a lookup table in hls4ml, whose values are not "
                "reproduced bit for bit; use relu, leaky_relu or linear",
                kind=ErrorKind.INEXACT,
            )
        given = [self.last[source] for source in self.architecture.sources(number)]
        taken = given[0].image
        if number in self.flat:
            given = [self.flat[number]]
        image = self._image(number, layer, given)
        kind = layer.merge if isinstance(layer, Merge) else layer.kind
        own = result if activation == "linear" else accum
        node = Node(
            self._name(kind, number),
            kind,
            number,
            tuple(node.name for node in given),
            None if isinstance(layer, Merge) else accum,
            own,
            image,
            taken,
        )
        self._add(node)
        if activation != "linear":
            name = self._name("activation", number)
            self._add(Node(name, activation, number, (node.name,), None, result, image, image))

    def _image(self, number: int, layer: Layer, given: Sequence[Node]) -> Image:
        where, shapes = f"layer {number}", [node.image for node in given]
        if isinstance(layer, Dense):
            return None
        if isinstance(layer, Conv2D) and layer.depthwise and layer.strategy == "Resource":
            raise Unsupported(
                f"{where}: hls4ml's torch front end has no depthwise convolutions; they are built as "
                "ordinary ones with zero weights, and Resource would multiply by every zero; use "
                "Latency or distributed_arithmetic"
            )
        if isinstance(layer, Conv2D) and layer.strategy == "Resource":
            rows, _ = layer.matrix_shape
            if layer.reuse_factor > rows:
                raise Unsupported(
                    f"{where}: hls4ml's Resource convolutions compute wrong results if the reuse "
                    f"factor ({layer.reuse_factor}) exceeds window times channels ({rows})"
                )
        if isinstance(layer, Conv2D | Pool2D):
            wanted = (layer.in_height, layer.in_width, layer.in_channels)
            if shapes != [wanted]:
                raise Unsupported(
                    f"{where}: a {layer.kind} layer needs an image of {wanted}; its input is "
                    f"{shapes[0] or 'a flat tensor'} in hls4ml, which would reorder the values"
                )
            channels = layer.filters if isinstance(layer, Conv2D) else layer.in_channels
            return (layer.out_height, layer.out_width, channels)
        if given[0] is given[1]:
            raise Unsupported(f"{where}: hls4ml's torch front end drops one of two equal inputs")
        if layer.merge == "add":
            if shapes[0] != shapes[1]:
                raise Unsupported(
                    f"{where}: hls4ml can only add tensors of the same shape, not {shapes[0]} and {shapes[1]}"
                )
            return shapes[0]
        first, second = shapes
        if layer.channels is None and first is None and second is None:
            return None
        if (
            layer.channels is None
            or first is None
            or second is None
            or first[:2] != second[:2]
            or (first[2], second[2]) != layer.channels
        ):
            raise Unsupported(
                f"{where}: images must be concatenated along their channels, flat tensors end to end; not "
                f"{first} and {second} with channels {layer.channels}"
            )
        return (first[0], first[1], first[2] + second[2])

    def _flatten(self, number: int) -> None:
        """Flatten an image for a dense layer, before any other node reads the image.

        hls4ml inserts a transposition before the first reader of the image, whichever node it is for,
        and can move it into the weights of one dense layer only.
        """
        image = self.last[number].image
        if image is None:
            return
        architecture = self.architecture
        takers = [
            taker
            for taker, layer in enumerate(architecture.layers)
            if isinstance(layer, Dense) and number in architecture.sources(taker)
        ]
        if len(takers) > 1:
            raise Unsupported(
                f"the dense layers {', '.join(map(str, takers))} read the same image: hls4ml puts its "
                "values in the right order for one of them only"
            )
        for taker in takers:
            source = self.last[number]
            name, result = f"layer{taker}_flat", source.result.plain
            self.flat[taker] = Node(name, "flatten", taker, (source.name,), None, result, None, image)
            self.nodes.append(self.flat[taker])

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self.last[node.number] = node

    def _name(self, kind: str, number: int) -> str:
        """The torch.fx name of the origin of a node."""
        if self.architecture.is_chain:
            return f"_{len(self.nodes)}"
        function = {"add": "add", "concatenate": "cat"}.get(kind)
        if function is None:
            return f"layer{number}" + ("_act" if kind == "activation" else "")
        count = self.counts[function]
        self.counts[function] += 1
        return f"{function}_{count}" if count else function


def kernel(design: Design, number: int) -> NDArray[np.int64]:
    """The weights for hls4ml; those of a depthwise convolution as an ordinary one."""
    import numpy as np

    layer, weight = design.architecture.layers[number], design.weights[number]
    if weight is None:
        raise Unsupported(f"layer {number} has no weights")
    if isinstance(layer, Conv2D) and layer.depthwise:
        return weight * np.eye(layer.filters, dtype=np.int64)
    return weight
