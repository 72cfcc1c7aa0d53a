"""FPGA parts: what they hold, read from TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import UserError

RESOURCES = ("lut", "ff", "dsp", "bram_18k", "uram")
_PART = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """One part.

    Args:
        name: short name, for example ``xcvu9p``.
        part: full part as the vendor's tools take it, for example ``xcvu9p-flga2104-2L-e``.
        family: ``7series``, ``ultrascale`` or ``ultrascale+``.
        lut, ff, dsp, bram_18k, uram: how many the part has (BRAM counted in 18 kbit halves).
        slr: number of super logic regions (dies).
        dsp_type: ``DSP48E1`` or ``DSP48E2``.
        dsp_widths: widths in bits of the two multiplier inputs, the wider first.
        clock_ns: default clock period in ns.
        sources: where the figures come from, one text each.
        aliases: other names, boards included.
        note: what a user must know, for example where sources disagree.
    """

    name: str
    part: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram_18k: int
    uram: int
    slr: int
    dsp_type: str
    dsp_widths: tuple[int, int]
    clock_ns: float
    sources: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    note: str = ""

    def share(self, resource: str, used: float) -> float:
        """Share of the part's ``resource`` (one of :data:`RESOURCES`) that ``used`` takes."""
        available = getattr(self, resource)
        if available:
            return used / available
        return 0.0 if used == 0 else float("inf")

    def to_json(self) -> dict[str, Any]:
        out = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in out.items()}


def read_target(path: Path) -> Target:
    """Read one target file.

    Raises:
        UserError: not readable, a key missing, unknown or of the wrong type.
    """
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError("not a readable target file", where=str(path), found=error) from error
    return _target(data, str(path))


def _target(data: Mapping[str, Any], where: str) -> Target:
    fields = Target.__dataclass_fields__
    for key in data:
        if key not in fields:
            raise UserError("unknown key in a target file", where=where, found=key, choices=fields)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in data:
            if name in ("aliases", "note"):
                continue
            raise UserError("a key is missing in a target file", where=where, remedy=f"add {name}")
        values[name] = _checked(name, str(field.type), data[name], where)
    if values["lut"] < 1 or values["clock_ns"] <= 0:
        raise UserError("lut and clock_ns of a target are above zero", where=where)
    if not _PART.fullmatch(values["part"]):
        raise UserError("not a part name", where=f"{where}: part", found=values["part"])
    return Target(**values)


def _checked(name: str, kind: str, value: Any, where: str) -> Any:
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind.startswith("tuple[str") and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind.startswith("tuple[int") and isinstance(value, list) and len(value) == 2:
        if all(isinstance(v, int) and v > 0 for v in value):
            return tuple(value)
    raise UserError(f"{name} of a target must be {kind}", where=where, found=repr(value))


def read_targets(folders: Iterable[Path]) -> dict[str, Target]:
    """All targets of some folders, by name. A name met twice keeps the later folder's."""
    found: dict[str, Target] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            target = read_target(path)
            found[target.name] = target
    return found


def find_target(text: str, folders: Iterable[Path]) -> Target:
    """The target that ``text`` means: a name, an alias, a full part, or the path of a file.

    A full part that no file names exactly (another package or speed grade) is taken with the
    device's figures: ``xcvu9p-flgb2104-2-e`` is found through ``xcvu9p``.

    Raises:
        UserError: nothing matches; the choices are named.
    """
    if text.endswith(".toml") or "/" in text:
        return read_target(Path(text).expanduser())
    targets = read_targets(folders)
    wanted = text.lower()
    for target in targets.values():
        if wanted in (target.name, target.part.lower(), *(alias.lower() for alias in target.aliases)):
            return target
    # Old and new spelling of 7-series parts: xc7z020clg400-1, xc7z020-clg400-1.
    fitting = [target for target in targets.values() if wanted.startswith(target.name) and "-" in wanted]
    if fitting:
        import dataclasses

        return dataclasses.replace(max(fitting, key=lambda target: len(target.name)), part=text)
    names = [name for target in targets.values() for name in (target.name, *target.aliases)]
    raise UserError("unknown target", where="--target", found=text, choices=sorted(names))
