"""A small XML reader for reports: no document type, no entities, bounded depth and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.files import read_bytes

MAX_DEPTH = 64
MAX_ELEMENTS = 400_000
MAX_TEXT = 4096
#: Elements of bindings, which are long and not needed.
_SKIPPED = frozenset({"BindNode", "BindNodes", "StorageNodes"})


@dataclass(slots=True)
class Element:
    """One element: its tag without namespace, its own text (stripped), its children in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, *tags: str) -> Element | None:
        """The first descendant along a path of tags."""
        here: Element | None = self
        for tag in tags:
            if here is None:
                return None
            here = next((child for child in here.children if child.tag == tag), None)
        return here

    def value(self, *tags: str) -> str | None:
        """The text of :meth:`find`."""
        found = self.find(*tags)
        return None if found is None else found.text

    def walk(self) -> Iterator[Element]:
        """The element and all its descendants."""
        stack = [self]
        while stack:
            here = stack.pop()
            yield here
            stack.extend(reversed(here.children))


class _Builder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Element | None = None
        self.open: list[Element] = []
        self.texts: list[list[str]] = []
        self.lengths: list[int] = []
        self.skipping = 0
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise ReportError(f"{self.path}: more than {MAX_ELEMENTS} XML elements", kind=ErrorKind.TOO_LARGE)
        if len(self.open) + self.skipping >= MAX_DEPTH:
            raise ReportError(f"{self.path}: XML nested deeper than {MAX_DEPTH}", kind=ErrorKind.TOO_LARGE)
        tag = name.rpartition(":")[2]
        if self.skipping or tag in _SKIPPED:
            self.skipping += 1
            return
        element = Element(tag, {key: text[:MAX_TEXT] for key, text in attributes.items()})
        if self.open:
            self.open[-1].children.append(element)
        elif self.root is None:
            self.root = element
        self.open.append(element)
        self.texts.append([])
        self.lengths.append(0)

    def end(self, name: str) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        self.open.pop().text = "".join(self.texts.pop()).strip()
        self.lengths.pop()

    def data(self, text: str) -> None:
        if self.skipping or not self.open or (not self.lengths[-1] and text.isspace()):
            return
        if self.lengths[-1] < MAX_TEXT:
            self.texts[-1].append(text[: MAX_TEXT - self.lengths[-1]])
            self.lengths[-1] += len(text)

    def refuse(self, *_: object) -> NoReturn:
        raise ReportError(
            f"{self.path}: XML with a document type or entities, which no report has",
            kind=ErrorKind.WRONG_FORMAT,
        )


def read_elements(path: Path) -> Element:
    """The tree of an XML report.

    Raises:
        ReportError: not readable, not well-formed (for example truncated), a document type or entity is
            declared, nested too deep, or too many elements.
    """
    builder = _Builder(path)
    data = read_bytes(path)
    try:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = builder.start
        parser.EndElementHandler = builder.end
        parser.CharacterDataHandler = builder.data
        parser.StartDoctypeDeclHandler = builder.refuse
        parser.EntityDeclHandler = builder.refuse
        parser.ExternalEntityRefHandler = builder.refuse
        parser.SkippedEntityHandler = builder.refuse
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError, UnicodeError) as error:
        raise ReportError(f"{path}: not well-formed XML: {error}", kind=ErrorKind.WRONG_FORMAT) from error
    if builder.root is None:
        raise ReportError(f"{path}: XML without an element")
    return builder.root
