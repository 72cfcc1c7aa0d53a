"""The same measure for both sides: da4ml's cost of a circuit, and its cells counted by Yosys.

``python benchmarks/circuits/measure.py FOLDER ... [--count front|all|none] [--cache FOLDER]``

Each folder is what ``hgq_side.py`` or ``our_side.py`` wrote; its ``front.json`` takes ``cost`` (da4ml's, of
every member) and ``lut``, ``inv``, ``ff``, ``stages`` (Yosys', of those that are on the front of test score
and cost, or of all). Both sides are traced with the same solver options and mapped by the same passes for
an xcvu9p at 5 ns. Every traced circuit is compared with the exact emulation on rows of the test split, every
counted netlist is simulated clock by clock; a bit that differs is an error. ``chance`` is the score of a
constant output on the test rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray
from quantised import QuantisedNetwork, non_dominated

from hwnas_hls.network.design import Design
from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost as cost_of_design
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import _STATIC, RECURSION
from hwnas_hls_plugins.synthesizers.open_synthesis.netlist import Netlist
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Port
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, run_module
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import TOP
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import (
    MARGIN_CLOCKS,
    observe,
    streams,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import latency_cutoff
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import FAMILIES, synthesis_passes

CLOCK_NS = 5.0
TIME_LIMIT_S = 3600.0
ROWS_COMPARED = 512


def traced(network: QuantisedNetwork) -> Any:
    """da4ml's graph of adders of a network with types for every number."""
    from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace
    from da4ml.trace.ops import quantize, relu

    first = network.layers[0].inputs
    inputs = FixedVariableArrayInput((len(first.sign),), HWConfig(1, -1, -1), solver_options={"hard_dc": 2})
    values = quantize(inputs, first.sign, first.integer, first.fraction)
    for number, layer in enumerate(network.layers):
        if number:
            kind = layer.inputs
            values = quantize(relu(values), kind.sign, kind.integer, kind.fraction, "WRAP", "RND")
        values = values @ layer.matrix + layer.offset
    return comb_trace(inputs, values, keep_dead_inputs=True)


def compared(network: QuantisedNetwork, comb: Any, x: NDArray[np.float64]) -> None:
    """Raise where the circuit differs from the network on standardised rows."""
    found = comb.predict(network.grid_inputs(x)).reshape(len(x), -1)
    wrong = int((found != network.outputs(x)).any(axis=1).sum())
    if wrong:
        raise SystemExit(f"the traced circuit differs from the network in {wrong} of {len(x)} rows")


def counted(network: QuantisedNetwork, comb: Any, x: NDArray[np.float64]) -> dict[str, int]:
    """Cells of the pipelined circuit; its netlist gives the network's outputs on ``x``, bit for bit."""
    from da4ml.codegen.rtl import RTLModel

    target = find_target("xcvu9p", [data_folder("hw_targets")])
    deadline = Deadline.after(TIME_LIMIT_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = RTLModel(
            comb,
            TOP,
            folder / "rtl",
            flavor="verilog",
            latency_cutoff=latency_cutoff(CLOCK_NS, comb.cost),
            print_latency=False,
            part_name=target.part,
            clock_period=CLOCK_NS,
        )
        model.write()
        stages = model._pipe.solutions
        sources = [f"rtl/src/static/{part}.v" for part in _STATIC]
        sources += [f"rtl/src/{TOP}_stage{number}.v" for number in range(len(stages))]
        passes = synthesis_passes(
            [*sources, f"rtl/src/{TOP}.v"],
            TOP,
            FAMILIES[target.family],
            adders=None,
            netlist="netlist.json",
            statistics="statistics.json",
        )
        (folder / "synthesis.ys").write_text("\n".join(passes) + "\n")
        run_module("yosys", ["synthesis.ys"], folder=folder, log=folder / "log", deadline=deadline)
        counts = Counts.read(folder / "statistics.json")
        _simulated(network, stages, folder / "netlist.json", x, deadline)
    return {"lut": counts.lut_low, "inv": counts.inv, "ff": counts.ff, "stages": len(stages)}


def _simulated(
    network: QuantisedNetwork, stages: Any, netlist: Path, x: NDArray[np.float64], deadline: Deadline
) -> None:
    grid = network.grid_inputs(x)
    fraction = int(max(network.layers[0].inputs.fraction.max(), 0))
    rows = (grid * 2.0**fraction).astype(np.int64)
    stream, length = streams(rows, 64, len(stages) + MARGIN_CLOCKS)
    number, clocks, n_in = stream.shape
    bits = Port.of(stages[0].inp_kifs.T).bits(stream.reshape(-1, n_in), fraction)
    response = Netlist(netlist, TOP).simulate(bits.reshape(number, clocks, -1), deadline)
    port = Port.of(stages[-1].out_kifs.T)
    out_fraction = max(0, *(element.fraction for element in port.elements), *_fractions(network))
    outputs = port.values(response, out_fraction)
    seen_rows = stream[:, :length].reshape(-1, n_in) * 2.0**-fraction
    expected = network.outputs(seen_rows) * 2.0**out_fraction
    seen = observe(outputs, expected.astype(np.int64).reshape(number, length, -1))
    if seen.mismatches[0]:
        raise SystemExit(f"the netlist differs from the network in {seen.mismatches[0]} rows")


def _fractions(network: QuantisedNetwork) -> Iterator[int]:
    last = network.layers[-1]
    yield last.bias_fraction
    yield int(last.inputs.fraction.max()) + last.weight_fraction


def measure_hgq(folder: Path, member: dict[str, Any], x: NDArray[np.float64], count: bool) -> None:
    network = QuantisedNetwork.load(folder / member["network"])
    comb = traced(network)
    compared(network, comb, x)
    member["cost"] = float(comb.cost)
    member.update(network.facts())
    if count:
        member.update(counted(network, comb, x))


def measure_ours(folder: Path, member: dict[str, Any], count: bool, cache: str) -> None:
    design = Design.load(folder / "networks" / member["network"])
    if not count:
        member["cost"] = cost_of_design(design, CLOCK_NS, None).cost_lut
        return
    # As the other side is built.
    place = cache or None
    config = OpenConfig(rows=ROWS_COMPARED, cache_dir=place, time_limit_s=TIME_LIMIT_S, generator="da4ml")
    target = find_target("xcvu9p", [data_folder("hw_targets")])
    report = OpenSynthesizer(config).synthesize(design, target)
    if report.failure:
        raise SystemExit(f"{member['network']}: {report.failure}")
    counts = report.counts
    member["cost"] = float(counts["cost_lut"])
    luts = int(report.estimates["lut"].low)
    member.update(lut=luts, ff=int(counts["ff"]), stages=int(report.estimates["latency_cycles"].value))
    member["inv"] = int(report.estimates["lut"].high) - luts


def chance(arrays: Mapping[str, NDArray[Any]]) -> float:
    """The test score of a constant output: the share of the largest class, or 0 for r2."""
    y = arrays["y_test"]
    return float(np.bincount(y).max() / len(y)) if np.issubdtype(y.dtype, np.integer) else 0.0


def measure(folder: Path, count: str, cache: str, tables: Path) -> None:
    path = folder / "front.json"
    front = json.loads(path.read_text())
    arrays = np.load(tables / f"{front['table']}.npz")
    mean, scale = arrays["x_train"].mean(axis=0), arrays["x_train"].std(axis=0)
    scale[scale == 0] = 1.0
    x = ((arrays["x_test"] - mean) / scale)[:ROWS_COMPARED]
    front["chance"] = chance(arrays)
    hgq = front["side"] == "hgq2"

    def one(member: dict[str, Any], with_count: bool) -> None:
        if hgq:
            measure_hgq(folder, member, x, with_count)
        else:
            measure_ours(folder, member, with_count, cache)

    for member in front["members"]:
        if "cost" not in member:
            one(member, count == "all")
    if count == "front":
        places = non_dominated([(member["test"], member["cost"]) for member in front["members"]])
        for member in (front["members"][place] for place in places):
            if "lut" not in member:
                one(member, True)
    path.write_text(json.dumps(front, indent=1) + "\n")
    for member in sorted(front["members"], key=lambda member: member["cost"]):
        print(
            f"{front['table']} {front['side']}: test {member['test']:.4f} cost {member['cost']:.0f} "
            f"LUT {member.get('lut', '')}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tables", type=Path, required=True, help="where tables.py wrote the archives")
    parser.add_argument("--count", choices=("front", "all", "none"), default="front")
    parser.add_argument("--cache", default="", help="of open synthesis; default the user's cache folder")
    options = parser.parse_args()
    sys.setrecursionlimit(RECURSION)
    for folder in options.folders:
        measure(folder, options.count, options.cache, options.tables)


if __name__ == "__main__":
    main()
