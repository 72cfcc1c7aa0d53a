"""The result of an RTL generator, and the requirements of both generators on a design."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Dense, Merge
from hwnas_hls.network.limits import TABLES
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import Port

TOP = "m"
#: Maximum weight width: da4ml and alkaid store constant matrices as float32.
WEIGHT_BITS = 24
_ROUNDINGS = ("TRN", "RND")
_OVERFLOWS = ("WRAP", "SAT", "SAT_SYM")


@dataclass(frozen=True, slots=True)
class Rtl:
    """Generated Verilog: a top module with ports ``clk``, ``model_inp``, ``model_out``.

    Args:
        folder: folder of the sources.
        sources: Verilog files relative to ``folder``, in reading order.
        input, output: packing of the two data ports.
        stages: cycles from the clock edge that takes an input to its result being visible,
            as the generator counts them.
        facts: further facts from the generator (cost, register bits, versions), JSON-able.
        top: name of the top module.
        mapped: source -> its replacement in synthesis, which instantiates cells of the family.
        vhdl: the same circuit in VHDL, files relative to ``folder`` in reading order; empty if the
            generator writes none.
        circuit: SHA-256 of the Verilog, see :func:`hwnas_hls_plugins.synthesizers.open_synthesis.circuit`;
            empty if the circuit is not exported.
    """

    folder: Path
    sources: tuple[str, ...]
    input: Port
    output: Port
    stages: int
    facts: Mapping[str, Any]
    top: str = TOP
    mapped: Mapping[str, str] = field(default_factory=dict)
    vhdl: tuple[str, ...] = ()
    circuit: str = ""

    def save(self) -> None:
        """Write ``rtl.json`` into the folder."""
        data = {
            "sources": list(self.sources),
            "input": [[element.sign, element.integer, element.fraction] for element in self.input.elements],
            "output": [[element.sign, element.integer, element.fraction] for element in self.output.elements],
            "stages": self.stages,
            "facts": dict(self.facts),
            "top": self.top,
            "mapped": dict(self.mapped),
            "vhdl": list(self.vhdl),
            "circuit": self.circuit,
        }
        (self.folder / "rtl.json").write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Rtl:
        data = json.loads((folder / "rtl.json").read_text())
        return cls(
            folder,
            tuple(data["sources"]),
            Port.of(data["input"]),
            Port.of(data["output"]),
            data["stages"],
            data["facts"],
            data["top"],
            data["mapped"],
            tuple(data["vhdl"]),
            data["circuit"],
        )


def unbuilt(architecture: Architecture, *, graphs: bool = False) -> str:
    """Why adders, multipliers and comparators build no design of an architecture; empty if they may.

    Args:
        graphs: as for :func:`check`.
    """
    if not graphs and not architecture.is_chain:
        return f"{architecture.shape} is not a chain of dense layers"
    activations = ("relu", "leaky_relu", "linear") if graphs else ("relu", "linear")
    for number, layer in enumerate(architecture.layers):
        where = f"layer {number}"
        if not isinstance(layer, Dense | Merge):
            return (
                f"{where}: a {layer.kind} layer; open synthesis builds dense layers and merges, since hls4ml "
                "shares one product among all positions of an image"
            )
        if layer.activation not in activations:
            why = "uses a lookup table" if layer.activation in TABLES else "is not built here"
            return f"{where}: {layer.activation} {why}; open synthesis builds {', '.join(activations)}"
        result = layer.result
        if result is None or (isinstance(layer, Dense) and result == layer.accum):
            continue
        if result.rounding not in _ROUNDINGS or result.overflow not in _OVERFLOWS:
            return (
                f"{where}: result {result}; open synthesis rounds by {' or '.join(_ROUNDINGS)} "
                f"and limits by {' or '.join(_OVERFLOWS)}"
            )
    return ""


def check(design: Design, *, graphs: bool = False) -> None:
    """Check that adders, multipliers and comparators can build the design bit for bit.

    Args:
        graphs: whether merges, branches and ``leaky_relu`` are built, which only distributed
            arithmetic does.

    Raises:
        Unsupported: they cannot; the message names the layer and the reason.
    """
    architecture = design.architecture
    if (design.features or design.neurons) and not graphs:
        raise Unsupported(
            "types of single input features and neurons are built by distributed arithmetic alone"
        )
    if words := unbuilt(architecture, graphs=graphs):
        raise Unsupported(words)
    for number, (layer, types) in enumerate(zip(architecture.layers, design.layer_types(), strict=True)):
        (source, accum, result), where = types, f"layer {number}"
        if isinstance(layer, Dense) and accum.fraction < source.fraction + layer.weight.fraction:
            raise Unsupported(
                f"{where}: accumulator {accum} drops bits of every product (they have "
                f"{source.fraction + layer.weight.fraction} fractional bits); leave it out or widen it",
                kind=ErrorKind.INEXACT,
            )
        if accum.overflow not in _OVERFLOWS:
            raise Unsupported(
                f"{where}: accumulator overflow {accum.overflow}; choices: {', '.join(_OVERFLOWS)}"
            )
        weight = layer.weight.width if isinstance(layer, Dense) else 0
        if max(accum.width, result.width, weight) > 62:
            raise Unsupported(f"{where}: types beyond 62 bits are not simulated")
        values = design.weights[number]
        largest = 0 if values is None else max(int(values.max(initial=0)), -int(values.min(initial=0)))
        if graphs and largest.bit_length() > WEIGHT_BITS:
            raise Unsupported(
                f"{where}: distributed arithmetic supports weights of at most {WEIGHT_BITS} bits",
                kind=ErrorKind.TOO_LARGE,
            )
