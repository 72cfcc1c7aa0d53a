"""The spec of a run: one TOML file, overridden by flags, resolved and stored with the results."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.spec.bounds import limits_without_units
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.spec.configuration import from_table, to_table
from hwnas_hls.spec.quantities import SHORTEST_CLOCK_NS, parse_clock_ns
from hwnas_hls.spec.tables import (
    ExportTable,
    LimitsTable,
    NamedTable,
    ObjectivesTable,
    RunTable,
    SeedTable,
    SynthesisTable,
)

SPEC_SCHEMA = 1


@dataclass(frozen=True)
class Spec:
    """A whole run.

    Args:
        target: name, alias, full part or path of a target file.
        clock_ns: clock period; ``None`` takes the target's.
        estimators, exporters: name -> its configuration.
        seeds: the user's own designs.
        origin: the file it was read from, for messages.
    """

    target: str
    clock_ns: float | None = None
    run: RunTable = field(default_factory=RunTable)
    task: NamedTable = field(default_factory=lambda: NamedTable("digits16", is_default=True))
    space: NamedTable = field(default_factory=lambda: NamedTable("mlp", is_default=True))
    strategy: NamedTable = field(default_factory=lambda: NamedTable("nsga2", is_default=True))
    estimators: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exporters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    objectives: ObjectivesTable = field(default_factory=ObjectivesTable)
    limits: LimitsTable = field(default_factory=LimitsTable)
    export: ExportTable = field(default_factory=ExportTable)
    synthesis: SynthesisTable = field(default_factory=SynthesisTable)
    cluster: ClusterTable = field(default_factory=ClusterTable)
    seeds: tuple[SeedTable, ...] = ()
    origin: str = "the command line"

    @property
    def synthesis_budget(self) -> int:
        """Total number of syntheses; 0 without a synthesizer."""
        if self.synthesis.none:
            return 0
        return self.export.members if self.synthesis.budget is None else self.synthesis.budget

    @property
    def reserved_syntheses(self) -> int:
        """Syntheses reserved for the exported designs, each of which is measured.

        All of a default budget; of a budget set in the spec two thirds, at most one per member. The
        search spends the rest.
        """
        if self.synthesis.budget is None:
            return self.synthesis_budget
        return min(self.export.members, -(-2 * self.synthesis_budget // 3))

    @property
    def members(self) -> int:
        """Maximum number of exported designs."""
        return self.export.members if self.synthesis.none else self.reserved_syntheses

    def where(self, table: str) -> str:
        return f"{self.origin}: [{table}]"

    def to_tables(self) -> dict[str, Any]:
        """The nested tables that :func:`spec_from_tables` reads."""
        target: dict[str, Any] = {"name": self.target}
        if self.clock_ns is not None:
            target["clock_ns"] = self.clock_ns
        tables: dict[str, Any] = {"schema": SPEC_SCHEMA, "target": target}
        for name in PLAIN_TABLES:
            tables[name] = to_table(getattr(self, name))
        for name in _NAMED_TABLES:
            chosen: NamedTable = getattr(self, name)
            tables[name] = {"name": chosen.name, **chosen.config}
        if self.seeds:
            tables["seeds"] = [to_table(seed) for seed in self.seeds]
        tables["estimators"] = {name: dict(config) for name, config in self.estimators.items()}
        if self.exporters:
            tables["exporters"] = {name: dict(config) for name, config in self.exporters.items()}
        return tables

    def to_toml(self) -> str:
        import tomli_w

        return tomli_w.dumps(self.to_tables())


#: Tables of a spec that no plugin reads, and their classes.
PLAIN_TABLES: dict[str, type] = {
    "run": RunTable,
    "objectives": ObjectivesTable,
    "limits": LimitsTable,
    "export": ExportTable,
    "synthesis": SynthesisTable,
    "cluster": ClusterTable,
}
_NAMED_TABLES = ("task", "space", "strategy")
#: Tables of tables: the configurations of the plugins that a list in ``[run]`` names.
_PLUGIN_TABLES = ("estimators", "exporters")
_TABLES = ("schema", "target", *PLAIN_TABLES, *_NAMED_TABLES, *_PLUGIN_TABLES, "seeds")


def spec_from_tables(tables: Mapping[str, Any], origin: str) -> Spec:
    """A spec from nested tables.

    Raises:
        UserError: naming file, table, key, value and the choices.
    """
    for name in tables:
        if name not in _TABLES:
            raise UserError("unknown table in a spec", where=origin, found=name, choices=_TABLES)
    schema = tables.get("schema", SPEC_SCHEMA)
    if schema != SPEC_SCHEMA:
        raise UserError(
            "unsupported schema of the spec",
            where=f"{origin}: schema",
            found=schema,
            choices=[SPEC_SCHEMA],
            kind=ErrorKind.NEWER_VERSION,
        )
    for name in _TABLES[1:-1]:
        if name in tables and not isinstance(tables[name], Mapping):
            raise UserError(
                f"[{name}] must be a table", where=origin, found=repr(tables[name]), remedy=f"write [{name}]"
            )
    values: dict[str, Any] = {"origin": origin}
    values |= _target_values(tables.get("target", {}), origin)
    for name, table in PLAIN_TABLES.items():
        if name in tables:
            given = limits_without_units(tables[name], origin) if name == "limits" else tables[name]
            values[name] = from_table(table, given, f"{origin}: [{name}]")
    for name in _NAMED_TABLES:
        if name in tables:
            values[name] = _named(name, tables[name], origin)
    values["seeds"] = _seeds(tables.get("seeds", []), f"{origin}: [[seeds]]")
    spec = Spec(**values)
    return replace(
        spec,
        estimators=_plugin_tables("estimators", tables, spec, origin),
        exporters=_plugin_tables("exporters", tables, spec, origin),
    )


def _plugin_tables(
    kind: str, tables: Mapping[str, Any], spec: Spec, origin: str
) -> Mapping[str, Mapping[str, Any]]:
    """``[estimators.NAME]`` or ``[exporters.NAME]``, each of a plugin that the run uses."""
    configs: Mapping[str, Any] = tables.get(kind, {})
    used = getattr(spec.run, kind)
    for name, config in configs.items():
        if not isinstance(config, Mapping):
            raise UserError(
                f"[{kind}.{name}] must be a table", where=f"{origin}: [{kind}]", found=repr(config)
            )
        if name not in used:
            raise UserError(
                f"configuration of an {kind.removesuffix('s')} that the run does not use",
                where=f"{origin}: [{kind}.{name}]",
                found=name,
                choices=used,
            )
    return configs


def _seeds(entries: Any, where: str) -> tuple[SeedTable, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UserError(
            "seeds must be a list of tables", where=where, found=repr(entries), remedy="write [[seeds]]"
        )
    found = []
    for entry in entries:
        seed = from_table(SeedTable, entry, where)
        if not re.fullmatch(r"\d+(-\d+)+", seed.design):
            # Absolute, so that the resolved spec means the same file from any folder.
            seed = replace(seed, design=str(Path(seed.design).expanduser().absolute()))
        found.append(seed)
    return tuple(found)


def _target_values(table: Mapping[str, Any], origin: str) -> dict[str, Any]:
    where = f"{origin}: [target]"
    for key in table:
        if key not in ("name", "clock_ns"):
            raise UserError("unknown key", where=where, found=key, choices=("name", "clock_ns"))
    name = table.get("name", "")
    if not isinstance(name, str):
        raise UserError("a name must be a string", where=f"{where}.name", found=repr(name))
    if not name:
        raise UserError(
            "no target: the run needs a part",
            kind=ErrorKind.MISSING,
            where=where,
            remedy='give --target xcvu9p, or name = "xcvu9p" in [target]; `hwnas-hls targets` lists them',
        )
    clock = table.get("clock_ns")
    if isinstance(clock, str):
        clock = parse_clock_ns(clock, f"{where}.clock_ns")
    if clock is not None:
        if isinstance(clock, bool) or not isinstance(clock, int | float):
            raise UserError("expected a clock period or frequency", where=where, found=repr(clock))
        if not SHORTEST_CLOCK_NS <= clock <= 1000:
            raise UserError(
                f"no FPGA runs at this clock: clock_ns must be between {SHORTEST_CLOCK_NS:g} and 1000",
                where=where,
                found=repr(clock),
                remedy="write 5ns or 200MHz",
            )
        clock = float(clock)
    return {"target": name, "clock_ns": clock}


def _named(kind: str, table: Mapping[str, Any], origin: str) -> NamedTable:
    config = {key: value for key, value in table.items() if key != "name"}
    name = table.get("name")
    if name is None:
        default: NamedTable = Spec.__dataclass_fields__[kind].default_factory()  # type: ignore[operator]
        return NamedTable(default.name, config, is_default=True)
    if not isinstance(name, str):
        raise UserError("a name must be a string", where=f"{origin}: [{kind}].name", found=repr(name))
    return NamedTable(name, config)


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a spec file.

    Raises:
        UserError: the file does not exist, cannot be read, or is not TOML (with line and column).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "no such spec file",
            where=str(path),
            remedy="give the path of a spec file, or use flags only: `hwnas-hls run --target xcvu9p`",
            kind=ErrorKind.MISSING,
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "the spec cannot be read", where=str(path), found=error, kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(
            "the spec is not TOML", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
        ) from error


def override(tables: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set ``tables[path[0]][path[1]]... = value``, creating missing tables."""
    place = tables
    for step in path[:-1]:
        below = place.setdefault(step, {})
        if not isinstance(below, dict):
            raise UserError("expected a table, found a value", where=".".join(path), found=repr(below))
        place = below
    place[path[-1]] = value


def parse_setting(text: str) -> tuple[list[str], Any]:
    """``space.max_depth=3`` -> (["space", "max_depth"], 3); the value is TOML, or a plain string."""
    path, sign, value = text.partition("=")
    if not sign or not all(part.strip() for part in path.split(".")):
        raise UserError("expected TABLE.KEY=VALUE", where="--set", found=text)
    return [part.strip() for part in path.split(".")], setting_value(value)


def setting_value(text: str) -> Any:
    """The value of a setting on the command line: TOML, or a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
