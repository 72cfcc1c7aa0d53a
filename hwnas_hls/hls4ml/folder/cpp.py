"""Parses the C++ that hls4ml writes: constants, type names, configuration structs, calls.

Nothing is compiled or executed. Linear scans split the text into comments, preprocessor lines and
statements; other constructs are ignored or rejected.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hwnas_hls.hls4ml.folder.preprocessor import holds

_MARK = re.compile(r'"|//|/\*')
_STRING = re.compile(r'"[^"\n]*"?')
_DEFINE = re.compile(r"\s*#\s*define\s+([A-Za-z_]\w*)\s+([^\s].*)")
_CONSTANT = re.compile(r"(?:static\s+)?const(?:expr)?\s+(?:unsigned\s+int|[\w:]+)\s+(\w+)\s*=\s*(.+)")
_TYPEDEF = re.compile(r"typedef\s+(.+?)\s+(\w+)", re.DOTALL)
_COMPRESSED = re.compile(r"typedef\s+struct\s+\w*\s*\{([^{}]*)\}\s*(\w+)\s*;")
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*(?::\s*(?:public\s+)?([\w:]+)\s*)?\{")
_FUNCTION = re.compile(r"\bvoid\s+(\w+)\s{0,4}\(([^(){};]*)\)\s*\{")
_MAX_STRUCT = 5_000
#: A file has one top function; a bound keeps a hostile file cheap.
_MOST_FUNCTIONS = 100
_BRACE = re.compile(r"[{}]")
#: A pragma as an operator, which may stand on the line of a statement.
_OPERATOR = re.compile(r'\b_Pragma\s*\(\s*"HLS\s([^"]{1,500})"\s*\)')


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


@dataclass(frozen=True, slots=True)
class Pragma:
    """The text behind ``#pragma HLS``, and the number of its line, from 0."""

    text: str
    line: int


@dataclass(slots=True)
class SourceText:
    """One file without comments and preprocessor lines.

    Args:
        text: statements only; every line keeps its number.
        pragmas: of all functions, in order.
        defines: name -> expression of ``#define``.
        comments: line number -> comment at its end.
        named: every ``#define`` -> its expression, empty where it has none.
    """

    text: str
    pragmas: list[Pragma] = field(default_factory=list)
    defines: dict[str, str] = field(default_factory=dict)
    comments: dict[int, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)


def clean(text: str, known: Mapping[str, str] | None = None) -> SourceText:
    """Remove comments, preprocessor lines and code excluded from synthesis.

    Args:
        text: of one file.
        known: macros of earlier files and of the compiler's flags -> expressions.
    """
    bare, comments = without_comments(text)
    result = SourceText("", comments=comments)
    names = dict(known or {})
    kept: list[str] = []
    levels: list[_Level] = []
    for number, line in _directives_joined(bare.split("\n")):
        stripped = line.strip()
        hidden = _hidden(levels)
        kept += [""] * (number - len(kept))
        if not stripped.startswith("#"):
            visible = "" if hidden else line
            result.pragmas += [Pragma(found[1].strip(), number) for found in _OPERATOR.finditer(visible)]
            kept.append(_OPERATOR.sub("", visible))
            continue
        kept.append("")
        words = stripped[1:].split(None, 1)
        if not words:
            continue
        rest = words[1] if len(words) > 1 else ""
        if _branch(words[0], rest, levels, names) or hidden:
            continue
        if words[0] == "undef":
            names.pop(rest.strip(), None)
        elif words[0] == "define" and rest:
            name = rest.split()[0].partition("(")[0]
            match = _DEFINE.fullmatch(line[:500])
            if match is not None:
                result.defines[match[1]] = match[2].strip()
            names[name] = result.defines.get(name, "")
            result.named[name] = names[name]
        elif words[0].upper() == "PRAGMA" and rest[:3].upper() == "HLS" and len(rest.split()) > 1:
            result.pragmas.append(Pragma(rest.split(None, 1)[1].strip()[:500], number))
    result.text = "\n".join(kept)
    return result


def _directives_joined(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; a preprocessor line that a backslash continues is one with the next."""
    number = 0
    while number < len(lines):
        first, parts = number, [lines[number]]
        directive = lines[number].lstrip().startswith("#")
        while directive and parts[-1].rstrip().endswith("\\") and number + 1 < len(lines):
            number += 1
            parts[-1] = parts[-1].rstrip()[:-1]
            parts.append(lines[number])
        yield first, " ".join(parts)
        number += 1


@dataclass(slots=True)
class _Level:
    """One level of ``#if``: whether its present branch is excluded, and whether one was included before.

    ``None`` stands for what no file says; such branches are kept. ``outside``: whether a level around it
    is excluded, which cannot change while it is open.
    """

    excluded: bool | None
    taken: bool | None
    outside: bool


def _hidden(levels: Sequence[_Level]) -> bool:
    """Whether the present line is excluded; only the innermost level is read, for files with many."""
    return bool(levels) and (levels[-1].outside or levels[-1].excluded is True)


def _branch(word: str, rest: str, levels: list[_Level], names: Mapping[str, str]) -> bool:
    """Follow a directive that begins, changes or ends a level; whether it was one."""
    if word in ("if", "ifdef", "ifndef"):
        value = holds(word, rest, names)
        levels.append(_Level(None if value is None else not value, value, _hidden(levels)))
    elif word in ("elif", "else") and levels:
        level = levels[-1]
        value = True if word == "else" else holds("if", rest, names)
        if level.taken or value is False:
            level.excluded = True
            return True
        certain = value is True and level.taken is False
        level.excluded, level.taken = (False, True) if certain else (None, None)
    elif word == "endif" and levels:
        levels.pop()
    else:
        return word in ("elif", "else", "endif")
    return True


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

    def holds(self, line: int) -> bool:
        """Whether a line, by its number, is one of the body."""
        return self.first_line <= line <= self.first_line + self.body.count("\n")


def functions(text: str) -> Iterator[Function]:
    """The first ``void`` functions of a cleaned text, in order."""
    for match in itertools.islice(_FUNCTION.finditer(text), _MOST_FUNCTIONS):
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
