"""Counts the resources of a mapped netlist."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError

_LUT = re.compile(r"LUT[1-6]|LUT6_2")
#: ECP5: two bits of a carry chain, built from two LUT4.
_CARRY_PAIR = "CCU2C"
_SHIFT_REGISTER = re.compile(r"SRL.*")
_FLIP_FLOP = re.compile(r"FD[RSCP]E(_1)?|FD[RSCP]|TRELLIS_FF")
_DSP = re.compile(r"DSP48E\d*|MULT18X18D")
_CARRY = re.compile(r"CARRY([48])")
_BRAM18 = re.compile(r"RAMB18E\d|DP16KD")
_BRAM36 = re.compile(r"RAMB36E\d")
_URAM = re.compile(r"URAM288.*")
_WIDE_MUX = re.compile(r"MUXF[789]|PFUMX|L6MUX21")
_IGNORED = re.compile(r"\$scopeinfo|GND|VCC|BUFG.*")


@dataclass(frozen=True, slots=True)
class Counts:
    """Resources of one netlist.

    Args:
        lut: LUT1 to LUT6, and LUT6_2, which has two outputs; on ECP5 LUT4, of which a CCU2C takes two.
        inv: inverters; each takes a LUT unless the vendor's tool absorbs it.
        srl: shift registers, one LUT each.
        ff, dsp, bram_18k, uram, wide_mux: as named; a 36-kbit block counts as two.
        carry_bits: bits of carry primitives (CARRY4 has four, CCU2C two, used or not).
    """

    lut: int
    inv: int
    srl: int
    ff: int
    dsp: int
    bram_18k: int
    uram: int
    carry_bits: int
    wide_mux: int

    @property
    def lut_low(self) -> int:
        """The number of LUTs if all inverters are absorbed."""
        return self.lut + self.srl

    @property
    def lut_high(self) -> int:
        """The number of LUTs if every inverter takes one."""
        return self.lut + self.srl + self.inv

    def to_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of(cls, cells: Mapping[str, int]) -> Counts:
        """From a mapping of cell type -> number.

        Raises:
            ReportError: a cell is not a resource of a part, so the netlist is not mapped.
        """
        tally = dict.fromkeys(cls.__dataclass_fields__, 0)
        for name, count in cells.items():
            carry = _CARRY.fullmatch(name)
            if carry:
                tally["carry_bits"] += int(carry[1]) * count
            elif name == _CARRY_PAIR:
                tally["carry_bits"] += 2 * count
                tally["lut"] += 2 * count
            elif name == "INV":
                tally["inv"] += count
            elif _BRAM36.fullmatch(name):
                tally["bram_18k"] += 2 * count
            elif not _IGNORED.fullmatch(name):
                kind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(name)), None)
                if kind is None:
                    raise ReportError(
                        f"the netlist has {count} cells of type {name}, which is not a resource"
                    )
                tally[kind] += count
        return cls(**tally)

    @classmethod
    def read(cls, path: Path) -> Counts:
        """From the JSON file written by Yosys's ``stat -json``.

        Raises:
            ReportError: the file cannot be read.
        """
        try:
            cells = json.loads(path.read_text())["design"]["num_cells_by_type"]
        except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ReportError(
                f"{path} is no statistics of Yosys: {error!r}", kind=ErrorKind.WRONG_FORMAT
            ) from error
        return cls.of(cells)


_KINDS = (
    ("lut", _LUT),
    ("srl", _SHIFT_REGISTER),
    ("ff", _FLIP_FLOP),
    ("dsp", _DSP),
    ("bram_18k", _BRAM18),
    ("uram", _URAM),
    ("wide_mux", _WIDE_MUX),
)
