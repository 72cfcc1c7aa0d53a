"""Cycle-by-cycle simulation of a mapped netlist in numpy, for many streams in parallel.

The simulated netlist is the one whose cells are counted. Every combinational cell is a truth table;
tables of the same size and level are evaluated together, and each net is a row of 64-bit words with one
bit per stream.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline

NAME = "mapped netlist in numpy"
_ZERO, _ONE = 0, 1
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_MUX = 0b11001010  # inputs (at 0, at 1, select)
_XOR = 0b0110


@dataclass(frozen=True, slots=True)
class _Batch:
    """Truth tables with the same number of inputs on one level.

    Args:
        inputs: (inputs, cells) rows of nets.
        outputs: (cells,) rows of nets.
        table: (2**inputs, cells, 1) of all zeros or all ones.
    """

    inputs: NDArray[np.intp]
    outputs: NDArray[np.intp]
    table: NDArray[np.uint64]


@dataclass(slots=True)
class _Cells:
    tables: list[tuple[list[int], int, int]] = field(default_factory=list)  # inputs, output, truth table
    registers: list[tuple[int, int, int, int, bool]] = field(default_factory=list)  # D, Q, CE, S/R, set


class Netlist:
    """A mapped netlist of LUTs, carry chains, wide multiplexers, registers and shift registers.

    Args:
        path: JSON as Yosys' ``write_json`` writes it.
        top: module.

    Raises:
        Unsupported: it has other cells (DSP blocks, memories) or an unregistered output.
    """

    def __init__(self, path: Path, top: str) -> None:
        module = json.loads(path.read_text())["modules"][top]
        self._rows: dict[int, int] = {}
        cells = _Cells()
        for name, cell in module["cells"].items():
            self._add(cells, name, cell)
        ports = module["ports"]
        self._input = np.array([self._row(bit) for bit in ports["model_inp"]["bits"]], np.intp)
        self._output = np.array([self._row(bit) for bit in ports["model_out"]["bits"]], np.intp)
        columns = list(zip(*cells.registers, strict=True)) if cells.registers else [()] * 5
        self._data, self._state, self._enable, self._force = (
            np.array(column, np.intp) for column in columns[:4]
        )
        self._forced = np.where(np.array(columns[4], bool), _ALL, np.uint64(0))[:, None]
        held = {_ZERO, _ONE, *self._state.tolist()}
        if not set(self._output.tolist()) <= held:
            raise Unsupported(
                "an output is not registered, so its value between clock edges is undefined",
                kind=ErrorKind.INVALID,
            )
        self._batches = _levels(cells.tables, held | set(self._input.tolist()))
        self._count = 2 + len(self._rows)

    def simulate(self, streams: NDArray[np.uint8], deadline: Deadline) -> NDArray[np.uint8]:
        """Feed one row of bits per clock to each stream; returns the outputs after each rising edge.

        Args:
            streams: (streams, clocks, input width).
            deadline: checked every clock.

        Returns:
            (streams, clocks, output width); all registers start at zero.

        Raises:
            TimeLimitError: the deadline has passed.
        """
        count, clocks, _ = streams.shape
        words = -(-count // 64)
        padded = np.zeros((words * 64, *streams.shape[1:]), np.uint8)
        padded[:count] = streams
        # (clocks, width, words): bit b of word w is stream 64 w + b.
        packed = np.packbits(padded.transpose(1, 2, 0), axis=2, bitorder="little").view("<u8")
        nets = np.zeros((self._count, words), np.uint64)
        nets[_ONE] = _ALL
        out = np.empty((clocks, len(self._output), words), "<u8")
        for clock in range(clocks):
            deadline.check("the netlist simulation")
            nets[self._input] = packed[clock]
            for batch in self._batches:
                nets[batch.outputs] = _look_up(batch, nets)
            state = nets[self._state]
            state ^= (state ^ nets[self._data]) & nets[self._enable]
            state ^= (state ^ self._forced) & nets[self._force]
            nets[self._state] = state
            out[clock] = nets[self._output]
        bits = np.unpackbits(out.view(np.uint8), axis=2, bitorder="little")
        return bits.transpose(2, 0, 1)[:count]

    def _row(self, bit: int | str) -> int:
        if isinstance(bit, str):  # "0", "1", "x", "z": an undefined bit may be anything
            return _ONE if bit == "1" else _ZERO
        return self._rows.setdefault(bit, len(self._rows) + 2)

    def _new_row(self) -> int:
        # Negative numbers: nets that the file does not name.
        return self._rows.setdefault(-1 - len(self._rows), len(self._rows) + 2)

    def _add(self, cells: _Cells, name: str, cell: Mapping[str, Any]) -> None:
        kind, wires, settings = cell["type"], cell["connections"], cell["parameters"]

        def row(port: str, place: int = 0, absent: int = _ZERO) -> int:
            bits = wires.get(port, ())
            return self._row(bits[place]) if place < len(bits) else absent

        if kind in _PLAIN:
            inputs, table = _PLAIN[kind]
            cells.tables.append(([row(port) for port in inputs], row("O"), table))
        elif kind.startswith("LUT") and kind[3:] in "123456" and "O" in wires:
            pins = [f"I{place}" for place in range(int(kind[3:]))]
            cells.tables.append(([row(port) for port in pins], row("O"), _number(settings["INIT"])))
        elif kind == "LUT6_2":  # two outputs of one table; O5 is its lower half
            nets, both = [row(f"I{place}") for place in range(6)], _number(settings["INIT"])
            for port, read, entries in (("O6", nets, both), ("O5", nets[:5], both & 0xFFFF_FFFF)):
                if wires.get(port) and not isinstance(wires[port][0], str):
                    cells.tables.append((read, row(port), entries))
        elif kind == "CARRY4":
            self._carry(cells, wires)
        elif kind in ("FDRE", "FDSE"):
            if any(_number(settings.get(f"IS_{port}_INVERTED", "0")) for port in "CDRS"):
                raise Unsupported(f"cell {name}: inverted pins of {kind} are not simulated")
            force = row("R" if kind == "FDRE" else "S")
            cells.registers.append((row("D"), row("Q"), row("CE", 0, _ONE), force, kind == "FDSE"))
        elif kind in ("SRL16E", "SRLC32E"):
            self._shift_register(cells, name, kind, wires)
        elif kind not in ("$scopeinfo", "GND", "VCC") and not self._add_of_ecp5(cells, name, cell):
            raise Unsupported(f"cell {name}: the netlist simulator does not support {kind}")

    def _carry(self, cells: _Cells, wires: Mapping[str, Any]) -> None:
        start = [self._row(wires[port][0]) for port in ("CI", "CYINIT")]
        carry = self._new_row()
        cells.tables.append((start, carry, 0b1110))  # one of the two is tied to zero
        for place in range(4):
            select, data = (self._row(wires[port][place]) for port in ("S", "DI"))
            for port, inputs, table in (("O", [select, carry], _XOR), ("CO", [data, carry, select], _MUX)):
                bits = wires.get(port, ())
                named = place < len(bits) and not isinstance(bits[place], str)
                output = self._row(bits[place]) if named else self._new_row()
                cells.tables.append((inputs, output, table))
                if port == "CO":
                    carry = output

    def _add_of_ecp5(self, cells: _Cells, name: str, cell: Mapping[str, Any]) -> bool:
        """Add a cell of ECP5; false for any other cell."""
        kind, wires, settings = cell["type"], cell["connections"], cell["parameters"]

        def row(port: str) -> int:
            return self._row(wires[port][0]) if wires.get(port) else _ZERO

        if kind in _WIDE:
            cells.tables.append(([row(port) for port in _WIDE[kind]], row("Z"), _MUX))
        elif kind == "LUT4":
            cells.tables.append(([row(port) for port in "ABCD"], row("Z"), _number(settings["INIT"])))
        elif kind == "CCU2C":
            self._carry_pair(cells, wires, settings)
        elif kind == "TRELLIS_FF":
            self._trellis_register(cells, name, wires, settings)
        else:
            return False
        return True

    def _carry_pair(self, cells: _Cells, wires: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """ECP5: two bits of a sum. A LUT4 propagates the carry, a LUT2 (its first four entries) generates it.

        A half with ``INJECT1`` has a sum without the carry, and generates no carry.
        """
        carry = self._row(wires["CIN"][0]) if wires.get("CIN") else _ZERO
        for place in range(2):
            table = _number(settings[f"INIT{place}"])
            injects = str(settings.get(f"INJECT1_{place}", "YES")).strip() == "YES"
            pins = [self._row(wires[f"{port}{place}"][0]) for port in "ABCD"]
            propagate, generate, following = self._new_row(), self._new_row(), self._new_row()
            cells.tables.append((pins, propagate, table))
            cells.tables.append((pins[:2], generate, 0 if injects else table & 0xF))
            cells.tables.append(([generate, carry, propagate], following, _MUX))
            if bits := wires.get(f"S{place}"):
                cells.tables.append(([propagate, _ZERO if injects else carry], self._row(bits[0]), _XOR))
            carry = following
        if bits := wires.get("COUT"):
            cells.tables.append(([carry], self._row(bits[0]), 0b10))

    def _trellis_register(
        self, cells: _Cells, name: str, wires: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        """ECP5: a register with an optional enable and a synchronous set or reset (LSR)."""

        def setting(key: str, default: str) -> str:
            return str(settings.get(key, default)).strip()

        enabled = setting("CEMUX", "1")
        plain = setting("CLKMUX", "CLK") == "CLK" and setting("LSRMUX", "LSR") == "LSR"
        if not plain or enabled not in ("1", "CE") or setting("LSRMODE", "LSR") != "LSR":
            raise Unsupported(f"cell {name}: inverted pins of TRELLIS_FF are not simulated")
        reset = self._row(wires["LSR"][0]) if wires.get("LSR") else _ZERO
        if setting("SRMODE", "LSR_OVER_CE") != "LSR_OVER_CE" and reset != _ZERO:
            raise Unsupported(f"cell {name}: an asynchronous reset is not simulated")
        enable = self._row(wires["CE"][0]) if enabled == "CE" and wires.get("CE") else _ONE
        data, state = self._row(wires["DI"][0]), self._row(wires["Q"][0])
        cells.registers.append((data, state, enable, reset, setting("REGSET", "RESET") == "SET"))

    def _shift_register(self, cells: _Cells, name: str, kind: str, wires: Mapping[str, Any]) -> None:
        bits = [wires[f"A{place}"][0] for place in range(4)] if kind == "SRL16E" else wires["A"]
        if not all(isinstance(bit, str) for bit in bits):
            raise Unsupported(f"cell {name}: a shift register of varying length is not simulated")
        length = 1 + sum((bit == "1") << place for place, bit in enumerate(bits))
        source, enable = self._row(wires["D"][0]), self._row(wires["CE"][0])
        for place in range(length):
            target = self._row(wires["Q"][0]) if place == length - 1 else self._new_row()
            cells.registers.append((source, target, enable, _ZERO, False))
            source = target


_PLAIN = {
    "INV": (("I",), 0b01),
    "BUF": (("I",), 0b10),
    "MUXF7": (("I0", "I1", "S"), _MUX),
    "MUXF8": (("I0", "I1", "S"), _MUX),
    "MUXF9": (("I0", "I1", "S"), _MUX),
}
#: ECP5's wide multiplexers, whose output is ``Z``.
_WIDE = {"PFUMX": ("BLUT", "ALUT", "C0"), "L6MUX21": ("D0", "D1", "SD")}


def _number(text: str | int) -> int:
    return text if isinstance(text, int) else int(text.replace("x", "0"), 2)


def _levels(tables: list[tuple[list[int], int, int]], known: set[int]) -> list[_Batch]:
    """Sort the tables topologically, and batch them by level and number of inputs."""
    driver = {output: place for place, (_, output, _) in enumerate(tables)}
    readers: dict[int, list[int]] = defaultdict(list)
    waiting = [0] * len(tables)
    for place, (inputs, _, _) in enumerate(tables):
        for net in inputs:
            if net not in known and net in driver:
                readers[net].append(place)
                waiting[place] += 1
    level = [0] * len(tables)
    ready = [place for place, count in enumerate(waiting) if not count]
    done = 0
    while ready:
        place = ready.pop()
        done += 1
        for reader in readers[tables[place][1]]:
            level[reader] = max(level[reader], level[place] + 1)
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if done != len(tables):
        raise Unsupported("the netlist has a combinational loop", kind=ErrorKind.INVALID)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (inputs, _, _) in enumerate(tables):
        groups[level[place], len(inputs)].append(place)
    return [_batch([tables[place] for place in groups[key]]) for key in sorted(groups)]


def _batch(tables: list[tuple[list[int], int, int]]) -> _Batch:
    inputs = np.array([inputs for inputs, _, _ in tables], np.intp).T
    outputs = np.array([output for _, output, _ in tables], np.intp)
    size = 1 << len(inputs)
    ones = np.array([[(table >> place) & 1 for _, _, table in tables] for place in range(size)], bool)
    return _Batch(inputs, outputs, np.where(ones, _ALL, np.uint64(0))[:, :, None])


def _look_up(batch: _Batch, nets: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Halve the table once per input; the selected entry remains."""
    table = batch.table
    for net in batch.inputs:
        low, high = table[0::2], table[1::2]
        table = low ^ ((low ^ high) & nets[net])
    found: NDArray[np.uint64] = table[0]
    return found
