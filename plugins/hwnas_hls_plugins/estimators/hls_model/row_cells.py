"""Cells of a row of designs as values, in the documented spelling only.

No reader raises: what cannot be read is returned as ``None``, as a text or as notes with the reason. Readers
are cached, because thousands of rows have few different cells.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls_plugins.estimators.hls_model.table import ACTIVATION_CODES, STRATEGY_NAMES

MAX_LAYERS, MAX_WIDTH = 64, 65536
#: Word for a batch normalisation after the preceding layer.
NORMALISATION = "bn"
#: Activations that end a network where two are given for more layers.
_LAST_ONLY = ("softmax", "sigmoid", "linear", "tanh")


@functools.lru_cache(maxsize=65536)
def widths_of(text: str) -> tuple[int, ...] | str:
    """``16-64-5`` -> widths, or a text that says what is wrong."""
    if not text:
        return "empty"
    if not re.fullmatch(r"[0-9]+(-[0-9]+)*", text):
        return f"{text[:60]!r} is not a list of widths such as 16-64-5"
    pieces = text.split("-")
    for piece in pieces:
        if len(piece) > 9 or not 1 <= int(piece) <= MAX_WIDTH:
            return f"{piece[:20]!r} is not a width between 1 and {MAX_WIDTH}"
    if len(pieces) < 2:
        return f"{text[:60]!r} names fewer than two widths"
    if len(pieces) > MAX_LAYERS + 1:
        return f"more than {MAX_LAYERS} layers"
    return tuple(int(piece) for piece in pieces)


@dataclass(frozen=True, slots=True)
class Activations:
    """Activation and normalisation (``batch`` or ``none``) of each layer, and what the cell leaves open."""

    names: tuple[str, ...]
    normalisations: tuple[str, ...]
    warnings: tuple[Note, ...]
    reasons: tuple[Note, ...]


@functools.lru_cache(maxsize=65536)
def activations_of(text: str, n_layers: int, softmax: bool = False) -> Activations:
    """``relu-relu-softmax`` -> activations; ``bn`` after one is a batch normalisation.

    Args:
        text: one word a layer; one word for all hidden layers, or two for these and the last; empty.
        softmax: whether the row mentions a softmax elsewhere.
    """
    normal = ["none"] * n_layers
    warnings: list[Note] = []
    reasons: list[Note] = []
    found: list[str] = []
    for word in text.split("-") if text else []:
        if word == NORMALISATION:
            normal[max(0, min(len(found), n_layers) - 1)] = "batch"
            continue
        name = word
        if name not in ACTIVATION_CODES:
            reasons.append(Note(NoteKind.NO_DATA, f"unknown activation {word[:30]!r}"))
            name = "linear"
        if len(found) >= n_layers:
            if name != "linear":
                warnings.append(_activations(NoteKind.UNREAD, f"more than the {n_layers} layers take"))
            break
        found.append(name)
    if not text and n_layers > 1:
        found = ["relu"] * (n_layers - 1) + ["softmax" if softmax else "linear"]
        warnings.append(_activations(NoteKind.ASSUMED, "unknown", f"relu and a {found[-1]} end"))
    elif len(found) == 1 < n_layers - 1 and found[0] != "linear":
        found *= n_layers - 1
        text = f"one for {n_layers} layers, used for all but the last"
        warnings.append(_activations(NoteKind.ASSUMED, text))
    elif len(found) == 2 < n_layers - 1 and found[1] in _LAST_ONLY and found[0] != found[1]:
        found = [found[0]] * (n_layers - 1) + [found[1]]
        text = f"two for {n_layers} layers, used for the hidden ones and the last"
        warnings.append(_activations(NoteKind.ASSUMED, text))
    names = (*found, *["linear"] * (n_layers - len(found)))
    return Activations(names, tuple(normal), tuple(warnings), tuple(reasons))


def _activations(kind: NoteKind, text: str, taken: str = "") -> Note:
    return Note(kind, text, "activations", taken)


@functools.lru_cache(maxsize=65536)
def integers_of(text: str) -> tuple[int, ...] | None:
    """``8`` or ``8;32;16`` -> numbers; ``None`` for anything else."""
    return tuple(map(int, text.split(";"))) if re.fullmatch(r"[0-9]{1,12}(;[0-9]{1,12})*", text) else None


@functools.lru_cache(maxsize=4096)
def strategies_of(text: str) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Strategies, one per layer (``Latency;Resource``) or one for all, and warnings."""
    names = tuple(name for name in text.split(";") if name)
    warnings = tuple(
        Note(NoteKind.CHANGED, f"unknown {name[:30]!r}, hls4ml builds Latency", "strategy")
        for name in names
        if name.lower() not in STRATEGY_NAMES
    )
    return names, warnings
