"""Reads tables drawn with ``+---+`` and ``|``, as Xilinx tools print them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE = 20_000


@dataclass(frozen=True, slots=True)
class Table:
    """One drawn table.

    Args:
        line: number of its first line, from 0.
        blocks: its rows, split at the horizontal rules; cells keep leading blanks (the level in a
            hierarchy) but not trailing ones.
    """

    line: int
    blocks: tuple[tuple[tuple[str, ...], ...], ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Last row of the first block, stripped."""
        return tuple(cell.strip() for cell in self.blocks[0][-1]) if self.blocks else ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """All rows below the header."""
        return [row for block in self.blocks[1:] for row in block]


def tables(lines: list[str]) -> Iterator[Table]:
    """The tables of a text, in order."""
    start = -1
    blocks: list[list[tuple[str, ...]]] = []
    for number, line in enumerate(lines):
        text = line.strip()[:MAX_LINE]
        if _is_rule(text):
            if start < 0:
                start = number
                blocks = []
            blocks.append([])
        elif start >= 0 and text.startswith("|"):
            blocks[-1].append(_cells(text))
        elif start >= 0 and text.startswith("+") and text.endswith("+"):
            # cosimulation's header: a line that is half rule, half names
            continue
        elif start >= 0:
            yield _table(start, blocks)
            start = -1
    if start >= 0:
        yield _table(start, blocks)


def _table(start: int, blocks: list[list[tuple[str, ...]]]) -> Table:
    return Table(start, tuple(tuple(block) for block in blocks if block))


def _is_rule(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "+" and set(text) <= {"+", "-"}


def _cells(text: str) -> tuple[str, ...]:
    inner = text[1:-1] if text.endswith("|") else text[1:]
    return tuple(cell.rstrip() for cell in inner.split("|"))
