"""The space of convolutional networks that repeat one small cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Conv2D, Pool2D
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.values.candidate import Value
from hwnas_hls_plugins.spaces.cell import CellNetworkSpace
from hwnas_hls_plugins.spaces.cell_builder import CellNetwork
from hwnas_hls_plugins.spaces.cell_table import CellTable, Operation
from hwnas_hls_plugins.spaces.conv_cell_config import CONVOLUTIONS, POOLS, ConvCellConfig
from hwnas_hls_plugins.spaces.layer_graph import End, Shape, summand
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT, bias_type
from hwnas_hls_plugins.spaces.layer_settings import HARD_TANH

if TYPE_CHECKING:
    from hwnas_hls.protocols.task import Dataset

#: Tag of the hidden layer after the cells.
HEAD = "head"


class ConvCellNetwork(CellNetwork):
    """A network of convolutional cells under construction; the ``width`` of a cell is its filters.

    Args:
        image: shape of the inputs.
    """

    def __init__(self, table: CellTable, values: Mapping[str, Value], image: Shape) -> None:
        super().__init__(table, values, math.prod(image), image)

    def _operation(self, operation: Operation, source: End, other: End, width: int) -> End:
        tag, skip = operation.tag, operation.skip
        asked = str(self._of("activation", tag))
        result = self.table.result_type(self.values, tag, asked)
        activation = "linear" if asked == HARD_TANH else asked
        if operation.op in CONVOLUTIONS:
            fits = _image(source)[:2] == _image(other)[:2]
            if operation.op == "depthwise3" and skip == "add":
                fits = fits and _image(source) == _image(other)
            if skip != "none" and not fits:
                self.misfits.add(tag)
                skip = "none"
            if skip == "add":
                # An operation that is added to another has the same channels.
                inner = self._convolution(operation, source, _image(other)[2], "linear", summand(result))
                return self.graph.merge("add", inner, other, activation, result)
            inner = self._convolution(operation, source, width, activation, result)
            return self.graph.merge("concatenate", inner, other) if skip == "concatenate" else inner
        end = self._pooled(operation.op, source, 2) if operation.op in POOLS else source
        if skip == "none":
            return end
        same = end.shape == other.shape if skip == "add" else _image(end)[:2] == _image(other)[:2]
        if end == other or not same:
            self.misfits.add(tag)
            return end
        if skip == "add":
            return self.graph.merge("add", end, other, activation, result)
        return self.graph.merge("concatenate", end, other)

    def _convolution(
        self, operation: Operation, source: End, filters: int, activation: str, result: FixedType
    ) -> End:
        height, width, channels = _image(source)
        side = CONVOLUTIONS[operation.op]
        window = (side if height > 1 else 1, side if width > 1 else 1)
        depthwise = operation.op == "depthwise3"
        filters = channels if depthwise else filters
        # hls4ml builds a depthwise convolution as an ordinary one with zeros between the channels.
        self.shapes.setdefault(operation.tag, []).append((math.prod(window) * channels, filters))
        normalisation = self._of("normalisation", operation.tag)
        weight = self.table.weight_type(self.values, operation.tag)
        bias = None
        if self._of("use_bias") or normalisation == "batch":
            seen = 1 if depthwise else channels
            bias = bias_type(math.prod(window) * seen, source.kind, weight, result)
        layer = Conv2D(
            height,
            width,
            channels,
            filters,
            *window,
            activation,
            weight,
            bias,
            result=result,
            depthwise=depthwise,
            strategy=self._of("strategy", operation.tag),
            normalisation=normalisation,
            dropout=self._of("dropout"),
            sparsity=self._of("sparsity", operation.tag),
        )
        return self.graph.add(layer, (source,), (height, width, filters))

    def _pooled(self, pooling: str, source: End, side: int) -> End:
        """Pooling with windows of ``side``, at most the size of the image."""
        height, width, channels = _image(source)
        window = [2 ** int(math.log2(min(side, size))) for size in (height, width)]
        if window == [1, 1]:
            return source
        layer = Pool2D(height, width, channels, window[0], window[1], pooling)
        return self.graph.add(layer, (source,), (layer.out_height, layer.out_width, channels))

    def head(self, end: End, n_out: int) -> None:
        """Append the layers after the cells."""
        end = self._pooled("average", end, int(self._of("head_pool")))
        hidden = int(self._of("head_width"))
        if hidden:
            activation = str(self._of("activation", HEAD))
            result = self.table.result_type(self.values, HEAD, activation)
            end = self.dense(HEAD, end, hidden, activation, result)
        self.dense(OUTPUT, end, n_out)


def _image(end: End) -> Shape:
    if end.shape is None:
        raise TypeError("not an image")
    return end.shape


class ConvCellSpace(CellNetworkSpace):
    """A repeated cell of a few convolutions and poolings, followed by dense layers: for each operation
    its kind, source, skip (addition or concatenation), activation, normalisation, precision and HLS
    settings.

    Args:
        config: settings.
        task: determines the shape of the inputs and the number of outputs.
        synthesizer: of the run; determines the HLS strategies unless the config sets them.

    Raises:
        UserError: the shape of the inputs is unknown, or a layer is too large to unroll for all numbers
            of filters.
    """

    name = "conv-cell"
    Config = ConvCellConfig
    config: ConvCellConfig

    def __init__(self, config: ConvCellConfig, task: Dataset, synthesizer: Synthesizer | None = None) -> None:
        super().__init__(config, task, synthesizer)
        self.image = _shape(config, task)
        unrolled = tuple(strategy for strategy in self.strategies if strategy != "Resource") or ("Latency",)
        weighted = tuple(name for name in config.operations if name in CONVOLUTIONS)
        table = CellTable(config, unrolled, config.operations, weighted)
        table.fill(table.knob("cells", range(1, config.max_cells + 1), "number of repetitions of the cell"))
        table.fill(
            table.knob("filters", config.filters, "filters of a convolution that is not added to another")
        )
        table.fill(
            table.knob(
                "head_pool", config.head_pools, "side of the average-pooling window after the last cell"
            )
        )
        table.fill(table.knob("head_width", config.head_widths, "neurons of a hidden layer; 0: no layer"))
        table.fill(table.inputs())
        table.fill(table.cell())
        hidden = tuple(width for width in config.head_widths if width > 0)
        if hidden:
            exists = ("head_width", hidden) if len(hidden) < len(config.head_widths) else None
            table.fill(table.layer(HEAD, exists, exists, "a hidden layer", self.strategies))
        table.fill(table.hardware(OUTPUT, None, self.strategies))
        self._take(table)

    def network(self, values: Mapping[str, Value]) -> ConvCellNetwork:
        network = ConvCellNetwork(self._table, values, self.image)
        end = network.graph.input
        for _ in range(self._table.value(values, "cells")):
            end = network.cell(end, int(self._table.value(values, "filters")))
        network.head(end, self.n_out)
        return network

    def shareable(self, tag: str) -> bool:
        return tag in (HEAD, OUTPUT) and "Resource" in self.strategies

    def shrink(self, values: dict[str, Value], tag: str) -> bool:
        table = self._table
        if tag in (HEAD, OUTPUT):
            pool = values.get("head_pool")
            if pool is not None and pool != table.knobs["head_pool"].choices[-1]:
                choices = table.knobs["head_pool"].choices
                values["head_pool"] = choices[choices.index(pool) + 1]
                return True
            smallest = min(width for width in self.config.head_widths)
            if values.get("head_width", 0) not in (smallest, 0) and table.lower(values, "head_width"):
                return True
        return table.lower(values, "filters") or self.separate_last(values)


def _shape(config: ConvCellConfig, task: Dataset) -> Shape:
    given = config.image or task.input_shape
    if not given:
        raise UserError(
            "convolutions need the shape of the inputs, which the task does not give",
            where="space conv-cell",
            found=f"{task.n_in} inputs without a shape",
            remedy="set image = [height, width, channels] in [space] or [task]; a time series has height 1",
            kind=ErrorKind.MISSING,
        )
    height, width, channels = given
    if height * width * channels != task.n_in:
        raise UserError(
            "the image shape does not match the number of inputs",
            where="space conv-cell: image",
            found=f"{height} x {width} x {channels} = {height * width * channels}, {task.n_in} inputs",
            kind=ErrorKind.MISMATCH,
        )
    return height, width, channels
