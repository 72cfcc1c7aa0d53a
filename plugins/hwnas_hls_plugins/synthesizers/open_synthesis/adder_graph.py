"""Graphs of adders, as da4ml and alkaid trace them: what costs and periods are predicted from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Opcodes of both: an input; a sum or difference; a multiplexer.
_INPUT, _SUMS, _MUXES = -1, (0, 1), (6, -6)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the period of a pipeline depends on.

    Args:
        depth: adder levels from the inputs to the last output.
        path_bits: bits of the adder levels on the path that has most of them.
    """

    depth: float
    path_bits: float

    def stages(self, levels: float) -> int:
        """The number of pipeline stages with at most ``levels`` adder levels."""
        return _stage(self.depth, levels) + 1


@dataclass(frozen=True, slots=True)
class AdderGraph:
    """The values of a network, each after its operands.

    Args:
        cost: the solver's estimate of LUTs.
        widths: bits of each value.
        operands: the values that each value is computed from.
        levels: adder levels up to each value.
        steps: whether a value is an adder level of its own: a sum of two values, or a multiplexer.
        inputs: whether a value is an input.
        outputs: the values of the outputs, without constants of zero.
    """

    cost: float
    widths: tuple[int, ...]
    operands: tuple[tuple[int, ...], ...]
    levels: tuple[float, ...]
    steps: tuple[bool, ...]
    inputs: tuple[bool, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of_da4ml(cls, comb: Any) -> AdderGraph:
        return cls._of(comb, [_da4ml_operands(op) for op in comb.ops], [op.latency for op in comb.ops])

    @classmethod
    def of_alkaid(cls, comb: Any) -> AdderGraph:
        """With the levels that divide the pipeline; alkaid's own latency also counts carry delays."""
        operands = [tuple(op.input_ids) for op in comb.ops]
        levels: list[float] = []
        for op, sources in zip(comb.ops, operands, strict=True):
            before = max((levels[place] for place in sources), default=0.0)
            levels.append(before + (op.opcode in (*_SUMS, *_MUXES)))
        return cls._of(comb, operands, levels)

    @classmethod
    def _of(cls, comb: Any, operands: list[tuple[int, ...]], levels: list[float]) -> AdderGraph:
        return cls(
            float(comb.cost),
            tuple(_bits(*op.qint) for op in comb.ops),
            tuple(operands),
            tuple(levels),
            tuple(op.opcode in (*_SUMS, *_MUXES) for op in comb.ops),
            tuple(op.opcode == _INPUT for op in comb.ops),
            tuple(place for place in comb.out_idxs if place >= 0),
        )

    @property
    def depth(self) -> float:
        """Adder levels from the inputs to the last output."""
        return max((self.levels[place] for place in self.outputs), default=0.0)

    @property
    def path_bits(self) -> int:
        """Bits of the adder levels on the path that has most of them."""
        bits: list[int] = []
        for width, sources, step in zip(self.widths, self.operands, self.steps, strict=True):
            bits.append(max((bits[place] for place in sources), default=0) + width * step)
        return max((bits[place] for place in self.outputs), default=0)

    @property
    def shape(self) -> Shape:
        return Shape(self.depth, self.path_bits)

    # -- pipeline ------------------------------------------------------------------------

    def stages(self, levels: float) -> int:
        """The number of pipeline stages with at most ``levels`` adder levels."""
        return self.shape.stages(levels)

    def register_bits(self, levels: int) -> int:
        """The total bits of the ranks before, between and after the stages, at da4ml's positions."""
        made, last = self._lives(self._retimed(levels))
        entered = sum(bits for bits, is_input in zip(self.widths, self.inputs, strict=True) if is_input)
        held = (bits * (end - start) for bits, start, end in zip(self.widths, made, last, strict=True))
        return entered + sum(held)

    def _lives(self, levels: float) -> tuple[list[int], list[int]]:
        """The stage that computes each value, and the last stage that uses it."""
        made = [_stage(level, levels) for level in self.levels]
        last = list(made)
        for place, sources in enumerate(self.operands):
            for source in sources:
                last[source] = max(last[source], made[place])
        for place in self.outputs:
            last[place] = self.stages(levels)
        return made, last

    def _retimed(self, levels: int) -> float:
        """Levels per stage after da4ml's bisection, which minimises them for the same number of stages."""
        stages = self.stages(levels)
        made, last = self._lives(levels)
        leaves = [0.0] * stages
        for level, start, end in zip(self.levels, made, last, strict=True):
            for stage in range(start, min(end, stages)):
                leaves[stage] = max(leaves[stage], level if stage == start else levels * stage)
        high = max(latency / (stage + 1) for stage, latency in enumerate(leaves))
        low, best = self.depth / stages, float(levels)
        while high - low > 1:
            middle = (high + low) // 2
            if middle > 0 and self.stages(middle) <= stages:
                high = best = middle
            else:
                low = middle
        return best


def _stage(latency: float, levels: float) -> int:
    return math.floor(latency / (levels + 1e-9))


def _bits(low: float, high: float, step: float) -> int:
    """Bits of the multiples of ``step`` from ``low`` to ``high``, with a sign if there are negative ones."""
    magnitude = max(round(high / step), round(-low / step) - 1)
    return magnitude.bit_length() + (low < 0) if low or high else 0


def _da4ml_operands(op: Any) -> tuple[int, ...]:
    if op.opcode == _INPUT:
        return ()
    found = [op.id0, op.id1]
    if op.opcode in _MUXES:  # a multiplexer has its condition among its data
        found.append(op.data & 0xFFFFFFFF)
    return tuple(place for place in found if place >= 0)
