"""Builds networks from cells of dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.network.precision import FixedType
from hwnas_hls.values.candidate import Value
from hwnas_hls_plugins.spaces.cell_table import CellTable, Operation
from hwnas_hls_plugins.spaces.layer_graph import End, LayerGraph, Shape, summand
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT, DenseProperties
from hwnas_hls_plugins.spaces.layer_settings import HARD_TANH


class CellNetwork:
    """A network of cells under construction.

    Args:
        table: the knobs.
        values: values of the knobs.
        n_in: number of inputs.
        image: shape of the inputs, if they are an image.

    Attributes:
        shapes: tag -> (n_in, n_out) of every layer with that tag's settings.
        misfits: tags of operations whose skip is impossible because of its shape and was dropped.
    """

    def __init__(
        self, table: CellTable, values: Mapping[str, Value], n_in: int, image: Shape | None = None
    ) -> None:
        self.table, self.values = table, values
        inputs = FixedType(self._of("input_bits"), self._of("input_integer"))
        self.graph = LayerGraph(inputs, n_in, image)
        self.shapes: dict[str, list[tuple[int, int]]] = {}
        self.misfits: set[str] = set()

    def _of(self, family: str, tag: str = "") -> Any:
        return self.table.value(self.values, family, tag)

    @property
    def large(self) -> list[str]:
        """Tags of unrolled layers that are too large to unroll."""
        return [
            tag
            for tag, shapes in self.shapes.items()
            if max(n_in * n_out for n_in, n_out in shapes) >= UNROLL_LIMIT
            and not self.table.shared(self.values, tag)
        ]

    def dense(
        self,
        tag: str,
        end: End,
        n_out: int,
        activation: str = "linear",
        result: FixedType | None = None,
    ) -> End:
        """Append a dense layer with the settings of ``tag``."""
        self.shapes.setdefault(tag, []).append((end.width, n_out))
        last = tag == OUTPUT
        wanted = DenseProperties(
            end.width,
            n_out,
            end.kind,
            activation,
            result,
            bool(self._of("use_bias")),
            "none" if last else self._of("normalisation", tag),
            0.0 if last else self._of("dropout"),
        )
        return self.graph.add(self.table.dense(self.values, tag, wanted), (end,))

    def cell(self, end: End, width: int, kind: str = "") -> End:
        """Append the cell ``kind``, whose operations have ``width`` neurons by default."""
        ends = [end]
        for operation in self.table.operations(self.values, kind):
            source, other = ends[operation.source], ends[operation.other]
            ends.append(self._operation(operation, source, other, width))
        return ends[-1]

    def _operation(self, operation: Operation, source: End, other: End, width: int) -> End:
        tag, skip = operation.tag, operation.skip
        asked = str(self._of("activation", tag))
        result = self.table.result_type(self.values, tag, asked)
        activation = "linear" if asked == HARD_TANH else asked
        if operation.op == "identity":
            if skip != "none" and (source == other or (skip == "add" and source.width != other.width)):
                self.misfits.add(tag)
                skip = "none"
            if skip == "add":
                return self.graph.merge("add", source, other, activation, result)
            return self.graph.merge("concatenate", source, other) if skip == "concatenate" else source
        if skip == "add":
            # An operation that is added to another has the same width.
            inner = self.dense(tag, source, other.width, result=summand(result))
            return self.graph.merge("add", inner, other, activation, result)
        inner = self.dense(tag, source, width, asked, result)
        return self.graph.merge("concatenate", inner, other) if skip == "concatenate" else inner
