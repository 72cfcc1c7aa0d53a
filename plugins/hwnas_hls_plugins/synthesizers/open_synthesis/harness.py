"""The harness in which an ECP5 netlist is routed: shift registers at its ports.

The core keeps the cells that were counted and simulated: a shift register feeds its inputs, a second one
captures its outputs, and four pins remain. The known number of harness cells is subtracted from reports.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported
from hwnas_hls_plugins.synthesizers.open_synthesis.circuit import CORE

#: Pins of the harness.
CLOCK, LOAD, SHIFT_IN, SHIFT_OUT = "clk", "load", "shift_in", "shift_out"
#: A LUT4 that outputs B if C is 1, else A.
_SELECT = format(0xCACA, "016b")


@dataclass(frozen=True, slots=True)
class Harness:
    """A netlist with shift registers at its ports.

    Args:
        lut, ff: cells of the harness.
        core_lut, core_ff: cells of the core: LUT4 and halves of CCU2C; registers.
    """

    lut: int
    ff: int
    core_lut: int
    core_ff: int


def wrap(netlist: Path, top: str, target: Path) -> Harness:
    """Write a mapped netlist with shift registers at its ports.

    While ``load`` is 0, ``shift_in`` shifts into the inputs and the outputs shift out at ``shift_out``, one
    bit per clock. While it is 1, the output register captures the outputs. The core does not change,
    because no pass of Yosys follows. The name of the design is left out of the names of cells and nets: the
    same circuit at two clocks is then the same netlist.

    Raises:
        Unsupported: the netlist has no registers, inputs or outputs.
        ReportError: a cell is not an ECP5 cell.
    """
    data = json.loads(netlist.read_text())
    module = data["modules"][top]
    cells, ports = module["cells"], module["ports"]
    inputs, outputs = ports["model_inp"]["bits"], ports["model_out"]["bits"]
    kinds = [cell["type"] for cell in cells.values()]
    core_lut = kinds.count("LUT4") + 2 * kinds.count("CCU2C")
    core_ff = kinds.count("TRELLIS_FF")
    if not core_ff or not inputs or not outputs:
        raise Unsupported("the outputs are constant: there is no circuit to route", kind=ErrorKind.INVALID)
    if "LUT6" in kinds or "FDRE" in kinds:
        raise ReportError("the netlist was not mapped to ECP5")
    clock = ports["clk"]["bits"]
    used = [bit for port in ports.values() for bit in port["bits"]]
    used += [bit for cell in cells.values() for wires in cell["connections"].values() for bit in wires]
    used += [bit for net in module.get("netnames", {}).values() for bit in net["bits"]]
    nets = _Nets(max(bit for bit in used if isinstance(bit, int)) + 1)
    shift_in, load = nets.new(), nets.new()
    before: int | str = shift_in
    for place, bit in enumerate(inputs):
        cells[f"harness_in_{place}"] = _register(clock, before, bit)
        before = bit
    before = "0"
    for place, bit in enumerate(outputs):
        chosen, held = nets.new(), nets.new()
        cells[f"harness_select_{place}"] = _select(before, bit, load, chosen)
        cells[f"harness_out_{place}"] = _register(clock, chosen, held)
        before = held
    module["ports"] = {
        CLOCK: {"direction": "input", "bits": clock},
        LOAD: {"direction": "input", "bits": [load]},
        SHIFT_IN: {"direction": "input", "bits": [shift_in]},
        SHIFT_OUT: {"direction": "output", "bits": [before]},
    }
    data["modules"] = {top: module}
    text = json.dumps(data)
    if top.endswith(CORE):
        text = re.sub(rf"\b{re.escape(top.removesuffix(CORE))}(?=_)", "nn", text)
    target.write_text(text)
    return Harness(len(outputs), len(inputs) + len(outputs), core_lut, core_ff)


@dataclass(slots=True)
class _Nets:
    following: int

    def new(self) -> int:
        self.following += 1
        return self.following - 1


def _register(clock: list[Any], data: Any, state: Any) -> dict[str, Any]:
    # Yosys appends a blank to strings of digits, so they are not read as numbers.
    settings = {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET"}
    return {
        "hide_name": 0,
        "type": "TRELLIS_FF",
        "parameters": settings,
        "attributes": {},
        "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
        "connections": {"CLK": clock, "DI": [data], "LSR": ["0"], "Q": [state]},
    }


def _select(low: Any, high: Any, select: int, output: int) -> dict[str, Any]:
    return {
        "hide_name": 0,
        "type": "LUT4",
        "parameters": {"INIT": _SELECT},
        "attributes": {},
        "port_directions": dict.fromkeys("ABCD", "input") | {"Z": "output"},
        "connections": {"A": [low], "B": [high], "C": [select], "D": ["0"], "Z": [output]},
    }
