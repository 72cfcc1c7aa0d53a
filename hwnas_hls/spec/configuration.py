"""TOML tables -> the frozen ``Config`` dataclasses of plugins and of the spec, checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from hwnas_hls.errors import ErrorKind, UserError

T = typing.TypeVar("T")


def from_table(config: type[T], table: Mapping[str, Any], where: str) -> T:
    """An instance of a dataclass from a table; missing keys take their defaults.

    Args:
        config: a dataclass whose fields are plain values, tuples of them, or optional.
        table: key -> value as read from TOML.
        where: file and table, for messages.

    Raises:
        UserError: an unknown key, a missing one, or a value of the wrong type.
    """
    named = [field for field in dataclasses.fields(config) if field.init]  # type: ignore[arg-type]
    # ``from_`` is the key ``from``, which is no name in Python.
    fields = {field.name.removesuffix("_"): field for field in named}
    hints = typing.get_type_hints(config)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            raise UserError("unknown key", where=where, found=key, choices=fields)
        values[fields[key].name] = _convert(value, hints[fields[key].name], f"{where}.{key}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in values:
            raise UserError(
                "a required key is missing", where=where, remedy=f"set {name}", kind=ErrorKind.MISSING
            )
    try:
        return config(**values)
    except ValueError as error:
        raise UserError(str(error), where=where) from error


def default_faults(config: type) -> list[str]:
    """Defaults of a dataclass that :func:`from_table` would refuse as values, in words."""
    faults = []
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if field.init and field.default is not dataclasses.MISSING:
            try:
                _convert(field.default, hints[field.name], f"the default of {field.name}")
            except UserError:
                wanted, found = _wanted(hints[field.name]), _found(field.default)
                faults.append(f"the default of {field.name} is {found}, but its type asks for {wanted}")
    return faults


def to_table(config: Any) -> dict[str, Any]:
    """The inverse of :func:`from_table`: every field that is not ``None``, tuples as lists."""
    return {
        field.name.removesuffix("_"): _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if getattr(config, field.name) is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(hint), hint, where)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise UserError("not a choice", where=where, found=repr(value), choices=get_args(hint))
    if origin in (tuple, list):
        return _convert_sequence(value, hint, where)
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        if isinstance(value, Mapping):
            item = get_args(hint)[1]
            return {str(key): _convert(entry, item, f"{where}.{key}") for key, entry in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"expected {_wanted(hint)}", where=where, found=_found(value))


def _convert_union(value: Any, choices: tuple[Any, ...], hint: Any, where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _convert(value, choice, where)
        except UserError:
            continue
    raise UserError(f"expected {_wanted(hint)}", where=where, found=_found(value))


def _convert_sequence(value: Any, hint: Any, where: str) -> Any:
    arguments = get_args(hint)
    if not isinstance(value, list | tuple):
        raise UserError(f"expected {_wanted(hint)}", where=where, found=_found(value))
    if get_origin(hint) is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        items = [_convert(item, arguments[0], f"{where}[{place}]") for place, item in enumerate(value)]
    else:
        if len(value) != len(arguments):
            raise UserError(f"expected {_wanted(hint)}", where=where, found=f"{len(value)}: {value!r}")
        items = [
            _convert(item, argument, f"{where}[{place}]")
            for place, (item, argument) in enumerate(zip(value, arguments, strict=True))
        ]
    return items if get_origin(hint) is list else tuple(items)


_WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a finite number", "finite numbers"),
    str: ("a quoted string", "quoted strings"),
    bool: ("true or false", "values of true or false"),
}


def _wanted(hint: Any, many: bool = False) -> str:
    """A type in the terms of TOML, for example ``a list of whole numbers``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint][many]
    if origin in (Union, types.UnionType):
        return " or ".join(_wanted(choice, many) for choice in arguments if choice is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (tuple, list):
        if origin is list or arguments[-1] is Ellipsis:
            return f"{'lists' if many else 'a list'} of {_wanted(arguments[0], True)}"
        kinds = list(dict.fromkeys(_wanted(argument, True) for argument in arguments))
        return f"{'lists' if many else 'a list'} of {len(arguments)} {' and '.join(kinds)}"
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        return "tables" if many else "a table"
    if hint is Any:
        return "values" if many else "a value"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _found(value: Any) -> str:
    """A value and its TOML type."""
    if isinstance(value, bool):
        return f"{str(value).lower()} (true or false)"
    kinds = {int: "whole number", float: "number", str: "string", dict: "table", list: "list", tuple: "list"}
    return f"{value!r} ({kinds.get(type(value), type(value).__name__)})"
