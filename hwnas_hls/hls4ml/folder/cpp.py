"""Parses the C++ that hls4ml writes: constants, type names, configuration structs, calls.

Nothing is compiled or executed. Linear scans split the text into comments, preprocessor lines and
statements; other constructs are ignored or rejected.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

_MARK = re.compile(r'"|//|/\*')
_STRING = re.compile(r'"[^"\n]*"?')
_DEFINE = re.compile(r"\s*#\s*define\s+([A-Za-z_]\w*)\s+([^\s].*)")
_CONSTANT = re.compile(r"(?:static\s+)?const(?:expr)?\s+(?:unsigned\s+int|[\w:]+)\s+(\w+)\s*=\s*(.+)")
_TYPEDEF = re.compile(r"typedef\s+(.+?)\s+(\w+)", re.DOTALL)
_COMPRESSED = re.compile(r"typedef\s+struct\s+\w*\s*\{([^{}]*)\}\s*(\w+)\s*;")
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*(?::\s*(?:public\s+)?([\w:]+)\s*)?\{")
_FUNCTION = re.compile(r"\bvoid\s+(\w+)\s{0,4}\(([^(){};]*)\)\s*\{")
_MAX_STRUCT = 5_000
_BRACE = re.compile(r"[{}]")


def without_comments(text: str) -> tuple[str, dict[int, str]]:
    """C++ text with comments blanked, and line number -> text of the comment that ended it."""
    out: list[str] = []
    comments: dict[int, str] = {}
    position = line = 0
    while True:
        match = _MARK.search(text, position)
        if match is None:
            out.append(text[position:])
            return "".join(out), comments
        start = match.start()
        line += text.count("\n", position, start)
        out.append(text[position:start])
        if match[0] == '"':
            string = _STRING.match(text, start)
            end = string.end() if string is not None else start + 1
            out.append(text[start:end])
        elif match[0] == "//":
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            comments[line] = text[start + 2 : end].strip()[:200]
        else:
            end = text.find("*/", start + 2)
            end = len(text) if end < 0 else end + 2
            out.append("\n" * text.count("\n", start, end))
            line += text.count("\n", start, end)
        position = end


@dataclass(slots=True)
class Source:
    """One file without comments and preprocessor lines.

    Args:
        text: statements only; every line keeps its number.
        pragmas: text behind ``#pragma HLS``, in order.
        defines: name -> expression of ``#define``.
        comments: line number -> comment at its end.
        named: names of every ``#define``, with an expression or without.
    """

    text: str
    pragmas: list[str] = field(default_factory=list)
    defines: dict[str, str] = field(default_factory=dict)
    comments: dict[int, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)


#: Names predefined by HLS compilers.
_COMPILER = frozenset({"__SYNTHESIS__", "__cplusplus", "__VITIS_HLS__", "__VIVADO_HLS__", "AP_INT_MAX_W"})
#: ``#if defined(NAME)``, the long form of ``#ifdef NAME``.
_DEFINED = re.compile(r"defined\s*\(?\s*(\w+)\s*\)?")


def clean(text: str, known: Collection[str] = ()) -> Source:
    """Remove comments, preprocessor lines and code excluded from synthesis.

    Args:
        text: of one file.
        known: names defined by earlier files; code after another ``#ifdef`` is excluded.
    """
    bare, comments = without_comments(text)
    result = Source("", comments=comments)
    kept: list[str] = []
    hidden: list[bool | None] = []  # per level of #if: excluded, included, or unrelated to synthesis
    for line in bare.split("\n"):
        stripped = line.strip()
        if not stripped.startswith("#"):
            kept.append("" if True in hidden else line)
            continue
        kept.append("")
        words = stripped[1:].split(None, 2)
        if not words:
            continue
        if words[0] in ("ifndef", "ifdef", "if"):
            about = "__SYNTHESIS__" in stripped
            negative = words[0] == "ifndef" or "!" in stripped
            name = words[1] if len(words) > 1 else ""
            asked = _DEFINED.fullmatch(" ".join(words[1:]).strip()) if words[0] == "if" else None
            name = asked[1] if asked is not None else name
            by_name = words[0] == "ifdef" or asked is not None
            undefined = by_name and name not in _COMPILER and name not in {*known, *result.named}
            never = undefined or (words[0] == "if" and name == "0")
            hidden.append(negative if about else True if never else None)
        elif words[0] == "else" and hidden:
            hidden[-1] = None if hidden[-1] is None else not hidden[-1]
        elif words[0] == "endif" and hidden:
            hidden.pop()
        elif True in hidden:
            continue
        elif [word.upper() for word in words[:2]] == ["PRAGMA", "HLS"] and len(words) == 3:
            result.pragmas.append(words[2].strip()[:500])
        else:
            if words[0] == "define" and len(words) > 1:
                result.named.add(words[1].partition("(")[0])
            match = _DEFINE.fullmatch(line[:500])
            if match is not None:
                result.defines[match[1]] = match[2].strip()
    result.text = "\n".join(kept)
    return result


@dataclass(slots=True)
class Struct:
    """A configuration: ``struct config2 : nnet::dense_config { ... }``."""

    name: str
    base: str
    constants: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    text: str = ""


def structs(text: str) -> dict[str, Struct]:
    """All configuration structs by name."""
    out: dict[str, Struct] = {}
    text = _single_spaced(text)
    position = 0
    while (match := _STRUCT.search(text, position)) is not None:
        position = match.end()
        end = text.find("};", match.end(), match.end() + _MAX_STRUCT)
        if end < 0:
            continue
        position = end
        body = text[match.end() : end]
        struct = Struct(match[1], (match[2] or "").rpartition("::")[2], text=body)
        for statement in body.split(";"):
            stripped = statement.strip()
            constant = _CONSTANT.fullmatch(stripped[:500])
            if constant is not None:
                struct.constants[constant[1]] = constant[2].strip()
                continue
            typedef = _TYPEDEF.fullmatch(stripped[:500])
            if typedef is not None:
                struct.types[typedef[2]] = typedef[1].strip()
        out.setdefault(struct.name, struct)
    return out


def typedefs(text: str) -> dict[str, str]:
    """Global type names -> their definitions; a compressed weight type -> its ``weight``."""
    out: dict[str, str] = {}
    text = _single_spaced(text)
    for match in _COMPRESSED.finditer(text):
        member = re.search(r"([\w:]+\s*(?:<[^;]*>)?)\s+weight\s*;", match[1])
        if member is not None and "row_index" in match[1]:
            out[match[2]] = member[1].strip()
    for statement in _outside_structs(_COMPRESSED.sub("", text)).split(";"):
        start = statement.rfind("typedef ")
        found = _TYPEDEF.fullmatch(statement[start:].strip()[:500]) if start >= 0 else None
        if found is not None:
            out.setdefault(found[2], found[1].strip())
    return out


def _single_spaced(text: str) -> str:
    """Collapse blanks: patterns with two adjacent runs of blanks take quadratic time."""
    return " ".join(text.split())


def _outside_structs(text: str) -> str:
    parts, position = [], 0
    for match in _STRUCT.finditer(text):
        if match.start() < position:
            continue
        parts.append(text[position : match.start()])
        end = text.find("};", match.end())
        position = end + 2 if end >= 0 else len(text)
    return ";".join([*parts, text[position:]])


@dataclass(frozen=True, slots=True)
class Call:
    """``nnet::dense<input_t, layer2_t, config2>(input_1, layer2_out, w2, b2); // fc1``."""

    function: str
    types: tuple[str, ...]
    arguments: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function definition: its name, parameter list, body, and the line number the body starts on."""

    name: str
    parameters: str
    body: str
    first_line: int


def functions(text: str, limit: int = 100) -> Iterator[Function]:
    """The first ``void`` functions of a cleaned text, in order."""
    for match in itertools.islice(_FUNCTION.finditer(text), limit):
        start = match.end() - 1
        depth = 0
        end = len(text)
        for brace in _BRACE.finditer(text, start):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                end = brace.start()
                break
        yield Function(match[1], match[2], text[start + 1 : end], text.count("\n", 0, start))


def statements(body: str, first_line: int) -> list[tuple[str, int]]:
    """The statements of a body, with the line numbers of their ends."""
    out = []
    line = first_line
    for statement in body.split(";"):
        line += statement.count("\n")
        stripped = " ".join(statement.replace("{", " ").replace("}", " ").split())
        if stripped:
            out.append((stripped, line))
    return out


def call_of(statement: str, comment: str) -> Call | None:
    """The call of a layer's function template in a statement, or ``None``."""
    match = re.match(r"(?:\w+::)*(\w+)\s*<", statement)
    if match is None:
        return None
    close = _matching(statement, match.end() - 1, "<", ">")
    if close < 0:
        return None
    rest = statement[close + 1 :].strip()
    if not rest.startswith("(") or not rest.endswith(")"):
        return None
    return Call(
        function=match[1],
        types=tuple(split(statement[match.end() : close])),
        arguments=tuple(split(rest[1:-1])),
        comment=comment,
    )


def _matching(text: str, start: int, opening: str, closing: str) -> int:
    depth = 0
    for position in range(start, len(text)):
        if text[position] == opening:
            depth += 1
        elif text[position] == closing:
            depth -= 1
            if depth == 0:
                return position
    return -1


def split(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        if letter in "<([{":
            depth += 1
        elif letter in ">)]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    last = text[start:].strip()
    return [*parts, last] if last or parts else []
