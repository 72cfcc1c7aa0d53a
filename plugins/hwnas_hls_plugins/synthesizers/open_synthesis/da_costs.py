"""da4ml's own cost and stages of many designs, without RTL.

Runs as a child process:

``python -m hwnas_hls_plugins.synthesizers.open_synthesis.da_costs FOLDER CLOCK_NS LEVELS`` reads
``FOLDER/*.npz`` (:meth:`hwnas_hls.network.design.Design.to_bytes`) and writes ``FOLDER/costs.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION, pipelined
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, die_with_parent, run_module


@dataclass(frozen=True, slots=True)
class DaCost:
    """What da4ml says of one design.

    Args:
        cost_lut: its estimate of LUTs: the bits of all adders.
        stages: pipeline stages, which are the latency in cycles.
        register_bits: of all ranks.
        adder_levels: adder levels of the longest stage.
        refused: why it cannot be built; empty otherwise.
    """

    cost_lut: float = 0.0
    stages: int = 0
    register_bits: int = 0
    adder_levels: int = 0
    refused: str = ""


def costs(designs: Sequence[Design], clock_ns: float, cutoff: int | None, deadline: Deadline) -> list[DaCost]:
    """One cost a design, in order, by one child process.

    Args:
        designs: relu and linear layers; what da4ml cannot build is a cost with ``refused``.
        clock_ns: where a design names no clock.
        cutoff: adder levels between two register ranks; ``None`` takes them from the clock.
        deadline: for all of them.

    Raises:
        ToolFailureError, TimeLimitError: da4ml failed.
    """
    with TemporaryDirectory(prefix="hwnas-hls-") as name:
        folder = Path(name)
        for number, design in enumerate(designs):
            (folder / f"{number:06}.npz").write_bytes(design.to_bytes())
        arguments = [name, str(clock_ns), str(cutoff or 0)]
        run_module("da_costs", arguments, folder=folder, log=folder / "log.txt", deadline=deadline)
        return [DaCost(**item) for item in json.loads((folder / "costs.json").read_text())]


def cost(design: Design, clock_ns: float, cutoff: int | None) -> DaCost:
    """As :func:`costs`, of one design and in this process."""
    try:
        comb, model, _ = pipelined(design, Path(), design.architecture.clock_ns or clock_ns, cutoff, "")
    except Unsupported as error:
        return DaCost(refused=str(error))
    pipeline = model._pipe
    return DaCost(
        float(comb.cost), len(pipeline.solutions), int(pipeline.reg_bits), int(model._latency_cutoff)
    )


def main(arguments: list[str]) -> None:
    """Read the designs of a folder and write their costs beside them."""
    import dataclasses

    die_with_parent()
    sys.setrecursionlimit(RECURSION)
    name, clock_ns, cutoff = arguments
    found = [
        dataclasses.asdict(cost(Design.from_bytes(path.read_bytes()), float(clock_ns), int(cutoff) or None))
        for path in sorted(Path(name).glob("*.npz"))
    ]
    (Path(name) / "costs.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
