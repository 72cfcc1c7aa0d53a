"""Times, clocks and counts as users write them: ``1us``, ``200MHz``, ``8k``; one parser for every command."""

from __future__ import annotations

import math
import re

from hwnas_hls.errors import UserError

#: Nanoseconds per unit of time.
NS_PER_UNIT = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "sec": 1e9}
#: MHz per unit of frequency.
_MHZ_PER_UNIT = {"hz": 1e-6, "khz": 1e-3, "mhz": 1.0, "ghz": 1e3}
#: Suffixes of counts.
_MULTIPLIERS = {"k": 1e3, "m": 1e6}
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_WITH_UNIT = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµμ]*)\s*")
#: Clock periods outside these bounds are rejected (1 ps and 1 ms).
_SHORTEST_READ_NS, _LONGEST_READ_NS = 1e-3, 1e6
#: Shortest clock period of a run, in ns. UltraScale+ has global clocks of at most 891 MHz (AMD DS923); this
#: leaves room for newer families.
SHORTEST_CLOCK_NS = 0.8


def time_ns(text: str) -> float | None:
    """``1us``, ``5 ns`` or a plain number of ns, in ns; ``None`` for anything else or not above zero."""
    number, unit = _split(text)
    if number is None or unit not in ("", *NS_PER_UNIT):
        return None
    value = number * NS_PER_UNIT.get(unit, 1.0)
    return value if value > 0 and math.isfinite(value) else None


def clock_ns(text: str) -> float | None:
    """A clock as its period (``5``, ``5ns``, ``0.005us``) or frequency (``200MHz``), as a period in ns.

    ``None`` for anything else, and for periods below 1 ps or above 1 ms.
    """
    number, unit = _split(text)
    if number is not None and unit in _MHZ_PER_UNIT:
        period = 1e3 / (number * _MHZ_PER_UNIT[unit]) if number > 0 else None
    else:
        period = time_ns(text)
    if period is None or not _SHORTEST_READ_NS <= period <= _LONGEST_READ_NS:
        return None
    return period


def count(text: str) -> float | None:
    """``20000``, ``20k`` or ``1.5M`` as a number; ``None`` for anything else."""
    number, unit = _split(text)
    if number is None or unit not in ("", *_MULTIPLIERS):
        return None
    value = number * _MULTIPLIERS.get(unit, 1.0)
    return value if math.isfinite(value) else None


def parse_time_ns(text: str, where: str) -> float:
    """As :func:`time_ns`.

    Raises:
        UserError: ``text`` is not a positive duration.
    """
    value = time_ns(text)
    if value is None:
        raise UserError("expected a positive duration", where=where, found=text, remedy="write 1us or 5ns")
    return value


def parse_clock_ns(text: str, where: str) -> float:
    """As :func:`clock_ns`.

    Raises:
        UserError: ``text`` is neither a period nor a frequency.
    """
    value = clock_ns(text)
    if value is None:
        raise UserError(
            "expected a clock period or frequency", where=where, found=text, remedy="write 5ns or 200MHz"
        )
    return value


def _split(text: str) -> tuple[float | None, str]:
    match = _WITH_UNIT.fullmatch(text)
    if match is None:
        return None, ""
    return float(match[1]), match[2].lower()
