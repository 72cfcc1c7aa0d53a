"""Directives of pragmas and Tcl scripts: what binds multiplications, and what acts on the top function."""

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


#: ``set_directive_pipeline -II 8 "net"``: its name, and what follows.
_DIRECTIVE = re.compile(r"set_directive_(\w+)\s*(.*)")
#: Which function is the top one; the reader knows it.
_NO_CHANGE = frozenset({"top"})


def directive_pragmas(script: str) -> list[str]:
    """What the ``set_directive_...`` commands of a Tcl script mean, as text behind ``#pragma HLS``."""
    found = []
    for line in script.splitlines():
        match = _DIRECTIVE.match(line.strip()[:500])
        if match is None or match[1].lower() in _NO_CHANGE:
            continue
        words = match[2].replace('"', " ").replace("{", " ").replace("}", " ").split()
        options = re.sub(r"(?<!\S)-([A-Za-z_]\w*)\s+(?=[^-\s])", r"\1=", " ".join(words))
        found.append(f"{match[1].upper()} {options}".strip())
    return found
