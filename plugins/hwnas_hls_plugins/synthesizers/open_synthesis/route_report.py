"""The reader of nextpnr's JSON report of a routed circuit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls_plugins.synthesizers.open_synthesis.harness import Harness

#: Largest relative difference of a report's Fmax from the sum of its critical path (single precision).
_ROUNDING = 1e-4


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
