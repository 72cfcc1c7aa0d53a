"""The precision column of a row: one type for all, or ``in: w: b: acc: out: act: result:``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import DEFAULT_TYPE
from hwnas_hls.network.precision import FixedType

PARTS = ("in", "w", "b", "acc", "out", "act", "result")
#: Key of the type of all parts that have none of their own.
DEFAULT = "default"
#: A type as a layer's firmware spells it.
TYPE = re.compile(r"ap_u?(?:fixed|int)<[^<>]*>")
_NAME = "|".join((*PARTS, DEFAULT))
#: The keys of a value, for example ``w:`` or ``in/result:``.
KEY = re.compile(rf"(?:^|(?<=[\s,;]))(?:{_NAME})(?:/(?:{_NAME}))*\s*:")
#: A key that is none of these.
_OTHER_KEY = re.compile(r"[A-Za-z_]\w*\s*:")
#: Words between two types of one part: the second one is of something else.
_WORD_AFTER_TYPE = re.compile(r">[^<>A-Za-z]*([A-Za-z][^<>]*?)\s*ap_u?(?:fixed|int)<")
_FLOAT = re.compile(r"\b(?:b?float|half|double|fp)(?:\d*)\b", re.IGNORECASE)
_FLOATING = Note(NoteKind.NO_DATA, "floating point: no data")


@dataclass(frozen=True, slots=True)
class PrecisionText:
    """Types of every layer, in order.

    Args:
        input: type of the network's input.
        weight, bias, accum, out: one per layer; ``out`` is the sum before the activation.
        activation: type after the activation, one per layer.
        assumed: parts that the text does not name.
        warnings: what could not be read.
        reasons: why no type of this kind is known.

    An ``auto`` accumulator or sum is ``None``: as wide as needed.
    """

    input: FixedType
    weight: tuple[FixedType, ...]
    bias: tuple[FixedType, ...]
    accum: tuple[FixedType | None, ...]
    out: tuple[FixedType | None, ...]
    activation: tuple[FixedType | None, ...]
    assumed: tuple[str, ...]
    warnings: tuple[Note, ...]
    reasons: tuple[Note, ...] = ()


@functools.lru_cache(maxsize=65536)
def parse_precision(text: str, n_layers: int) -> PrecisionText:
    """Read a precision text for a network of ``n_layers`` dense layers. Never raises: it warns."""
    warnings: list[Note] = []
    parts: dict[str, list[FixedType]] = {}
    automatic: set[str] = set()
    try:
        parts, automatic = _parts(text, warnings)
    except UserError as error:
        warnings.append(_unread(f"{error.what} ({str(error.found)[:60]})", DEFAULT_TYPE))
    assumed = tuple(name for name in ("in", "w", "acc") if name not in parts and name not in automatic)

    def column(name: str, fallback: tuple[FixedType | None, ...]) -> tuple[FixedType | None, ...]:
        types = parts.get(name)
        if not types:
            return fallback
        if 1 < len(types) < n_layers and name not in ("act", "result"):
            warnings.append(_unread(f"{len(types)} types for {name}, {n_layers} layers; repeated the last"))
        if len(types) > n_layers > 0 and name in ("w", "b", "acc"):
            warnings.append(_unread(f"{len(types)} types for {name}, {n_layers} layers; took the first ones"))
        return tuple(types[min(number, len(types) - 1)] for number in range(n_layers))

    default: tuple[FixedType | None, ...] = (DEFAULT_TYPE,) * n_layers
    weight, bias = (tuple(kind or DEFAULT_TYPE for kind in column(name, default)) for name in ("w", "b"))
    accum = column("acc", (None,) * n_layers if "acc" in automatic else default)
    out = column("out", accum if "acc" in parts or automatic & {"acc", "out"} else default)
    activation = list(column("act", out))
    if n_layers:
        # The last layer's activation writes the network's result; `act` refers to hidden layers.
        activation[-1] = parts["result"][-1] if parts.get("result") else out[-1]
    return PrecisionText(
        input=parts.get("in", [DEFAULT_TYPE])[0],
        weight=weight,
        bias=bias,
        accum=accum,
        out=out,
        activation=tuple(activation),
        assumed=assumed,
        warnings=tuple(warnings),
        reasons=(_FLOATING,) if _FLOAT.search(text) and not TYPE.search(text) else (),
    )


def values_of_keys(text: str) -> Mapping[str, str]:
    """Keys as they stand -> the text up to the next key; empty where a text has no keys."""
    keys = list(KEY.finditer(text))
    ends = [key.start() for key in keys[1:]] + [len(text)]
    return {key[0].rstrip(": \t"): text[key.end() : end] for key, end in zip(keys, ends, strict=False)}


def _parts(text: str, warnings: list[Note]) -> tuple[dict[str, list[FixedType]], set[str]]:
    """Types by part, and the parts that are ``auto``.

    Raises:
        UserError: a type that cannot be.
    """
    parts: dict[str, list[FixedType]] = {}
    automatic: set[str] = set()
    values = values_of_keys(text)
    if not values and text:
        if types := _types(text):
            if len(set(types)) > 1 or _OTHER_KEY.search(text):
                warnings.append(_unread(f"{text[:60]!r} does not say what each type is of", types[0]))
            return dict.fromkeys(PARTS, types[:1]), automatic
        warnings.append(_unread(f"cannot read {text[:60]!r}", DEFAULT_TYPE))
    for key, value in values.items():
        names = key.split("/")
        types = _types(value)
        if types:
            if word := _WORD_AFTER_TYPE.search(value):
                warnings.append(_unread(f"cannot read {word[1][:30]!r} among the types of {key}"))
            parts |= dict.fromkeys(names, types)
        elif "auto" in value.lower():
            automatic |= set(names)
        elif value.strip() or DEFAULT not in names:
            warnings.append(_unread(f"no type after {key}:"))
    others = parts.pop(DEFAULT, None)
    if others:
        parts = dict.fromkeys((part for part in PARTS if part not in automatic), others) | parts
    return parts, automatic


def _types(text: str) -> list[FixedType]:
    return [FixedType.parse(found) for found in TYPE.findall(text)]


def _unread(text: str, taken: FixedType | None = None) -> Note:
    return Note(NoteKind.UNREAD, text, "precision", "" if taken is None else str(taken))
