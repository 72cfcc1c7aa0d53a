"""Distributed-arithmetic RTL of a design, by da4ml.

Runs as a child process:

``python -m hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl DESIGN_FOLDER RTL_FOLDER CLOCK_NS
LEVELS PART FAMILY`` (``LEVELS`` 0: from the clock).
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.network.features import FeatureTypes, given_features
from hwnas_hls.network.layers import INPUT, LEAKY_SLOPE, Dense, Layer, Merge
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.synthesizers.open_synthesis import circuit
from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import AdderGraph
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Port
from hwnas_hls_plugins.synthesizers.open_synthesis.process import die_with_parent
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import TOP, Rtl, check
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import latency_cutoff

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STATIC = ("shift_adder", "mux", "negative", "multiplier", "binop")
RECURSION = 100_000  # da4ml walks the graph of sums recursively


def write(design: Design, folder: Path, clock_ns: float, cutoff: int | None, part: str, family: str) -> Rtl:
    """Trace the design into a graph of adders, divide it into pipeline stages, and write Verilog and VHDL.

    Args:
        design: dense layers and merges; see :func:`hwnas_hls_plugins.synthesizers.open_synthesis.rtl.check`.
        folder: receives ``core/*.v``, ``vhdl/*.vhd`` and ``rtl.json``.
        clock_ns: for the constraints, and for the cutoff if that is ``None``.
        cutoff: adder levels between two register ranks.
        part: full part name, for the project scripts da4ml writes beside the sources.
        family: family of the target; its period model gives the cutoff.
    """
    comb, model, levels = pipelined(design, folder, clock_ns, cutoff, part, family)
    pipeline = model._pipe
    stages = len(pipeline.solutions)
    with tempfile.TemporaryDirectory() as name:
        verilog, vhdl = Path(name) / "verilog", Path(name) / "vhdl"
        _write(pipeline, verilog, "verilog")
        _write(pipeline, vhdl, "vhdl")
        sources = assembled(verilog, folder / circuit.VERILOG, design, ".v", _STATIC)
        others = assembled(vhdl, folder / circuit.VHDL, design, ".vhd", _STATIC)
    facts = {
        "generator": f"da4ml {importlib.metadata.version('da4ml')}",
        "cost_lut": float(comb.cost),
        "register_bits": int(pipeline.reg_bits),
        "latency_cutoff": levels,
        "adder_levels": int(model._latency_cutoff),
        "path_bits": AdderGraph.of_da4ml(comb).path_bits,
    }
    # From the pipeline, not the graph, because retiming removes the bits of dead inputs.
    first, last = pipeline.solutions[0], pipeline.solutions[-1]
    rtl = Rtl(
        folder,
        tuple(f"{circuit.VERILOG}/{source}" for source in sources),
        Port.of(first.inp_kifs.T),
        Port.of(last.out_kifs.T),
        stages,
        facts,
        circuit.top_of(design),
        {},
        tuple(f"{circuit.VHDL}/{source}" for source in others),
        circuit.circuit_hash(folder / circuit.VERILOG),
    )
    rtl.save()
    return rtl


def _write(pipeline: Any, folder: Path, flavor: str) -> None:
    """One pipeline in one language; both languages come from the same one."""
    from da4ml.codegen.rtl import RTLModel

    RTLModel(pipeline, TOP, folder, flavor=flavor, print_latency=False).write()


def assembled(written: Path, folder: Path, design: Design, suffix: str, static: Sequence[str]) -> list[str]:
    """The files of a generator, renamed for the design; see :func:`circuit.assemble`."""
    paths = sorted((written / "src").glob(f"*{suffix}"), key=_by_number)
    own = {path.stem: path.read_text() for path in paths if not path.stem.endswith("_wrapper")}
    places = [(written / "src" / "static" / name).with_suffix(suffix) for name in static]
    shared = {place.stem: place.read_text() for place in places}
    return circuit.assemble(own | shared, folder, design, top=TOP, suffix=suffix, shared=static)


def _by_number(path: Path) -> tuple[str, int]:
    """``stage2`` before ``stage10``."""
    number = re.search(r"\d*$", path.stem)
    digits = number[0] if number else ""
    return path.stem.removesuffix(digits), int(digits or -1)


def pipelined(
    design: Design, folder: Path, clock_ns: float, cutoff: int | None, part: str, family: str
) -> tuple[Any, Any, int]:
    """da4ml's adder graph, its RTL model (not yet written) and the adder levels per stage.

    Arguments as for :func:`write`.
    """
    from da4ml.codegen.rtl import RTLModel

    comb = adder_graph(design)
    shape = AdderGraph.of_da4ml(comb).shape
    levels = latency_cutoff(clock_ns, comb.cost, family, shape) if cutoff is None else cutoff
    model = RTLModel(
        comb,
        TOP,
        folder,
        flavor="verilog",
        latency_cutoff=levels,
        print_latency=False,
        part_name=part,
        clock_period=clock_ns,
    )
    return comb, model, levels


def adder_graph(design: Design, *, quick: bool = False) -> Any:
    """da4ml's graph of adders of a design.

    Args:
        quick: take the first decomposition of each matrix instead of the best one.

    Raises:
        Unsupported: adders cannot build the design, see :func:`check`.
    """
    from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace
    from da4ml.trace.ops import quantize

    check(design, graphs=True)
    # HWConfig(1, -1, -1): the unit of latency is one adder, whatever its width.
    options: dict[str, Any] = {"hard_dc": 2}
    if quick:
        options |= {"search_all_decompose_dc": False, "decompose_dc": -1}
    inputs = FixedVariableArrayInput((design.architecture.n_in,), HWConfig(1, -1, -1), solver_options=options)
    architecture = design.architecture
    held = {INPUT: _quantised(inputs, design.features, architecture.input.plain)}
    for number, (layer, (_, accum, result)) in enumerate(
        zip(architecture.layers, design.layer_types(), strict=True)
    ):
        given = [held[source] for source in architecture.sources(number)]
        weight, own = design.weights[number], design.own_results(number)
        if isinstance(layer, Merge):
            values = given[0] + given[1] if layer.merge == "add" else np.concatenate(given)
        elif weight is not None and isinstance(layer, Dense):
            constant, result = constants(design, number)
            values = given[0] @ (weight * 2.0**-layer.weight.fraction) + constant
            if layer.accum is not None:
                values = quantize(values, *kif(accum), accum.overflow, "TRN")
        held[number] = _activated(values, layer)
        if result != accum or layer.activation == "leaky_relu" or own:
            held[number] = _quantised(held[number], own, result)
    values = held[len(architecture.layers) - 1]
    # Without keep_dead_inputs the input port would shrink with the weights.
    return comb_trace(inputs, values, keep_dead_inputs=True)


def constants(design: Design, number: int) -> tuple[NDArray[np.floating], FixedType]:
    """What a dense layer adds to its products, (n_out,), and how its results are rounded after that.

    The offset that rounds a result is added before the ReLU, together with the bias: this gives the same
    result without another adder.

    Returns:
        the constants, and the result type of the layer, which truncates where they contain the offset.
    """
    layer, (_, accum, result) = design.architecture.layers[number], design.layer_types()[number]
    bias = design.biases[number]
    constant: NDArray[np.floating] = np.zeros(layer.n_out)
    if not isinstance(layer, Dense):
        return constant, result
    if bias is not None and layer.bias is not None:
        constant = accum.requantise(bias, layer.bias.fraction) * 2.0**-accum.fraction
    if result.rounding != "RND" or layer.accum is not None or layer.activation == "leaky_relu":
        return constant, result
    given = given_features(design.own_results(number), result, layer.n_out)
    fractions = np.array([(one or result).fraction for one in given])
    offset = np.where(accum.fraction > fractions, 2.0 ** -(fractions + 1.0), 0.0)
    return constant + offset, replace(result, rounding="TRN")


def _quantised(values: Any, types: FeatureTypes, kind: FixedType) -> Any:
    """Values cast to types of their own, or all to ``kind``, whose modes apply."""
    from da4ml.trace.ops import quantize

    # da4ml cannot trace a value without bits, so one bit of it is read and multiplied by zero.
    cast = quantize(values, *kifs(types, kind, unread=(0, 1, 0)), kind.overflow, kind.rounding)
    return cast * np.array([float(own is not None) for own in types]) if None in types else cast


def _activated(values: Any, layer: Layer) -> Any:
    from da4ml.trace.ops import relu

    activation = layer.activation
    if activation == "leaky_relu":
        return relu(values) - relu(-values) * LEAKY_SLOPE
    return relu(values) if activation == "relu" else values


def kif(kind: FixedType) -> tuple[int, int, int]:
    """A type in da4ml's form: sign, integer bits without the sign, fractional bits."""
    return int(kind.signed), kind.integer - int(kind.signed), kind.fraction


def kifs(types: FeatureTypes, kind: FixedType, unread: tuple[int, int, int] = (0, 0, 0)) -> Any:
    """:func:`kif` of values: one for all, or three arrays if they have types of their own.

    Args:
        types, kind: of the values.
        unread: of a value without bits.
    """
    if not types:
        return kif(kind)
    return np.array([unread if own is None else kif(own) for own in types]).T


def main(arguments: list[str]) -> None:
    """Read a design and write its RTL."""
    die_with_parent()
    design_folder, folder, clock_ns, cutoff, part, family = arguments
    sys.setrecursionlimit(RECURSION)
    design = Design.load(Path(design_folder))
    write(design, Path(folder), float(clock_ns), int(cutoff) or None, part, family)


if __name__ == "__main__":
    main(sys.argv[1:])
