"""Directives of pragmas and Tcl scripts: what binds operations, and what acts on the top function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: hls4ml's headers with multiplications -> the strategy whose layers they build, or all.
MULTIPLYING = {
    "nnet_dense_latency.h": "Latency",
    "nnet_dense_resource.h": "Resource",
    "nnet_dense.h": "",
    "nnet_mult.h": "",
}
_CORE = re.compile(r"(?i)\bcore\s*=\s*(\w+)")
#: hls4ml's headers take the interval from the configuration, or 1.
_OWN_INTERVAL = re.compile(r"(?i)PIPELINE\b.*\bII\s*=\s*(?!1\b)\d")
_CONFIG_OP = re.compile(r"(?m)^[ \t]*config_op[ \t]+([^\n;#]{1,300})")


@dataclass(slots=True)
class Bindings:
    """What directives make of operations.

    Args:
        multipliers: strategy, empty for all -> ``dsp`` or ``fabric``.
        others: directives that the reader cannot follow, as text behind ``#pragma HLS``.
    """

    multipliers: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def of(self, strategy: str) -> str | None:
        """``dsp`` or ``fabric`` if a directive binds the multiplications of a strategy's layers."""
        return self.multipliers.get(strategy) or self.multipliers.get("")


def read_bindings(headers: Mapping[str, Iterable[str]], scripts: str) -> Bindings:
    """The bindings of hls4ml's headers and of ``config_op``.

    Args:
        headers: names in :data:`MULTIPLYING` -> their pragmas, as text behind ``#pragma HLS``.
        scripts: the Tcl scripts.
    """
    found = Bindings()
    for name, pragmas in headers.items():
        for pragma in pragmas:
            if re.match(r"(?i)(?:BIND_OP|RESOURCE)\b", pragma):
                _bind(found, MULTIPLYING[name], pragma)
            elif _OWN_INTERVAL.match(pragma):
                found.others.append(pragma)
    for command in _CONFIG_OP.finditer(scripts):
        _bind(found, "", f"CONFIG_OP {command[1]}")
    return found


def _bind(found: Bindings, strategy: str, directive: str) -> None:
    core = _CORE.search(directive)
    if core is not None:
        if not re.match(r"(?i)mul|dsp", core[1]):
            if not re.match(r"(?i)r[oa]m", core[1]):  # hls4ml's own, for weights
                found.others.append(directive)
            return
        kind = "fabric" if core[1].lower() == "mul_lut" else "dsp"
    else:
        implementation = re.search(r"(?i)\bimpl[\s=]+(\w+)", directive)
        kind = implementation[1].lower() if implementation is not None else ""
        if re.search(r"(?i)\bmul\b", directive) is None or kind not in ("dsp", "fabric"):
            found.others.append(directive)
            return
    if found.multipliers.setdefault(strategy, kind) != kind:
        found.others.append(directive)


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
