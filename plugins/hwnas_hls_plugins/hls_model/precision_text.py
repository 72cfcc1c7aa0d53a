"""The precision column of a row: one type for all, or ``in: w: b: acc: out: act: result:``."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from hwnas_hls.errors import UserError
from hwnas_hls.precision import FixedType
from hwnas_hls_plugins.hls_model.query import DEFAULT_TYPE

PARTS = ("in", "w", "b", "acc", "out", "act", "result")
_KEY = re.compile(
    r"(?:^|(?<=\s))((?:input|in|weight|w|bias|b|accum|acc|out|act|result)(?:/(?:input|in|weight|w|bias|b|accum|acc|out|act|result))*)\s*:"
)
_NAMES = {"input": "in", "weight": "w", "bias": "b", "accum": "acc"}
_TYPE = re.compile(r"(?:ap_)?u?fixed\s*<[^<>]*>|(?:ap_)?u?int\s*<[^<>]*>", re.IGNORECASE)
_QUANTISER = re.compile(r"quantized_(bits|relu)\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?[^)]*\)")


@dataclass(frozen=True, slots=True)
class PrecisionText:
    """Types of every layer, in order.

    Args:
        input: type of the network's input.
        weight, bias, accum, out: one a layer; ``out`` is the sum before the activation.
        activation: type after the activation, one a layer.
        assumed: parts that the text does not name.
        warnings: what could not be read.
    """

    input: FixedType
    weight: tuple[FixedType, ...]
    bias: tuple[FixedType, ...]
    accum: tuple[FixedType, ...]
    out: tuple[FixedType, ...]
    activation: tuple[FixedType, ...]
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]


@functools.lru_cache(maxsize=65536)
def _type(text: str) -> FixedType:
    return FixedType.parse(
        text.lower()
        .replace("ap_rnd", "AP_RND")
        .replace("ap_trn", "AP_TRN")
        .replace("ap_sat", "AP_SAT")
        .replace("ap_wrap", "AP_WRAP")
        .replace("_conv", "_CONV")
        .replace("_zero", "_ZERO")
        .replace("_min_inf", "_MIN_INF")
        .replace("_inf", "_INF")
        .replace("_sym", "_SYM")
        .replace("rnd", "RND")
        .replace("trn", "TRN")
        .replace("sat", "SAT")
        .replace("wrap", "WRAP")
    )


def _types(text: str) -> list[FixedType]:
    """All types in a text; raises :class:`UserError` for one that is none."""
    found = [_type(match[0]) for match in _TYPE.finditer(text)]
    if not found:
        for match in _QUANTISER.finditer(text):
            bits, integer = int(match[2]), int(match[3] or 0)
            # QKeras does not count the sign bit among the integer bits; ap_fixed does.
            if match[1] == "bits":
                found.append(FixedType(bits, integer + 1))
            else:
                found.append(FixedType(bits, integer, signed=False))
    return found


@functools.lru_cache(maxsize=65536)
def parse_precision(text: str, n_layers: int) -> PrecisionText:
    """Read a precision text for a network of ``n_layers`` dense layers. Never raises: it warns."""
    warnings: list[str] = []
    parts: dict[str, list[FixedType]] = {}
    keys = list(_KEY.finditer(text))
    try:
        if keys:
            for number, match in enumerate(keys):
                end = keys[number + 1].start() if number + 1 < len(keys) else len(text)
                types = _types(text[match.end() : end])
                if not types:
                    warnings.append(f"precision: no type after {match[1]}:")
                    continue
                for name in match[1].split("/"):
                    parts[_NAMES.get(name, name)] = types
        elif "quantized_" in text and not _TYPE.search(text):
            weights: list[FixedType] = []
            relu: list[FixedType] = []
            for match in _QUANTISER.finditer(text):
                (weights if match[1] == "bits" else relu).extend(_types(match[0]))
            if weights:
                parts["w"] = parts["b"] = weights
            if relu:
                parts["act"] = relu
        elif text.strip():
            types = _types(text)
            if types:
                parts = dict.fromkeys(PARTS, types[:1])
            else:
                warnings.append(f"precision: cannot read {text.strip()[:60]!r}, took {DEFAULT_TYPE}")
    except UserError as error:
        warnings.append(f"precision: {error.what} ({str(error.found)[:60]}), took {DEFAULT_TYPE} instead")
        parts = {}
    assumed = tuple(name for name in ("in", "w", "acc") if name not in parts)

    def column(name: str, fallback: tuple[FixedType, ...]) -> tuple[FixedType, ...]:
        types = parts.get(name)
        if not types:
            return fallback
        if 1 < len(types) < n_layers and name not in ("act", "result"):
            warnings.append(f"precision: {len(types)} types for {name}, {n_layers} layers; repeated the last")
        return tuple(types[min(number, len(types) - 1)] for number in range(n_layers))

    default = (DEFAULT_TYPE,) * n_layers
    weight = column("w", default)
    accum = column("acc", default)
    out = column("out", accum if "acc" in parts else default)
    activation = list(column("act", out))
    if n_layers:
        # The last layer's activation writes the network's result; `act` speaks of hidden layers.
        activation[-1] = parts["result"][-1] if parts.get("result") else out[-1]
    return PrecisionText(
        input=parts.get("in", [DEFAULT_TYPE])[0],
        weight=weight,
        bias=column("b", default),
        accum=accum,
        out=out,
        activation=tuple(activation),
        assumed=assumed,
        warnings=tuple(warnings),
    )
