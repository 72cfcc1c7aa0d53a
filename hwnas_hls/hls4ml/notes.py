"""Notes on a design: what a reader assumed, what it could not read, and why a prediction is an extrapolation.

Notes are values. Whoever decides something by a note looks at its kind, at what it is about and at what was
taken instead; the words are for people, and ``str`` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoteKind(StrEnum):
    """What a note says."""

    #: Nothing was given; ``taken`` stands in.
    ASSUMED = "assumed"
    #: What was given cannot be read or used; ``taken`` stands in, or it is ignored.
    UNREAD = "unread"
    #: Two sources disagree; one of them was taken.
    CONFLICT = "conflict"
    #: hls4ml builds something else than was asked for.
    CHANGED = "changed"
    #: Something is there that the model does not count, or counts as something else.
    UNCOUNTED = "uncounted"
    #: Nothing was measured under this tool, on this part or of this kind.
    NO_DATA = "no_data"
    #: The part does not hold it.
    FULL = "full"
    #: There is no prediction at all.
    BLOCKED = "blocked"
    #: Anything else worth saying.
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to say of a design.

    Args:
        kind: what it says.
        text: in words, for people alone.
        about: column, setting or metric that it is about; empty where it is about the design.
        taken: what was taken instead; empty where nothing was.
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
