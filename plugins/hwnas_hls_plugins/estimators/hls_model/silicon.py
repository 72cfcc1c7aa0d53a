"""Classes of parts and tools: what a report of one tells about another.

A part's class is its silicon and speed: ``7series_slow`` are Artix and Zynq-7, ``7series_fast`` are
Kintex-7, Virtex-7 and the faster Zynq. A tool's family is the compiler behind it: Vivado HLS until 2020,
Vitis HLS since.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from hwnas_hls.protocols.target import device_of

PART_CLASSES = ("7series_slow", "7series_fast", "ultrascale", "ultrascale+", "versal", "unknown")


@functools.lru_cache(maxsize=4096)
def part_class(part: str) -> str:
    """One of :data:`PART_CLASSES`."""
    device = device_of(part)
    if re.match(r"xa?c?7(z0(07|10|12|14|15|20)|a|s)", device) or device.startswith(("xa7", "xc7s", "xc7a")):
        return "7series_slow"
    if device.startswith(("xc7", "xq7")):
        return "7series_fast"
    if re.match(r"xc(vu\d+p|ku\d+p|au\d+p|zu|u\d|k26|k24|vu\d\dp|vup)", device):
        return "ultrascale+"
    if re.match(r"xc(vu|ku)\d", device):
        return "ultrascale"
    if re.match(r"xc(vc|vm|vp|ve|vh|v\d)", device):
        return "versal"
    return "unknown"


#: Delays by speed grade over those of grade 2. With 1.10 the cycles of families left out came out right more
#: often than with 1 (docs/decisions.md); 0.92 is a guess, set by hand, with three designs of grade 3 in view.
SLOWER_BY_GRADE = {1: 1.10, 2: 1.0, 3: 0.92}


@functools.lru_cache(maxsize=4096)
def speed_grade(part: str) -> int:
    """1 (slow) to 3 (fast); 2 where the part does not say."""
    match = re.search(r"-(\d)[a-z]*(-|$)", part.strip().lower())
    return int(match[1]) if match and match[1] in "123" else 2


@dataclass(frozen=True, slots=True)
class Tool:
    """A vendor tool.

    Attributes:
        family: ``vivado`` (Vivado HLS and what hls4ml's Vivado backends ran) or ``vitis``.
        version: for example 2020.1; 0.0 where unknown.
        place: whether it is the Vivado that synthesises logic, not an HLS compiler.
    """

    family: str
    version: float
    place: bool

    @property
    def text(self) -> str:
        name = "vivado" if self.place else f"{self.family}_hls"
        return f"{name} {self.version:.1f}" if self.version else name


@functools.lru_cache(maxsize=4096)
def tool_of(text: str) -> Tool:
    """Read ``vitis_hls 2023.2``, ``Vivado HLS 2019.2``, ``vivado 2020.1``, ``2018.3``."""
    lower = text.strip().lower()
    match = re.search(r"(20\d\d)(?:\.(\d))?", lower)
    version = float(f"{match[1]}.{match[2] or 1}") if match else 0.0
    if "vitis" in lower:
        return Tool("vitis", version, False)
    if "vivado" in lower:
        hls = "hls" in lower
        # Logic synthesis comes after an HLS compiler of the same release.
        family = "vivado" if hls or (version and version < 2020.2) or not version else "vitis"
        return Tool(family, version, not hls)
    if version:
        return Tool("vitis" if version >= 2020.2 else "vivado", version, False)
    return Tool("vitis", 0.0, False)


def default_uncertainty(tool: Tool) -> float:
    """Share of the clock period that the compiler keeps back: 12.5 % Vivado HLS, 27 % Vitis HLS."""
    return 0.125 if tool.family == "vivado" else 0.27
