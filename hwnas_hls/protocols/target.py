"""FPGA parts and their resources, read from TOML files."""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.resources import data_folder

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RESOURCES = ("lut", "ff", "dsp", "bram_18k", "uram")
#: A full part name after the device: power or industrial letter, package, speed grade, temperature.
_PACKAGE = re.compile(
    r"(?P<device>[il]?)(?P<dash>-?)(?P<package>[a-z]{2,4}\d{3,4})-(?P<speed>\d[a-z]{0,2})(?P<rest>(-[a-z0-9]+)*)"
)
#: A full part name of Lattice: device, speed grade, package, commercial or industrial.
_LATTICE = re.compile(r"(?P<device>lfe5u(m|m5g)?-\d+f)-[678][a-z]{2}\d+[ci]")
_PART = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """An FPGA part.

    Args:
        name: short name, for example ``xcvu9p``.
        part: full part name for the vendor's tools, for example ``xcvu9p-flga2104-2L-e``.
        family: ``7series``, ``ultrascale``, ``ultrascale+`` or ``ecp5``.
        lut, ff, dsp, bram_18k, uram: available resources (BRAM in units of 18 kbit).
        slr: number of super logic regions (dies).
        dsp_type: ``DSP48E1``, ``DSP48E2`` or ``MULT18X18D``.
        dsp_widths: widths in bits of the two multiplier inputs, the wider first.
        clock_ns: default clock period in ns.
        sources: references for the figures, one string each.
        aliases: other names, including boards.
        note: a remark for users, for example that sources disagree.
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
        """``used`` as a share of the part's ``resource`` (one of :data:`RESOURCES`)."""
        available: int = getattr(self, resource)
        if available:
            return used / available
        return 0.0 if used == 0 else float("inf")

    def to_json(self) -> dict[str, Any]:
        out = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in out.items()}


def read_target(path: Path) -> Target:
    """Read one target file.

    Raises:
        UserError: the file is not readable, or a key is missing, unknown or of the wrong type.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "target file not found",
            where=str(path),
            remedy="give the path of a TOML file, or a name: `hwnas-hls targets` lists them",
            kind=ErrorKind.MISSING,
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(
            "not a readable target file", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
        ) from error
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
            raise UserError(
                "a key is missing in a target file", where=where, remedy=f"add {name}", kind=ErrorKind.MISSING
            )
        values[name] = _checked(name, str(field.type), data[name], where)
    for name in ("lut", "ff", "slr", "clock_ns"):
        if values[name] <= 0 or values[name] == float("inf"):
            raise UserError(f"{name} of a target must be above zero", where=where, found=values[name])
    if not _NAME.fullmatch(values["name"]):
        raise UserError(
            "a target's name consists of lower-case letters, digits, '-' and '_'",
            where=where,
            found=values["name"],
        )
    if not values["sources"]:
        raise UserError(
            "a target must name the sources of its figures",
            where=where,
            remedy="add a string to sources",
            kind=ErrorKind.MISSING,
        )
    if not _PART.fullmatch(values["part"]):
        raise UserError("not a part name", where=f"{where}: part", found=values["part"])
    return Target(**values)


def _checked(name: str, kind: str, value: Any, where: str) -> Any:
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return float(value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind.startswith("tuple[str") and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    pair = kind.startswith("tuple[int") and isinstance(value, list) and [type(v) for v in value] == [int, int]
    if pair and min(value) > 0:
        return tuple(value)
    raise UserError(f"{name} of a target must be {kind}", where=where, found=repr(value))


def read_targets(folders: Iterable[Path], faults: list[UserError] | None = None) -> dict[str, Target]:
    """All targets in some folders, by name; of two with the same name, the later folder's is kept.

    Args:
        folders: searched without their subfolders.
        faults: collects the errors of unreadable files; if ``None``, the first one is raised.
    """
    found: dict[str, Target] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                target = read_target(path)
            except UserError as error:
                if faults is None:
                    raise
                faults.append(error)
                continue
            found[target.name] = target
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The targets that a command sees: the shipped ones and those of plugins.

    Args:
        by_name: name -> target.
        faults: errors of target files that could not be read.
    """

    by_name: Mapping[str, Target]
    faults: Sequence[UserError] = ()

    def named(self, text: str) -> Target | None:
        """The target with this name or alias, or ``None``; case is ignored, a space or ``_`` is a dash."""
        wanted = _spelling(text)
        if wanted in self.by_name:
            return self.by_name[wanted]
        for target in self.by_name.values():
            if wanted in map(_spelling, (target.name, *target.aliases)):
                return target
        return None

    def of_part(self, text: str) -> Target | None:
        """The target with the resources of a part (name, alias, device or full part name), or ``None``."""
        found = self.named(text)
        if found is not None:
            return found
        wanted, device = text.strip().lower(), device_of(text)
        for target in self.by_name.values():
            if wanted == target.part.lower() or device == target.name.lower():
                return target
        return None

    def find(self, text: str) -> Target:
        """The target given by a name, an alias, a full part name, or the path of a file.

        A full part name with another package or speed grade gets the resources of its device:
        ``xcvu9p-flgb2104-2-e`` uses ``xcvu9p``. Case is ignored, and so is a dash before the package
        of a 7-series part.

        Raises:
            UserError: nothing matches; the message lists the choices.
        """
        if text.lower().endswith(".toml") or "/" in text:
            return read_target(Path(text).expanduser())
        found = self.named(text)
        if found is not None:
            return found
        for target in self.by_name.values():
            part = _full_part(text.strip().lower(), target)
            if part:
                return dataclasses.replace(target, part=part)
        broken = [f"{fault.where}: {fault.what}" for fault in self.faults]
        raise UserError(
            "unknown target",
            where="--target",
            found=text,
            choices=sorted(
                name for target in self.by_name.values() for name in (target.name, *target.aliases)
            ),
            remedy="use one of these, a full part name of one (xcvu9p-flgb2104-2-e), or the path of a "
            + "target file (*.toml)"
            + (f"; target files that could not be read: {'; '.join(broken)}" if broken else ""),
        )


def _spelling(name: str) -> str:
    """A name as it is compared: ``Alveo U250`` is ``alveo-u250``."""
    return "-".join(name.lower().replace("_", " ").split())


def find_target(text: str, folders: Iterable[Path]) -> Target:
    """The target given by ``text`` among the target files of some folders; see :meth:`Targets.find`."""
    faults: list[UserError] = []
    return Targets(read_targets(folders, faults), faults).find(text)


@functools.cache
def shipped_targets() -> Targets:
    """The targets shipped with this package."""
    faults: list[UserError] = []
    return Targets(read_targets([data_folder("hw_targets")], faults), faults)


#: The device in a full part name ends at a dash, or at the package of a 7-series part.
_DEVICE = re.compile(
    r"x[ac]7?[a-z]*\d+[a-z]*?(?=-|_|$|clg|cpg|csg|fbg|ffg|fgg|ftg|flg|sbg|sfg|sbv|ffv|fhg|rfg|rb)"
)


@functools.lru_cache(maxsize=4096)
def device_of(part: str) -> str:
    """The device in a full part name, in lower case: ``xcvu9p-flga2104-2L-e`` -> ``xcvu9p``."""
    text = part.strip().lower()
    match = _DEVICE.match(text)
    return match[0] if match else text


def _full_part(wanted: str, target: Target) -> str:
    """``wanted`` in the vendor's spelling if it is a full part name of the target's device; else empty."""
    if _undashed(wanted) == _undashed(target.part.lower()):
        return target.part
    if target.family == "ecp5":
        return _lattice_part(wanted, target)
    rest = wanted.removeprefix(target.name.lower())
    if rest == wanted:
        return ""
    match = _PACKAGE.fullmatch(rest)
    # UltraScale parts have a dash before the package, 7-series parts have none in Vivado's spelling.
    if match is None or (target.family != "7series" and not (match["dash"] and not match["device"])):
        return ""
    dash = "" if target.family == "7series" else "-"
    # Only the letters of the speed grade are capitals: -2L-e, -2LV-c.
    return f"{target.name}{match['device']}{dash}{match['package']}-{match['speed'].upper()}{match['rest']}"


def _lattice_part(wanted: str, target: Target) -> str:
    """As :func:`_full_part`: ``lfe5u-25f-7bg256i`` is a part of the device ``lfe5u-25f``."""
    match = _LATTICE.fullmatch(wanted)
    same = match is not None and target.name.lower() == match["device"]
    return wanted.upper() if same else ""


def _undashed(part: str) -> str:
    return part.replace("-", "", 1)
