"""Tables of knobs in families: one knob per layer, named ``FAMILY_TAG``.

A family with a single value is not a knob: its value is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hwnas_hls.protocols.knob import Knob
from hwnas_hls.values.candidate import Value

Condition = tuple[str, tuple[Value, ...]] | None


class KnobTable:
    """Knobs by name, and the values of families without a choice.

    Attributes:
        knobs: name -> knob, in order.
        fixed: family -> its only value.
    """

    def __init__(self) -> None:
        self.fixed: dict[str, Value] = {}
        self.knobs: dict[str, Knob] = {}

    def fill(self, knobs: Iterable[Knob]) -> None:
        self.knobs |= {knob.name: knob for knob in knobs}

    def value(self, values: Mapping[str, Value], family: str, tag: str = "") -> Any:
        """The value of a family's knob (of the layer ``tag``), or the fixed value."""
        name = f"{family}_{tag}" if tag else family
        return values[name] if name in self.knobs else self.fixed[family]

    def knob(
        self,
        family: str,
        choices: Sequence[Any],
        doc: str,
        exists: Condition = None,
        tag: int | str = "",
        ordered: bool = True,
    ) -> Iterator[Knob]:
        """Yield the knob; with a single choice, fix the value and yield nothing."""
        if len(choices) == 1:
            self.fixed[family] = choices[0]
            return
        kept = tuple(sorted(choices)) if ordered else tuple(choices)
        yield Knob(f"{family}_{tag}" if tag else family, kept, ordered, active_if=exists, doc=doc)

    def shorten(self, values: dict[str, Value], family: str, bits: int, tag: str = "") -> None:
        """Set the largest choice of a family that is at most ``bits``."""
        name = f"{family}_{tag}" if tag else family
        if name not in self.knobs:
            return
        integer: Any = values[name]
        if integer > bits:
            fitting = [choice for choice in self.knobs[name].choices if choice <= bits]  # type: ignore[operator]
            values[name] = fitting[-1] if fitting else self.knobs[name].choices[0]

    def lower(self, values: dict[str, Value], name: str) -> bool:
        """Set the next lower choice of a knob; returns whether there was one."""
        if name not in values:
            return False
        choices = self.knobs[name].choices
        place = choices.index(values[name])
        if place > 0:
            values[name] = choices[place - 1]
        return place > 0

    def first(self, values: dict[str, Value], family: str, tag: str = "") -> None:
        """Set the first choice of a family whose value has no effect."""
        name = f"{family}_{tag}" if tag else family
        if name in self.knobs:
            values[name] = self.knobs[name].choices[0]
