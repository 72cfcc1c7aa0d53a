"""The precision column of a row: one type for all, or ``in: w: b: acc: out: act: result:``."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import DEFAULT_TYPE
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType

PARTS = ("in", "w", "b", "acc", "out", "act", "result")
_WORD = (
    r"(?:inputs?|in|weights?|w|kernel|bias(?:es)?|b|accum(?:ulator)?(?:_t)?|acc|outputs?|out"
    r"|activations?|act|results?|default|model|precision)"
)
_KEY = re.compile(rf"(?:^|(?<=[\s,;])){_WORD}(?:/{_WORD})*\s*[:=]", re.IGNORECASE)
_NAMES = {
    "input": "in",
    "inputs": "in",
    "weight": "w",
    "weights": "w",
    "kernel": "w",
    "bias": "b",
    "biases": "b",
    "accum": "acc",
    "accumulator": "acc",
    "accum_t": "acc",
    "accumulator_t": "acc",
    "output": "out",
    "outputs": "out",
    "activation": "act",
    "activations": "act",
    "results": "result",
    "default": "all",
    "model": "all",
    "precision": "all",
}
_TYPE = re.compile(r"(?:a[pc]_)?u?fixed\s*<[^<>]*>|(?:a[pc]_)?u?int\s*<[^<>]*>", re.IGNORECASE)
_QUANTISER = re.compile(r"quantized_(bits|relu)\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?[^)]*\)")
#: Widths without a name: ``<16,6>``, ``16,6``, ``(16, 6)``; ``8``, ``int8``, ``8 bits``; ``w4a8``.
_PAIR = re.compile(r"[<(\[]?\s*(\d{1,4})\s*[,;]\s*(-?\d{1,4})\s*[>)\]]?")
_BITS = re.compile(r"(?:u?int|fixed|fxp|q)?\s*(\d{1,3})\s*(?:-?\s*bits?)?", re.IGNORECASE)
_WEIGHTS_ACTS = re.compile(r"w(\d{1,3})\s*[-_/]?\s*a(\d{1,3})", re.IGNORECASE)
_FLOAT = re.compile(r"\b(?:b?float|half|double|fp)(?:\d*)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PrecisionText:
    """Types of every layer, in order.

    Args:
        input: type of the network's input.
        weight, bias, accum, out: one a layer; ``out`` is the sum before the activation.
        activation: type after the activation, one a layer.
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


_FLOATING = Note(NoteKind.NO_DATA, "floating point: no data")
#: Modes of rounding and overflow, in the case that a type is parsed in.
_MODES = {mode.lower(): mode for mode in (*ROUNDINGS, *OVERFLOWS)}


def _unread(text: str, taken: FixedType | None = None) -> Note:
    return Note(NoteKind.UNREAD, text, "precision", "" if taken is None else str(taken))


@functools.lru_cache(maxsize=65536)
def _type(text: str) -> FixedType:
    """A type in any case, with or without ``AP_`` before its modes, or of Catapult's ``ac_fixed``."""
    kind, _, arguments = _algorithmic_c(text.lower()).partition("<")
    words = [word.strip() for word in arguments.rstrip("> ").split(",")]
    modes = [_MODES.get(word.removeprefix("ap_"), word) for word in words]
    return FixedType.parse(f"{kind}<{','.join(modes)}>")


def _algorithmic_c(text: str) -> str:
    """``ac_fixed<16,6,true,AC_RND,AC_SAT>`` in ap_fixed's words; other texts as they are."""
    match = re.fullmatch(r"ac_(fixed|int)\s*<([^<>]*)>", text.strip())
    if match is None:
        return text
    numbers = [piece.strip() for piece in match[2].split(",")]
    sign = 2 if match[1] == "fixed" else 1
    unsigned = len(numbers) > sign and numbers[sign] in ("false", "0")
    kept = [*numbers[:sign], *(mode.replace("ac_", "ap_") for mode in numbers[sign + 1 :])]
    return f"ap_{'u' if unsigned else ''}{match[1]}<{','.join(kept)}>"


def _of_bits(bits: int) -> FixedType:
    """A width without a point: three eighths before it, as hls4ml's own default type has."""
    return FixedType(bits, max(1, round(bits * DEFAULT_TYPE.integer / DEFAULT_TYPE.width)))


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


def _unnamed(text: str, warnings: list[Note]) -> dict[str, list[FixedType]]:
    """Parts of a text without keys."""
    types = _types(text)
    if types:
        return dict.fromkeys(PARTS, types[:1])
    bare = text.strip().strip("\"' ")
    if match := _WEIGHTS_ACTS.fullmatch(bare):
        weight, other = _of_bits(max(1, int(match[1]))), _of_bits(max(1, int(match[2])))
        return {"w": [weight], "b": [weight], "in": [other], "act": [other]}
    if match := _PAIR.fullmatch(bare):
        return {part: [FixedType(int(match[1]), int(match[2]))] for part in PARTS}
    if (match := _BITS.fullmatch(bare)) and 1 <= int(match[1]) <= 256:
        found = _of_bits(int(match[1]))
        warnings.append(_unread(f"{bare[:30]!r} names no point", found))
        return {part: [found] for part in PARTS}
    warnings.append(_unread(f"cannot read {bare[:60]!r}", DEFAULT_TYPE))
    return {}


def _named(
    text: str, keys: list[re.Match[str]], warnings: list[Note]
) -> tuple[dict[str, list[FixedType]], set[str]]:
    """Parts of a text with keys, and those that are said to be ``auto``."""
    parts: dict[str, list[FixedType]] = {}
    automatic: set[str] = set()
    for number, match in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(text)
        value = text[match.end() : end]
        names = [name.strip() for name in match[0].lower().rstrip(":= ").split("/")]
        names = [_NAMES.get(name, name) for name in names]
        if not _TYPE.search(value) and "auto" in value.lower():
            automatic |= set(names)
            continue
        if not value.strip(" ,;") and "all" in names:
            continue  # a heading, as in {Model: {Precision: ...}}
        types = _types(value)
        if not types:
            bare = value.strip(" ,;")
            types = _unnamed(bare, warnings)["in"] if _PAIR.fullmatch(bare) or _BITS.fullmatch(bare) else []
        if not types:
            warnings.append(_unread(f"no type after {match[0].rstrip(':= ')}:"))
            continue
        for name in names:
            for part in PARTS if name == "all" else (name,):
                if name != "all" or part not in parts:
                    parts[part] = types
    return parts, automatic


@functools.lru_cache(maxsize=65536)
def parse_precision(text: str, n_layers: int) -> PrecisionText:
    """Read a precision text for a network of ``n_layers`` dense layers. Never raises: it warns."""
    warnings: list[Note] = []
    parts: dict[str, list[FixedType]] = {}
    automatic: set[str] = set()
    reasons = (_FLOATING,) if _FLOAT.search(text) and not _TYPE.search(text) else ()
    text = re.sub(r"[{}\"']", " ", text)
    keys = list(_KEY.finditer(text))
    try:
        if keys:
            parts, automatic = _named(text, keys, warnings)
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
            parts = _unnamed(text, warnings)
    except UserError as error:
        warnings.append(_unread(f"{error.what} ({str(error.found)[:60]})", DEFAULT_TYPE))
        parts = {}
    assumed = tuple(name for name in ("in", "w", "acc") if name not in parts and name not in automatic)

    def column(name: str, fallback: tuple[FixedType | None, ...]) -> tuple[FixedType | None, ...]:
        types = parts.get(name)
        if not types:
            return fallback
        if 1 < len(types) < n_layers and name not in ("act", "result"):
            warnings.append(_unread(f"{len(types)} types for {name}, {n_layers} layers; repeated the last"))
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
        reasons=reasons,
    )
