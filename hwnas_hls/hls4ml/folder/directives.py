"""Directives that select DSPs or fabric for multiplications."""

from __future__ import annotations

import re


def directive_multipliers(texts: list[str]) -> str | None:
    """``dsp`` or ``fabric`` if a directive binds multiplications; ``None`` if none does or both occur.

    Args:
        texts: scripts and sources that may contain ``BIND_OP``, ``RESOURCE ... core=`` or ``config_op``.
    """
    found = set()
    for text in texts:
        for match in re.finditer(r"(?i)\b(?:BIND_OP|set_directive_bind_op|config_op)\b([^\n]{0,300})", text):
            if re.search(r"(?i)\bmul\b", match[1]):
                implementation = re.search(r"(?i)impl[\s=]+(\w+)", match[1])
                if implementation is not None:
                    found.add(implementation[1].lower())
        for match in re.finditer(r"(?i)HLS\s+RESOURCE\b[^\n]{0,200}core=(Mul\w*|DSP48)", text):
            found.add("fabric" if match[1].lower() == "mul_lut" else "dsp")
    found &= {"dsp", "fabric"}
    return found.pop() if len(found) == 1 else None
