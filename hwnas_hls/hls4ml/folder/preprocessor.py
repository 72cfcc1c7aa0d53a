"""Conditions of ``#if``, ``#ifdef`` and ``#elif``, as the HLS compiler decides them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hwnas_hls.hls4ml.folder.expressions import evaluate

#: Names that one compiler or one version predefines and another one does not; no file says which.
_COMPILER = frozenset({"__cplusplus", "__VITIS_HLS__", "__VIVADO_HLS__", "AP_INT_MAX_W"})
_SYNTHESIS = "__SYNTHESIS__"
_TOKEN = re.compile(r"\s*(defined\b|[A-Za-z_]\w*|\d\w*|&&|\|\||[=!<>]=|[!()<>]|[-+*/%])")
_FLAG = re.compile(r"-D\s*([A-Za-z_]\w*)(?:=([^\s\"'{}]+))?")
_MAX_TOKENS = 200


def flags(script: str) -> dict[str, str]:
    """Names that a build script gives the compiler (``-cflags "-DNAME=1"``), not the test bench."""
    found: dict[str, str] = {}
    for line in script.splitlines():
        words = line.split()
        if words[:1] == ["add_files"] and "-tb" not in words:
            found |= {match[1]: match[2] or "1" for match in _FLAG.finditer(line[:2000])}
    return found


def holds(words: str, rest: str, names: Mapping[str, str]) -> bool | None:
    """Whether the code behind a directive is compiled; ``None`` if that depends on what no file says.

    Args:
        words: ``if``, ``elif``, ``ifdef`` or ``ifndef``.
        rest: text behind it.
        names: macros so far -> expressions. Any other name is not defined, and counts as 0.
    """
    if words in ("ifdef", "ifndef"):
        known = _is_defined((rest.split() or [""])[0], names)
        return known if known is None or words == "ifdef" else not known
    parts: list[str] = []
    position = 0
    while position < len(rest.rstrip()):
        match = _TOKEN.match(rest, position)
        if match is None or len(parts) > _MAX_TOKENS:
            return None
        parts.append(match[1])
        position = match.end()
    condition = _Condition(parts, names)
    try:
        value = condition.either()
    except (IndexError, RecursionError):
        return None
    return None if value is None or condition.parts else bool(value)


def _is_defined(name: str, names: Mapping[str, str]) -> bool | None:
    if name in _COMPILER:
        return None
    return name == _SYNTHESIS or name in names


class _Condition:
    """Reads one condition from left to right; ``None`` stands for an unknown value."""

    def __init__(self, parts: list[str], names: Mapping[str, str]) -> None:
        self.parts = parts
        self.names = names

    def _next(self, *wanted: str) -> str:
        return self.parts.pop(0) if self.parts and self.parts[0] in wanted else ""

    def either(self) -> int | None:
        value = self._both()
        while self._next("||"):
            other = self._both()
            # one true side decides, whatever the other one is
            decided = (value is not None and value != 0) or (other is not None and other != 0)
            value = 1 if decided else None if value is None or other is None else 0
        return value

    def _both(self) -> int | None:
        value = self._compared()
        while self._next("&&"):
            other = self._compared()
            decided = value == 0 or other == 0
            value = 0 if decided else None if value is None or other is None else 1
        return value

    def _compared(self) -> int | None:
        left = self._unary()
        mark = self._next("==", "!=", "<", ">", "<=", ">=")
        if not mark:
            return left
        right = self._unary()
        if left is None or right is None:
            return None
        outcome = {
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            ">": left > right,
            "<=": left <= right,
            ">=": left >= right,
        }
        return int(outcome[mark])

    def _unary(self) -> int | None:
        if self._next("!"):
            value = self._unary()
            return None if value is None else int(not value)
        if self._next("("):
            value = self.either()
            if not self._next(")"):
                raise IndexError
            return value
        word = self.parts.pop(0)
        if word == "defined":
            bracket = self._next("(")
            known = _is_defined(self.parts.pop(0), self.names)
            if bracket and not self._next(")"):
                raise IndexError
            return None if known is None else int(known)
        if word == _SYNTHESIS:
            return 1
        if word[0].isdigit() or word in self.names:
            return evaluate(word, self.names)
        return None if word in _COMPILER or not word[0].isidentifier() else 0
