"""Cost and pipeline stages of many designs, by da4ml's solver (ECP5: alkaid's), without writing RTL.

Routed circuits of ECP5 are alkaid's, and its graph predicts their LUTs and cycles better than da4ml's
(``docs/ecp5.md``). For other parts da4ml's solver is the faster one.

Runs as a child process that stays, ``python -m hwnas_hls_plugins.synthesizers.open_synthesis.da_costs``: each
line on its standard input, ``CLOCK_NS LEVELS FAMILY QUICK FOLDER``, has it read ``FOLDER/*.npz``
(:meth:`hwnas_hls.network.design.Design.to_bytes`), write ``FOLDER/costs.json`` and answer ``done``.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.system.cores import available_cores
from hwnas_hls_plugins.synthesizers.open_synthesis import da_rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import AdderGraph, Shape
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import GRAPH
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import (
    FAMILY,
    FASTEST,
    fastest_levels,
    latency_cutoff,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed
from hwnas_hls_plugins.synthesizers.open_synthesis.warm_process import WarmProcess
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

#: Number of weights that are not zero from which a quick cost takes one decomposition of each matrix instead
#: of the best one. Seven designs of 1,200 to 8,000 weights cost 2.0 to 4.2 % more; six of them took 0.26 to
#: 0.55 times the seconds.
_QUICK_FROM = 1000
#: Maximum number of child processes; each takes about 150 MB.
_MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class DaCost:
    """A solver's results for one design.

    Args:
        cost_lut: its estimate of LUTs: the total bits of all adders.
        stages: number of pipeline stages, the latency in cycles.
        register_bits: total bits of all register ranks.
        adder_levels: maximum number of adder levels per stage.
        path_bits: bits of the adder levels on the path that has most of them.
        refused: why it cannot be built; otherwise empty.
        solver: package of the solver.
        origin: of these numbers, :data:`GRAPH` or :data:`CLOSED_FORM`.
    """

    cost_lut: float = 0.0
    stages: int = 0
    register_bits: int = 0
    adder_levels: int = 0
    path_bits: int = 0
    refused: str = ""
    solver: str = "da4ml"
    origin: str = GRAPH


def costs(
    designs: Sequence[Design],
    clock_ns: float,
    cutoff: int | None,
    deadline: Deadline,
    family: str = FAMILY,
    *,
    quick: bool = False,
) -> list[DaCost]:
    """One cost per design, in order, computed by persistent child processes, one per core, at most four.

    Args:
        designs: relu and linear layers; what da4ml cannot build is a cost with ``refused``.
        clock_ns: clock period of designs that set none.
        cutoff: adder levels between two register ranks; ``None`` derives them from the clock, and ``FASTEST``
            takes those of the lowest latency (ECP5).
        deadline: for all of them.
        family: the target's, whose period model gives the cutoff.
        quick: solve large designs only once, where their circuits are not da4ml's anyway.

    Raises:
        ToolFailureError, TimeLimitError: da4ml failed.
    """
    count = max(1, min(_MOST_PROCESSES, available_cores(), len(designs)))
    with ThreadPoolExecutor(count) as pool:
        shares = [designs[place::count] for place in range(count)]
        answers = list(
            pool.map(
                lambda place: _asked(place, shares[place], clock_ns, cutoff, deadline, family, quick),
                range(count),
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
    quick: bool,
) -> list[DaCost]:
    with TemporaryDirectory(prefix="hwnas-hls-") as name:
        folder = Path(name)
        for place, design in enumerate(designs):
            (folder / f"{place:06}.npz").write_bytes(design.to_bytes())
        _solver(number).ask(f"{clock_ns} {cutoff or 0} {family} {int(quick)} {name}", deadline)
        return [DaCost(**item) for item in json.loads((folder / "costs.json").read_text())]


@functools.cache
def _solver(number: int) -> WarmProcess:
    return WarmProcess("da_costs")


def cost(
    design: Design, clock_ns: float, cutoff: int | None, family: str = FAMILY, *, quick: bool = False
) -> DaCost:
    """Like :func:`costs`, for one design in this process."""
    successor = family == ECP5 and installed("alkaid")
    try:
        graph = _successors_graph(design) if successor else AdderGraph.of_da4ml(_graph(design, quick))
    except Unsupported as error:
        return DaCost(refused=str(error))
    clock_ns = design.architecture.clock_ns or clock_ns
    levels = levels_of(graph.cost, graph.shape, clock_ns, cutoff, family)
    return DaCost(
        graph.cost,
        graph.stages(levels),
        graph.register_bits(levels),
        levels,
        graph.path_bits,
        solver="alkaid" if successor else "da4ml",
    )


def _graph(design: Design, quick: bool) -> Any:
    weights = sum(int(np.count_nonzero(weight)) for weight in design.weights if weight is not None)
    return da_rtl.adder_graph(design, quick=quick and weights > _QUICK_FROM)


def levels_of(
    cost: float, shape: Shape, clock_ns: float, cutoff: int | None, family: str, origin: str = GRAPH
) -> int:
    """Adder levels per stage for a cutoff as in :func:`costs`."""
    if cutoff == FASTEST:
        return fastest_levels(cost, shape, origin)
    return latency_cutoff(clock_ns, cost, family, shape, origin) if cutoff is None else cutoff


def _successors_graph(design: Design) -> AdderGraph:
    from hwnas_hls_plugins.synthesizers.open_synthesis import alkaid_rtl

    return AdderGraph.of_alkaid(alkaid_rtl.adder_graph(design))


def main() -> None:
    """Process the lines of standard input."""
    import dataclasses

    sys.setrecursionlimit(RECURSION)
    # It ends when its standard input closes; `die_with_parent` would end it with the first calling thread.
    # Output of da4ml goes to the log; standard output carries only the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        clock_ns, cutoff, family, quick, name = line.rstrip("\n").split(" ", 4)
        levels = int(cutoff) or None
        designs = [Design.from_bytes(path.read_bytes()) for path in sorted(Path(name).glob("*.npz"))]
        found = [
            dataclasses.asdict(cost(design, float(clock_ns), levels, family, quick=quick == "1"))
            for design in designs
        ]
        (Path(name) / "costs.json").write_text(json.dumps(found))
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
