"""Compares the ports of a report with those of the firmware: a network of other widths has others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.hls4ml.reports.reports import Port, Solution

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.folder import Project

#: Protocols of the ports of single values; others belong to buses, memories and the control of the function.
_PLAIN = frozenset({"ap_vld", "ap_none", "ap_ovld", "ap_hs", "ap_ack", "ap_stable"})
#: Values that a module returns, as HLS numbers them.
_RETURNED = re.compile(r"ap_return_\d+")


def foreign_ports(project: Project, solution: Solution) -> list[str]:
    """Ports of the top function that the firmware has not, and modules with other numbers of values."""
    out = []
    reports = [report for report in (solution.csynth, *solution.modules) if report is not None]
    # Within a function around it, the network is a module, and HLS names and drops the ports of modules.
    whole = solution.csynth is not None and solution.csynth.top == project.top
    ports = next((each.ports for each in reports if whole and each.top == project.top and each.ports), ())
    if any(port.protocol in _PLAIN for port in ports):
        for name, bits in project.ports.items():
            out += _other_port(name, bits, ports)
    for report in reports:
        returned = sum(bool(_RETURNED.fullmatch(port.name)) for port in report.ports)
        for number, config in enumerate(project.configs):
            if (
                config
                and returned
                and "dense" in report.top
                and re.search(rf"_{config}_s$|_{config}$", report.top)
            ):
                fewest, most = _values(project, number)
                if not fewest <= returned <= most:
                    out.append(
                        f"module {report.top} returns {returned} values, {config} of the firmware has {most}"
                    )
    return out


def _other_port(name: str, bits: int, ports: Sequence[Port]) -> list[str]:
    """What an array's ports contradict: HLS makes one of it, or one a value, with its number in the name."""
    own = re.compile(rf"{name}(?:_r)?(?:_\d+)*(?:_V)?(?:_\d+)*")
    reported = [port.bits for port in ports if port.protocol in _PLAIN and own.fullmatch(port.name)]
    if reported and sum(reported) != bits:
        return [f"port {name} has {bits} bits in the firmware, {sum(reported)} in the report"]
    if not reported and not any(port.name.startswith(name) for port in ports):
        return [f"port {name} of the firmware is none of the report"]
    return []


def _values(project: Project, number: int) -> tuple[int, int]:
    """The fewest and most values that the module of a layer returns; HLS removes what has no effect."""
    layer, *following = project.query.layers[number : number + 2]
    if layer.weights is None or any(after.weights is None for after in following):
        return 1, layer.n_out
    live = layer.weights.any(axis=0)
    for after in following:
        live = live & np.any(after.weights, axis=1)
    return int(np.count_nonzero(live)), layer.n_out
