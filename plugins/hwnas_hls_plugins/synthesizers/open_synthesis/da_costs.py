"""da4ml's cost and pipeline stages of many designs, without writing RTL.

Runs as a child process that stays, ``python -m hwnas_hls_plugins.synthesizers.open_synthesis.da_costs``: each
line on its standard input, ``CLOCK_NS LEVELS FAMILY FOLDER``, has it read ``FOLDER/*.npz``
(:meth:`hwnas_hls.network.design.Design.to_bytes`), write ``FOLDER/costs.json`` and answer ``done``.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION, adder_graph
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FAMILY, latency_cutoff
from hwnas_hls_plugins.synthesizers.open_synthesis.warm_process import WarmProcess

#: Maximum number of child processes; each takes about 150 MB.
_MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class DaCost:
    """da4ml's results for one design.

    Args:
        cost_lut: its LUT estimate: the total bits of all adders.
        stages: number of pipeline stages, the latency in cycles.
        register_bits: total bits of all register ranks.
        adder_levels: maximum number of adder levels per stage.
        refused: why it cannot be built; otherwise empty.
    """

    cost_lut: float = 0.0
    stages: int = 0
    register_bits: int = 0
    adder_levels: int = 0
    refused: str = ""


def costs(
    designs: Sequence[Design],
    clock_ns: float,
    cutoff: int | None,
    deadline: Deadline,
    family: str = FAMILY,
) -> list[DaCost]:
    """One cost per design, in order, computed by persistent child processes, one per core, at most four.

    Args:
        designs: relu and linear layers; what da4ml cannot build is a cost with ``refused``.
        clock_ns: clock period of designs that set none.
        cutoff: adder levels between two register ranks; ``None`` derives them from the clock.
        deadline: for all of them.
        family: the target's, whose period model gives the cutoff.

    Raises:
        ToolFailureError, TimeLimitError: da4ml failed.
    """
    count = max(1, min(_MOST_PROCESSES, _cores(), len(designs)))
    with ThreadPoolExecutor(count) as pool:
        shares = [designs[place::count] for place in range(count)]
        answers = list(
            pool.map(
                lambda place: _asked(place, shares[place], clock_ns, cutoff, deadline, family), range(count)
            )
        )
    return [answers[place % count][place // count] for place in range(len(designs))]


def _asked(
    number: int,
    designs: Sequence[Design],
    clock_ns: float,
    cutoff: int | None,
    deadline: Deadline,
    family: str,
) -> list[DaCost]:
    with TemporaryDirectory(prefix="hwnas-hls-") as name:
        folder = Path(name)
        for place, design in enumerate(designs):
            (folder / f"{place:06}.npz").write_bytes(design.to_bytes())
        _solver(number).ask(f"{clock_ns} {cutoff or 0} {family} {name}", deadline)
        return [DaCost(**item) for item in json.loads((folder / "costs.json").read_text())]


@functools.cache
def _solver(number: int) -> WarmProcess:
    return WarmProcess("da_costs")


def _cores() -> int:
    """The number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def cost(design: Design, clock_ns: float, cutoff: int | None, family: str = FAMILY) -> DaCost:
    """Like :func:`costs`, for one design in this process."""
    try:
        comb = adder_graph(design)
    except Unsupported as error:
        return DaCost(refused=str(error))
    clock_ns = design.architecture.clock_ns or clock_ns
    levels = latency_cutoff(clock_ns, comb.cost, family) if cutoff is None else cutoff
    ranks = _Ranks(comb)
    return DaCost(float(comb.cost), ranks.stages(levels), ranks.register_bits(levels), levels)


class _Ranks:
    """The positions of da4ml's register ranks in an adder graph, without building the pipeline."""

    def __init__(self, comb: Any) -> None:
        from da4ml.types import minimal_kif

        self._ops = comb.ops
        self._outputs = [place for place in comb.out_idxs if place >= 0]
        self._width = [int(sum(minimal_kif(op.qint))) for op in comb.ops]
        self._latency = max((comb.ops[place].latency for place in self._outputs), default=0.0)

    def stages(self, levels: float) -> int:
        """The number of stages with at most ``levels`` adder levels."""
        return _stage(self._latency, levels) + 1

    def register_bits(self, levels: int) -> int:
        """The total bits of the ranks before, between and after the stages."""
        made, last = self._lives(self._retimed(levels))
        entered = sum(bits for bits, op in zip(self._width, self._ops, strict=True) if op.opcode == -1)
        held = (bits * (end - start) for bits, start, end in zip(self._width, made, last, strict=True))
        return entered + sum(held)

    def _lives(self, levels: float) -> tuple[list[int], list[int]]:
        """The stage that computes each value, and the last stage that uses it."""
        made = [_stage(op.latency, levels) for op in self._ops]
        last = list(made)
        for place, op in enumerate(self._ops):
            if op.opcode != -1:
                for source in _operands(op):
                    last[source] = max(last[source], made[place])
        for place in self._outputs:
            last[place] = self.stages(levels)
        return made, last

    def _retimed(self, levels: int) -> float:
        """Levels per stage after da4ml's bisection, which minimises them for the same number of stages."""
        stages = self.stages(levels)
        made, last = self._lives(levels)
        leaves = [0.0] * stages
        for op, start, end in zip(self._ops, made, last, strict=True):
            for stage in range(start, min(end, stages)):
                leaves[stage] = max(leaves[stage], op.latency if stage == start else levels * stage)
        high = max(latency / (stage + 1) for stage, latency in enumerate(leaves))
        low, best = self._latency / stages, float(levels)
        while high - low > 1:
            middle = (high + low) // 2
            if middle > 0 and self.stages(middle) <= stages:
                high = best = middle
            else:
                low = middle
        return best


def _stage(latency: float, levels: float) -> int:
    return math.floor(latency / (levels + 1e-9))


def _operands(op: Any) -> list[int]:
    found = [op.id0, op.id1]
    if op.opcode in (6, -6):  # a multiplexer has its condition among its data
        found.append(op.data & 0xFFFFFFFF)
    return [place for place in found if place >= 0]


def main() -> None:
    """Process the lines of standard input."""
    import dataclasses

    sys.setrecursionlimit(RECURSION)
    # It ends when its standard input closes; `die_with_parent` would end it with the first calling thread.
    # Output of da4ml goes to the log; standard output carries only the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        clock_ns, cutoff, family, name = line.rstrip("\n").split(" ", 3)
        found = [
            dataclasses.asdict(
                cost(Design.from_bytes(path.read_bytes()), float(clock_ns), int(cutoff) or None, family)
            )
            for path in sorted(Path(name).glob("*.npz"))
        ]
        (Path(name) / "costs.json").write_text(json.dumps(found))
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
