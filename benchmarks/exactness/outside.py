"""Testbenches of exported designs, run outside of hwnas-hls, against integer arithmetic of their own.

    hwnas-hls export RUN KEY --format verilog --set rows=0      # all test rows; again with --format vhdl
    python benchmarks/exactness/outside.py RUN/designs/KEY ... [--sim icarus verilator ghdl] [--csim]

For each design, ``make -C rtl sim PRINT=1`` runs the testbench, and every printed output is compared with the
outputs computed here from ``design.json``, ``weights.npz`` and the rows of the testbench. ``--csim`` compiles
the firmware of ``hls4ml/`` with its own test bench, too, and compares what that writes. Nothing is imported
from hwnas-hls: fixed-point types are read and applied by this file, in Python's integers. It ends with 1 if
a bit differs, a row is missing, or a simulator fails.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

_TYPE = re.compile(r"ap_(u?)fixed<(\d+),(-?\d+)(?:,AP_(\w+))?(?:,AP_(\w+))?>")
_ROW = re.compile(r"row (\d+): outputs (?:x\")?([0-9a-fA-F]+)")


@dataclass(frozen=True)
class Grid:
    """An ``ap_fixed`` type."""

    width: int
    fraction: int
    signed: bool
    rounding: str
    overflow: str

    @classmethod
    def read(cls, text: str) -> Grid:
        found = _TYPE.fullmatch(text.replace(" ", ""))
        if found is None:
            raise ValueError(f"{text} is no fixed-point type that this file knows")
        unsigned, width, integer, rounding, overflow = found.groups()
        return cls(int(width), int(width) - int(integer), not unsigned, rounding or "TRN", overflow or "WRAP")

    def cast(self, value: Fraction) -> Fraction:
        """The value on this grid, as Vitis HLS assigns it."""
        scaled = value * Fraction(2) ** self.fraction
        if self.rounding == "TRN":
            number = scaled.numerator // scaled.denominator
        elif self.rounding == "RND":
            half = scaled + Fraction(1, 2)
            number = half.numerator // half.denominator
        else:
            raise ValueError(f"rounding {self.rounding} is not known here")
        low = -(1 << (self.width - 1)) if self.signed else 0
        high = low + (1 << self.width) - 1
        if self.overflow == "SAT":
            number = min(max(number, low), high)
        elif self.overflow == "WRAP":
            number = (number - low) % (1 << self.width) + low
        else:
            raise ValueError(f"overflow {self.overflow} is not known here")
        return number / Fraction(2) ** self.fraction


def outputs(folder: Path, rows: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """The outputs of a chain of dense layers, exact."""
    layers = json.loads((folder / "design.json").read_text())["architecture"]["layers"]
    held = np.load(folder / "weights.npz")
    values = [list(row) for row in rows]
    for number, layer in enumerate(layers):
        if layer["kind"] != "dense" or layer["activation"] not in ("relu", "linear"):
            raise ValueError(f"layer {number} is no dense layer with relu or without activation")
        step = Fraction(2) ** -Grid.read(layer["weight"]).fraction
        weights = [[int(item) * step for item in column] for column in held[f"weight{number}"].T]
        biases = [Fraction(0)] * len(weights)
        if f"bias{number}" in held:
            step = Fraction(2) ** -Grid.read(layer["bias"]).fraction
            biases = [int(item) * step for item in held[f"bias{number}"]]
        accum, result = (layer[name] and Grid.read(layer[name]) for name in ("accum", "result"))
        for place, row in enumerate(values):
            sums = [
                sum((a * b for a, b in zip(row, column, strict=True)), start=bias)
                for column, bias in zip(weights, biases, strict=True)
            ]
            if accum:
                sums = [accum.cast(value) for value in sums]
            if layer["activation"] == "relu":
                sums = [max(value, Fraction(0)) for value in sums]
            values[place] = [result.cast(value) for value in sums] if result else sums
    return values


def field(word: int, port: dict[str, Any]) -> Fraction:
    """The value of a port in a word; one of no bits is zero."""
    if not port["width"]:
        return Fraction(0)
    high, _, low = str(port["bits"]).partition(":")
    width = int(high) - int(low or high) + 1
    number = word >> int(low or high) & (1 << width) - 1
    if port["sign"] and number >> (width - 1):
        number -= 1 << width
    return number / Fraction(2) ** port["fraction"]


def simulated(folder: Path, simulator: str) -> dict[int, int]:
    """Row -> printed outputs, as one word."""
    done = subprocess.run(
        ["make", "-C", str(folder / "rtl"), "sim", f"SIM={simulator}", "PRINT=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(f"{simulator} ended with {done.returncode}:\n{text[-2000:]}")
    return {int(row): int(word, 16) for row, word in _ROW.findall(text)}


def by_csim(folder: Path, work: Path) -> list[list[float]]:
    """What the test bench of the hls4ml project writes."""
    place = work / "hls4ml"
    shutil.copytree(folder / "hls4ml", place)
    (source,) = place.glob("*_test.cpp")
    # All digits instead of the six that streams print by default.
    opened = "std::ofstream fout(RESULTS_LOG);"
    text = source.read_text()
    if opened not in text:
        raise ValueError(f"{source.name} writes its results in another way than this file knows")
    source.write_text(text.replace(opened, f"{opened} fout.precision(17);"))
    name = source.name.removesuffix("_test.cpp")
    types = next(place.rglob("ap_fixed.h")).parent
    sources = [source.name, f"firmware/{name}.cpp"]
    command = ["g++", "-std=c++14", "-O1", "-w", "-I", str(types), *sources, "-o", "bench"]
    subprocess.run(command, cwd=place, check=True)
    subprocess.run(["./bench"], cwd=place, check=True, capture_output=True)
    lines = (place / "tb_data" / "csim_results.log").read_text().splitlines()
    return [[float(item) for item in line.split()] for line in lines]


def check(folder: Path, simulators: Sequence[str], csim: bool) -> list[str]:
    """What differs; nothing if all is equal."""
    circuit = json.loads((folder / "rtl" / "circuit.json").read_text())
    (file,) = (folder / "rtl" / "tb").glob("*_rows.hex")
    words = [int(line, 16) for line in file.read_text().split()]
    given = [[field(word, port) for port in circuit["features"]] for word in words]
    expected = outputs(folder, given)
    wrong = []
    for simulator in simulators:
        found = simulated(folder, simulator)
        if sorted(found) != list(range(len(words))):
            wrong.append(f"{simulator}: {len(found)} of {len(words)} rows")
        bad = sum(
            [field(found[row], port) for port in circuit["outputs"]] != expected[row] for row in sorted(found)
        )
        if bad:
            wrong.append(f"{simulator}: {bad} rows differ")
    if csim:
        lines = (folder / "hls4ml" / "tb_data" / "tb_input_features.dat").read_text().splitlines()
        rows = [[Fraction(float(item)) for item in line.split()] for line in lines]
        with tempfile.TemporaryDirectory() as name:
            answers = by_csim(folder, Path(name))
        right = [[float(value) for value in row] for row in outputs(folder, rows)]
        bad = sum(a != b for a, b in zip(answers, right, strict=True))
        if bad:
            wrong.append(f"C simulation: {bad} of {len(right)} rows differ")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("designs", type=Path, nargs="+")
    parser.add_argument("--sim", nargs="*", default=["icarus", "verilator", "ghdl"])
    parser.add_argument("--csim", action="store_true")
    options = parser.parse_args()
    failures = 0
    for folder in options.designs:
        wrong = check(folder, options.sim, options.csim)
        failures += bool(wrong)
        (file,) = (folder / "rtl" / "tb").glob("*_rows.hex")
        count = len(file.read_text().split())
        print(f"{folder.name}: {count} rows, {'; '.join(wrong) or 'every output equal'}", flush=True)
    print(f"{len(options.designs) - failures} of {len(options.designs)} designs equal")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
