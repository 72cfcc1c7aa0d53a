"""Times, clocks, counts and shares as users write them: ``1us``, ``200MHz``, ``8k``, ``100kHz of 40MHz``."""

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
_QUOTIENT = re.compile(r"(.+?)(?:\s+of\s+|/)(.+)")
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
    frequency = _mhz(text)
    if frequency == 0:
        return None
    period = time_ns(text) if frequency is None else 1e3 / frequency
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


def share(text: str) -> float | None:
    """``0.01``, ``1%`` or the quotient of two rates, ``100kHz of 40MHz`` (also ``/``); else ``None``."""
    rates = _QUOTIENT.fullmatch(text)
    if rates is None:
        number, unit = _split(text.strip().removesuffix("%"))
        if number is None or unit:
            return None
        return number / 100 if text.strip().endswith("%") else number
    part, whole = _mhz(rates[1]), _mhz(rates[2])
    return part / whole if part is not None and whole else None


def parse_share(text: str, where: str) -> float:
    """As :func:`share`.

    Raises:
        UserError: not a share, or not between 0 and 1.
    """
    value = share(text)
    if value is None or not 0 < value < 1:
        raise UserError(
            "expected a share between 0 and 1",
            where=where,
            found=text,
            remedy="write 0.01, 1%, or a rate of a rate: '100kHz of 40MHz'",
        )
    return value


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


def _mhz(text: str) -> float | None:
    """A frequency with its unit, in MHz."""
    number, unit = _split(text)
    return None if number is None or unit not in _MHZ_PER_UNIT else number * _MHZ_PER_UNIT[unit]


def _split(text: str) -> tuple[float | None, str]:
    match = _WITH_UNIT.fullmatch(text)
    if match is None:
        return None, ""
    return float(match[1]), match[2].lower()
