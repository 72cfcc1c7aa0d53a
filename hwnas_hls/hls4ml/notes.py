"""Notes on a design: assumptions and gaps of a reader, and why a prediction is an extrapolation.

Programs use the kind of a note, its subject and the assumed value; the text is for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoteKind(StrEnum):
    """The kinds of notes."""

    #: Nothing was given; ``taken`` was assumed.
    ASSUMED = "assumed"
    #: The given value cannot be used; ``taken`` was assumed, or the value ignored.
    UNREAD = "unread"
    #: Two sources disagree; one of them was used.
    CONFLICT = "conflict"
    #: hls4ml builds something other than requested.
    CHANGED = "changed"
    #: The model does not count a part of the design, or counts it as something else.
    UNCOUNTED = "uncounted"
    #: A cast of the inputs to a type, which the model does not count.
    INPUT_CAST = "input_cast"
    #: There are no measurements with this tool, on this part or of this kind.
    NO_DATA = "no_data"
    #: The design exceeds the resources of the part.
    FULL = "full"
    #: There is no prediction.
    BLOCKED = "blocked"
    #: Any other remark.
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Note:
    """One note on a design.

    Args:
        kind: the kind of the note.
        text: the note as text, for people only.
        about: its column, setting or metric; empty if it concerns the whole design.
        taken: the assumed value; empty if none.
        parts: parts of ``about``, for example ``("w", "acc")`` of a precision.
    """

    kind: NoteKind
    text: str
    about: str = ""
    taken: str = ""
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.about}: {self.text}" if self.about else self.text
        return f"{text}, took {self.taken}" if self.taken else text


def activation_of_inputs(layer: str, kind: str) -> Note:
    """The note on an activation before any dense layer; ``linear`` there is a cast of the inputs."""
    return Note(
        NoteKind.INPUT_CAST if kind == "linear" else NoteKind.UNCOUNTED,
        f"layer {layer!r}: {kind} on the inputs, before any dense layer, is not counted",
    )
