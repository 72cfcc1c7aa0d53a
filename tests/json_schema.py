"""The part of JSON Schema that docs/*.schema.json use, as a check for tests.

Stricter than the standard in one point: a property that the schema does not name is a fault
unless the schema says ``"additionalProperties": true``, so that nothing stays undocumented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    "$schema", "$ref", "$defs", "title", "type", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "enum", "const", "pattern", "minimum", "maximum", "anyOf",
}  # fmt: skip


def faults(data: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """What is wrong with ``data``; empty where it fits."""
    return list(_faults(data, schema, root or schema, at))


def _faults(data: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    assert set(schema) <= _KNOWN, f"this check does not know {set(schema) - _KNOWN}"
    if "$ref" in schema:
        yield from _faults(data, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
        return
    if "anyOf" in schema and all(faults(data, one, root, at) for one in schema["anyOf"]):
        yield f"{at}: {data!r} is none of the alternatives"
    if set(schema) == {"anyOf"}:
        return  # the alternatives say what is described
    if "const" in schema and data != schema["const"]:
        yield f"{at}: {data!r} is not {schema['const']!r}"
    if "enum" in schema and data not in schema["enum"]:
        yield f"{at}: {data!r} is none of {schema['enum']}"
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is(data, name) for name in wanted):
            yield f"{at}: {data!r} is no {' or '.join(wanted)}"
            return
    if isinstance(data, str) and "pattern" in schema and not re.search(schema["pattern"], data):
        yield f"{at}: {data!r} does not fit {schema['pattern']}"
    number = isinstance(data, int | float) and not isinstance(data, bool)
    if number and not schema.get("minimum", data) <= data <= schema.get("maximum", data):
        yield f"{at}: {data} is out of range"
    if isinstance(data, list):
        if not schema.get("minItems", 0) <= len(data) <= schema.get("maxItems", len(data)):
            yield f"{at}: {len(data)} items"
        for place, item in enumerate(data):
            yield from _faults(item, schema.get("items", {}), root, f"{at}[{place}]")
    if isinstance(data, dict):
        yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in data)
        named, others = schema.get("properties", {}), schema.get("additionalProperties", not schema)
        for name, item in data.items():
            if name in named:
                yield from _faults(item, named[name], root, f"{at}.{name}")
            elif isinstance(others, dict):
                yield from _faults(item, others, root, f"{at}.{name}")
            elif not others:
                yield f"{at}: {name} is not described"


def _is(data: Any, name: str) -> bool:
    if isinstance(data, bool):
        return name == "boolean"
    return isinstance(data, _TYPES[name])
