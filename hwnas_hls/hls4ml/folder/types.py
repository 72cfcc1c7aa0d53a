"""C++ type names of a project -> fixed-point types."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hwnas_hls.errors import Unsupported, UserError
from hwnas_hls.hls4ml.folder.cpp import split
from hwnas_hls.network.precision import FixedType

#: Values of Vitis' enumerations ap_q_mode and ap_o_mode (UG1399), for for example in ``(ap_q_mode)4``.
_ROUNDING = ("RND", "RND_ZERO", "RND_MIN_INF", "RND_INF", "RND_CONV", "TRN", "TRN_ZERO")
_OVERFLOW = ("SAT", "SAT_ZERO", "SAT_SYM", "WRAP")
_FIXED = re.compile(r"(?:\w+::)*(ap_u?fixed|ap_u?int)\s*<(.*)>", re.DOTALL)
_ARRAY = re.compile(r"(?:\w+::)*array\s*<(.*)>", re.DOTALL)
_STREAM = re.compile(r"(?:\w+::)*stream\s*<(.*)>", re.DOTALL)


def fixed_type(text: str, names: Mapping[str, str], where: str, depth: int = 0) -> FixedType:
    """The fixed-point type of a C++ type; for arrays and streams, of their elements.

    Args:
        text: a name or a type as written.
        names: type names -> definitions.
        where: layer and role, for the error.

    Raises:
        Unsupported: a floating-point type, an unknown name, a type of another tool.
    """
    text = text.strip()
    if depth > 16:
        raise Unsupported(f"{where}: type {text!r} is defined by itself")
    match = _FIXED.fullmatch(text)
    if match is not None:
        return _fixed(match[1], split(match[2]), where, text)
    container = _ARRAY.fullmatch(text) or _STREAM.fullmatch(text)
    if container is not None:
        return fixed_type(split(container[1])[0], names, where, depth + 1)
    base = text.removeprefix("typename ").rpartition("::")[2].strip()
    if base in names and names[base] != text:
        return fixed_type(names[base], names, where, depth + 1)
    if base in ("float", "double", "half") or base.startswith("bfloat"):
        raise Unsupported(f"{where}: {base} is a floating-point type; only ap_fixed and ap_int are supported")
    raise Unsupported(f"{where}: type {text[:80]!r} is not an ap_fixed or ap_int type of this project")


def _fixed(kind: str, arguments: list[str], where: str, text: str) -> FixedType:
    modes = [_mode(argument, at) for at, argument in enumerate(arguments[2:4])]
    numbers = arguments[: 1 if kind.endswith("int") else 2]
    plain = f"{kind}<{','.join([*numbers, *(f'AP_{mode}' for mode in modes)])}>"
    try:
        return FixedType.parse(plain)
    except UserError as error:
        raise Unsupported(f"{where}: {text[:80]!r}: {error.what}") from error


def _mode(text: str, at: int) -> str:
    bare = re.sub(r"\(\s*ap_[qo]_mode\s*\)|ap_[qo]_mode\s*::", "", text).strip()
    if bare.isdigit():
        table = _ROUNDING if at == 0 else _OVERFLOW
        return table[int(bare)] if int(bare) < len(table) else bare
    return bare.removeprefix("AP_").removeprefix("SC_")
