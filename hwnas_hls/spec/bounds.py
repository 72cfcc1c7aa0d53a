"""Bounds of limits as users write them: ``lut=8k``, ``lut=10%`` of the part, ``latency_ns=1us``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.protocols.target import RESOURCES, Target
from hwnas_hls.spec.notation import is_ratio
from hwnas_hls.spec.quantities import count, parse_time_ns
from hwnas_hls.spec.tables import check_bound
from hwnas_hls.values.estimate import METRICS


def limits_without_units(table: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """``[limits]`` with its texts as numbers: ``"8k"``, ``"1us"``, and ``"10%"`` as a share of the part."""
    table = dict(table)
    for kind in ("max", "min"):
        if not isinstance(table.get(kind), Mapping):
            continue
        bounds = dict(table[kind])
        for metric, value in table[kind].items():
            if not isinstance(value, str):
                continue
            del bounds[metric]
            key, bound = limit_entry(kind, metric, value, f"{origin}: [limits].{kind}")
            if key == kind:
                bounds[metric] = bound
            else:
                table[key] = {**table.get(key, {}), metric: bound}
        table[kind] = bounds
    return table


def limit_entry(kind: str, metric: str, text: str, where: str) -> tuple[str, float]:
    """A limit as users write it -> (key of ``[limits]``, number).

    ``10%`` of a resource is a share of the part, whose size is not known here: ``max_share``.

    Raises:
        UserError: not a number, or a share of the part as a lower limit.
    """
    share = _share_of_part(metric, text, where)
    if share is None:
        return kind, parse_bound(f"{metric}={text}", where)[1]
    if kind != "max":
        raise UserError(
            "a share of the part can only be an upper limit", where=where, found=f"{metric}={text}"
        )
    return "max_share", share


def _share_of_part(metric: str, text: str, where: str) -> float | None:
    """``10%`` of a resource as 0.1; ``None`` for anything but a percentage of a resource."""
    if metric not in RESOURCES or not text.strip().endswith("%"):
        return None
    number = count(text.strip().removesuffix("%"))
    if number is None or not 0 <= number <= 100:
        raise UserError(
            "a share of the part must be between 0% and 100%", where=where, found=f"{metric}={text}"
        )
    return number / 100


def parse_bound(text: str, where: str, part: Target | None = None) -> tuple[str, float]:
    """``lut=20k``, ``accuracy=93%`` or ``latency_ns=1us`` -> (metric, bound); a time becomes ns.

    Args:
        part: of which ``lut=10%`` is a share.
    """
    metric, sign, value = text.partition("=")
    metric = metric.strip()
    if not sign or not metric:
        raise UserError("expected METRIC=VALUE", where=where, found=text, remedy="for example lut=20000")
    if metric.endswith("_ns"):
        return metric, parse_time_ns(value, where)
    of_part = _share_of_part(metric, value, where)
    if of_part is not None and part is not None:
        return metric, of_part * float(getattr(part, metric))
    share = value.strip().endswith("%")
    if share and metric in METRICS and not is_ratio(metric):
        raise UserError(
            f"{metric} is not a ratio"
            if of_part is None
            else f"the part is not known, of which {value} is meant",
            where=where,
            found=text,
            remedy=f"write the number itself, for example {metric}=20000",
        )
    bound = count(value.strip().removesuffix("%"))
    if bound is None:
        raise UserError(
            "the value of a limit must be a number", where=where, found=text, remedy="for example lut=20000"
        )
    bound /= 100.0 if share else 1.0
    try:
        check_bound(metric, bound)
    except ValueError as error:
        raise UserError(str(error), where=where, found=text) from None
    return metric, bound
