"""The space of networks that repeat one small cell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.protocols.space import KnobSpace
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.values.candidate import Candidate, Value
from hwnas_hls_plugins.spaces.cell_builder import CellNetwork
from hwnas_hls_plugins.spaces.cell_config import OPERATIONS, CellConfig, CellLayers
from hwnas_hls_plugins.spaces.cell_table import HARDWARE, CellTable
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT
from hwnas_hls_plugins.spaces.layer_settings import default_strategies

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.protocols.task import Dataset

#: Share of the sampled operations whose source is the previous one, as in a chain.
_CHAINED = 0.7
#: Share of the sampled operations that must have weights; the repair removes most identities.
_WEIGHTED = 0.6
#: Tag of the layer that maps the inputs to the width of the first cell.
STEM = "stem"


class CellNetworkSpace(KnobSpace):
    """The common base of spaces of cells of dense layers."""

    config: CellLayers
    _table: CellTable
    #: Names of the cells, as in the tags of their knobs.
    _kinds: Sequence[str] = ("",)

    def __init__(self, config: CellLayers, task: Dataset, synthesizer: Synthesizer | None = None) -> None:
        self.config = config
        self.n_in, self.n_out = task.n_in, task.n_out
        self.strategies = config.strategies or default_strategies(synthesizer)

    @abstractmethod
    def network(self, values: Mapping[str, Value]) -> CellNetwork:
        """The network of these values; it may still need a repair."""

    @abstractmethod
    def shrink(self, values: dict[str, Value], tag: str) -> bool:
        """Take one step towards smaller layers, ``tag`` first; returns whether a step was possible."""

    def shareable(self, tag: str) -> bool:
        """Whether a layer that is too large to unroll may share multipliers."""
        return "Resource" in self.strategies

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Most operations have weights and use the previous one as their source. In a share of the
        networks (``uniform_samples``), all operations have the same precision and HLS settings."""
        values = {knob.name: knob.draw(rng) for knob in self.knobs}
        for name in values:
            if name.startswith("back_") and rng.random() < _CHAINED:
                values[name] = 1
            if name.startswith("op_") and rng.random() < _WEIGHTED:
                values[name] = self._table.weighted[int(rng.integers(len(self._table.weighted)))]
        if rng.random() < self.config.uniform_samples:
            shared: dict[str, Value] = {}
            for name in values:
                family = name.rpartition("_")[0]
                if family in HARDWARE:
                    first = shared.setdefault(family, values[name])
                    values[name] = first if first in self._table.knobs[name].choices else values[name]
        return self.candidate(values)

    def architecture(self, candidate: Candidate) -> Architecture:
        network = self.network(candidate.values)
        # If the clock is not searched, it is that of the run and not part of the candidate.
        clock_ns = None
        if self.config.clock_periods_ns:
            clock_ns = float(self._table.value(candidate.values, "clock_ns"))
        return network.graph.architecture(clock_ns)

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Give equal networks the same values, and keep unrolled layers small enough."""
        table = self._table
        table.shorten(values, "input_integer", table.value(values, "input_bits"))
        while True:
            for kind in self._kinds:
                table.simplify(values, kind)
            self.settle(values)
            network = self.network(values)
            if network.misfits:
                table.separate(values, min(network.misfits))
                continue
            large = network.large
            if not large:
                break
            shareable = [tag for tag in large if self.shareable(tag)]
            for tag in shareable:
                values[f"strategy_{tag}"] = "Resource"
                if f"reuse_factor_{tag}" not in values:
                    table.first(values, "reuse_factor", tag)
            if not shareable and not self.shrink(values, large[0]):
                raise UserError(
                    f"a layer is too large to unroll (hls4ml requires fewer than {UNROLL_LIMIT} products)",
                    where=f"space {self.name}",
                    found=str(network.shapes[large[0]]),
                    remedy="add Resource to the strategies, allow narrower widths, or use fewer inputs",
                    kind=ErrorKind.TOO_LARGE,
                )
        operations = {
            operation.tag: operation for kind in self._kinds for operation in table.operations(values, kind)
        }
        for tag in {**operations, **network.shapes}:
            activation = None if tag == OUTPUT else str(table.value(values, "activation", tag))
            if tag in network.shapes:
                table.repair_layer(values, tag, network.shapes[tag], activation)
            elif activation is not None:
                table.repair_result(values, tag, activation)
        return values

    def settle(self, values: dict[str, Value]) -> None:
        """Normalise the values of knobs outside the cells."""

    def _take(self, table: CellTable) -> None:
        """Use the finished table, and repair the largest network once: if that fails, the space is
        rejected at the start."""
        self._table = table
        self.knobs: Sequence[Knob] = tuple(table.knobs.values())
        self.candidate({knob.name: knob.choices[-1] for knob in self.knobs})

    def separate_last(self, values: dict[str, Value]) -> bool:
        """Remove the skip of the last operation that has one; returns whether there was one."""
        for kind in reversed(self._kinds):
            for operation in reversed(self._table.operations(values, kind)):
                if operation.skip != "none":
                    self._table.separate(values, operation.tag)
                    return True
        return False


class CellSpace(CellNetworkSpace):
    """A repeated cell of a few operations: for each operation its kind, source, skip (addition or
    concatenation), activation, normalisation, precision and HLS settings.

    Args:
        config: settings.
        task: determines the number of inputs and outputs.
        synthesizer: of the run; determines the HLS strategies unless the config sets them.

    Raises:
        UserError: a layer is too large to unroll for all widths, and ``Resource`` is not among the
            strategies.
    """

    name = "cell"
    Config = CellConfig

    def __init__(self, config: CellConfig, task: Dataset, synthesizer: Synthesizer | None = None) -> None:
        super().__init__(config, task, synthesizer)
        table = CellTable(config, self.strategies, OPERATIONS, ("dense",))
        table.fill(table.knob("cells", range(1, config.max_cells + 1), "number of repetitions of the cell"))
        table.fill(table.knob("width", config.widths, "neurons of an operation that is not added to another"))
        table.fill(
            table.knob(
                "stem", config.stems, "whether a first layer maps the inputs to that width", ordered=False
            )
        )
        table.fill(table.inputs())
        table.fill(table.cell())
        stem = ("stem", (True,)) if len(config.stems) > 1 else None
        if True in config.stems:
            table.fill(table.layer(STEM, stem, stem))
        table.fill(table.hardware(OUTPUT, None))
        self._take(table)

    def network(self, values: Mapping[str, Value]) -> CellNetwork:
        table, width = self._table, int(self._table.value(values, "width"))
        network = CellNetwork(table, values, self.n_in)
        end = network.graph.input
        if table.value(values, "stem"):
            activation = str(table.value(values, "activation", STEM))
            result = table.result_type(values, STEM, activation)
            end = network.dense(STEM, end, width, activation, result)
        for _ in range(table.value(values, "cells")):
            end = network.cell(end, width)
        network.dense(OUTPUT, end, self.n_out)
        return network

    def shrink(self, values: dict[str, Value], tag: str) -> bool:
        return self._table.lower(values, "width") or self.separate_last(values)
