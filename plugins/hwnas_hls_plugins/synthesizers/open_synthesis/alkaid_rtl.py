"""Distributed-arithmetic RTL of a design, by alkaid, the successor of da4ml.

Runs as a child process:

``python -m hwnas_hls_plugins.synthesizers.open_synthesis.alkaid_rtl DESIGN_FOLDER RTL_FOLDER CLOCK_NS LEVELS
PART FAMILY OPERANDS`` (``LEVELS`` 0: from the clock; ``OPERANDS`` 2 or 3, of one adder).
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas_hls.network.design import Design
from hwnas_hls.network.features import ends
from hwnas_hls.network.layers import INPUT, LEAKY_SLOPE, Dense, Merge
from hwnas_hls_plugins.synthesizers.open_synthesis import circuit, da_rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import AdderGraph
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION, kif, kifs
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Port
from hwnas_hls_plugins.synthesizers.open_synthesis.process import die_with_parent
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import TOP, Rtl, check
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import latency_cutoff
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

#: alkaid's module for a sum of three; our ``ternary_adder.v`` maps it to slices.
TERNARY = "ternary_adder"
_STATIC = ("shift_adder", "mux", "negative", "multiplier", "binop", TERNARY)
_TERNARY_SOURCE = Path(__file__).with_name("ternary_adder.v")


def write(
    design: Design,
    folder: Path,
    clock_ns: float,
    cutoff: int | None,
    part: str,
    family: str,
    operands: int,
) -> Rtl:
    """Trace the design into an adder graph, divide it into pipeline stages, and write Verilog.

    Arguments as of :func:`hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl.write`.

    Args:
        operands: operands per adder; with 3, an adder that feeds only another adder is merged with it.
    """
    from alkaid.codegen.rtl import RTLModel

    comb = adder_graph(design)
    graph = AdderGraph.of_alkaid(comb)
    levels = latency_cutoff(clock_ns, comb.cost, family, graph.shape) if cutoff is None else cutoff
    model = RTLModel(
        comb,
        folder,
        TOP,
        flavor="verilog",
        # At most so many adders on average: alkaid's own limit also counts carry delays, and needs up to
        # half as many stages more.
        n_stages=graph.stages(levels),
        print_latency=False,
        part_name=part,
        clock_period=clock_ns,
        ternary_fuse=operands == 3,
    )
    signals = model.fsm.signals
    if not any(sum(precision) for precision in signals["model_inp"].precisions):
        # Constant outputs: alkaid's port would have the range -1 to 0 and two bits.
        return da_rtl.write(design, folder, clock_ns, cutoff, part, family)
    with tempfile.TemporaryDirectory() as name:
        verilog, vhdl = Path(name) / "verilog", Path(name) / "vhdl"
        _write(model.fsm, verilog, "verilog", clock_ns, part)
        _write(model.fsm, vhdl, "vhdl", clock_ns, part)
        sources = da_rtl.assembled(verilog, folder / circuit.VERILOG, design, ".v", _STATIC)
        others = da_rtl.assembled(vhdl, folder / circuit.VHDL, design, ".vhd", _STATIC)
    mapped = _mapped(folder, design, sources) if family != ECP5 else {}
    facts = {
        "generator": f"alkaid {importlib.metadata.version('alkaid')}, adders of up to {operands} operands",
        "cost_lut": float(model._comb.cost),
        "register_bits": int(model.reg_bits),
        "latency_cutoff": levels,
        "adder_levels": levels,
        "path_bits": graph.path_bits,
    }
    rtl = Rtl(
        folder,
        tuple(f"{circuit.VERILOG}/{source}" for source in sources),
        Port.of(signals["model_inp"].precisions),
        Port.of(signals["model_out"].precisions),
        int(model.latency),
        facts,
        circuit.top_of(design),
        mapped,
        tuple(f"{circuit.VHDL}/{source}" for source in others),
        circuit.circuit_hash(folder / circuit.VERILOG),
    )
    rtl.save()
    return rtl


def _write(fsm: Any, folder: Path, flavor: str, clock_ns: float, part: str) -> None:
    """One pipeline in one language; both languages come from the same one."""
    from alkaid.codegen.rtl import RTLModel

    arguments = {"print_latency": False, "part_name": part, "clock_period": clock_ns, "ternary_fuse": False}
    RTLModel(fsm, folder, TOP, flavor=flavor, **arguments).write()


def _mapped(folder: Path, design: Design, sources: Sequence[str]) -> dict[str, str]:
    """Our sum of three, in cells of slices, for circuits that contain alkaid's."""
    name = f"{design.hardware_name}_{TERNARY}"
    if f"{name}.v" not in sources:
        return {}
    place = folder / circuit.AMD / f"{name}.v"
    place.parent.mkdir(parents=True)
    place.write_text(re.sub(rf"\bmodule {TERNARY}\b", f"module {name}", _TERNARY_SOURCE.read_text()))
    return {f"{circuit.VERILOG}/{name}.v": f"{circuit.AMD}/{name}.v"}


def adder_graph(design: Design) -> Any:
    """alkaid's graph of adders of a design.

    Raises:
        Unsupported: adders cannot build the design, see :func:`check`.
    """
    import numpy as np
    from alkaid.trace import FVArrayInput, HWConfig, trace
    from alkaid.trace.ops import quantize, relu

    check(design, graphs=True)
    architecture = design.architecture
    # HWConfig(1, -1, -1): the unit of latency is one adder.
    inputs = FVArrayInput((architecture.n_in,), hwconf=HWConfig(1, -1, -1), solver_options={"hard_dc": 2})
    held = {INPUT: quantize(inputs, *kifs(design.features, architecture.input))}
    types = design.layer_types()
    for number, (layer, (source, accum, result)) in enumerate(zip(architecture.layers, types, strict=True)):
        given = [held[source] for source in architecture.sources(number)]
        weight, own = design.weights[number], design.own_results(number)
        leaky = layer.activation == "leaky_relu"
        if isinstance(layer, Merge):
            values = given[0] + given[1] if layer.merge == "add" else np.concatenate(given)
        elif weight is not None and isinstance(layer, Dense):
            constant, result = da_rtl.constants(design, number)
            # alkaid fails where all outputs of a product are constant: values without bits have no weights.
            low, high = ends(design.own_inputs(number), source, layer.n_in)
            low = np.maximum(low, -high) if source.overflow == "SAT_SYM" else low
            weight = weight * (low != high)[:, None]
            values = given[0] @ (weight * 2.0**-layer.weight.fraction) + constant
            if layer.accum is not None:
                values = quantize(values, *kif(accum), accum.overflow, "TRN")
        if leaky:
            values = relu(values) - relu(-values) * LEAKY_SLOPE
        elif layer.activation == "relu":
            values = relu(values)
        if result != accum or leaky or own:
            values = quantize(values, *kifs(own, result), result.overflow, result.rounding)
        held[number] = values
    # Without keep_dead_inputs the input port would shrink with the weights.
    return trace(inputs, held[len(architecture.layers) - 1], keep_dead_inputs=True)


def main(arguments: list[str]) -> None:
    """Read a design and write its RTL."""
    die_with_parent()
    design_folder, folder, clock_ns, cutoff, part, family, operands = arguments
    sys.setrecursionlimit(RECURSION)
    design = Design.load(Path(design_folder))
    write(design, Path(folder), float(clock_ns), int(cutoff) or None, part, family, int(operands))


if __name__ == "__main__":
    main(sys.argv[1:])
