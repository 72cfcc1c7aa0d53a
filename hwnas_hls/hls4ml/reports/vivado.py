"""Reads the header of Vivado's reports: tool, design, device, state of the design."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"\|\s*(Tool Version|Command|Design|Device|Design State|Speed File)\s*:\s*(.*?)\s*\|?\s*")


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a report; ``command`` is empty if it is not a report of Vivado."""

    version: str = ""
    command: str = ""
    design: str = ""
    device: str = ""
    state: str = ""

    @property
    def stage(self) -> str:
        """``post_route`` for routed designs, ``logic_synth`` for earlier states, including placed."""
        state = self.state.lower()
        return "post_route" if "route" in state and "unroute" not in state else "logic_synth"


def read_head(lines: list[str]) -> Head:
    """The header in the first 40 lines."""
    fields: dict[str, str] = {}
    for line in lines[:40]:
        match = _LINE.fullmatch(line.strip()[:1000])
        if match is not None:
            fields.setdefault(match[1], match[2])
    version = re.search(r"v\.(\d{4}\.\d)", fields.get("Tool Version", ""))
    return Head(
        version=version[1] if version else "",
        command=fields.get("Command", ""),
        design=fields.get("Design", ""),
        device=fields.get("Device", ""),
        state=fields.get("Design State", ""),
    )
