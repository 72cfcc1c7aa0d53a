"""Flags of a command as a spec, on top of a spec file if there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError

if TYPE_CHECKING:
    from hwnas_hls.spec.cluster import ClusterTable
    from hwnas_hls.spec.spec import Spec


def spec_of_flags(path: Path | None, flags: Mapping[str, Any]) -> Spec:
    """The spec of ``path``, overridden by ``flags``.

    Raises:
        UserError: a flag or a table of the file is invalid.
    """
    from hwnas_hls.spec import spec as specs
    from hwnas_hls.spec.quantities import parse_clock_ns

    tables = {} if path is None else specs.read_tables(path)
    _check_strategy(flags["strategy"])
    for flag, place in _FLAG_PLACES.items():
        if flags[flag] is not None:
            _named(tables, place, flags[flag])
    if flags["clock"] is not None:
        specs.override(tables, ("target", "clock_ns"), parse_clock_ns(flags["clock"], "--clock"))
    if flags["fpr"] is not None:
        specs.override(tables, ("task", "false_positive_rate"), _rate(flags["fpr"]))
    _limits(tables, flags)
    _cluster(tables, flags["workers"], flags["scheduler"])
    if flags["hls_strategies"]:
        specs.override(tables, ("space", "strategies"), _strategies(flags["hls_strategies"]))
    if flags["objectives"]:
        _objectives(tables, flags["objectives"])
        _check_mode(tables, flags["objectives"])
    for text in flags["designs"]:
        tables.setdefault("seeds", []).append({"design": text})
    if flags["earlier"]:
        # Absolute, so that the resolved spec means the same folders from anywhere.
        places = [str(Path(text).expanduser().absolute()) for text in flags["earlier"]]
        specs.override(tables, ("run", "from"), places)
    for text in flags["settings"]:
        specs.override(tables, *specs.parse_setting(text))
    return specs.spec_from_tables(tables, str(path) if path else "the command line")


def question_of_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The tables ``objectives`` and ``limits`` of the flags of a second question to a run; empty without one.

    Raises:
        UserError: a flag is invalid.
    """
    tables: dict[str, Any] = {}
    _limits(tables, flags)
    if flags["objectives"]:
        _objectives(tables, flags["objectives"])
    return tables


def _limits(tables: dict[str, Any], flags: Mapping[str, Any]) -> None:
    """Apply ``--max``, ``--min`` and ``--max-latency``."""
    from hwnas_hls.spec.quantities import parse_time_ns

    maxima = list(flags["maxima"])
    if flags["max_latency"] is not None:
        parse_time_ns(flags["max_latency"], "--max-latency")
        maxima.append(f"latency_ns={flags['max_latency']}")
    _bounds(tables, "max", maxima)
    _bounds(tables, "min", flags["minima"])


_FLAG_PLACES = {
    "target": ("target", "name"),
    "task": ("task", "name"),
    "label": ("task", "label"),
    "metric": ("task", "metric"),
    "space": ("space", "name"),
    "strategy": ("strategy", "name"),
    "trials": ("run", "trials"),
    "minutes": ("run", "minutes"),
    "seed": ("run", "seed"),
    "device": ("run", "device"),
    "mode": ("objectives", "mode"),
    "synthesizer": ("synthesis", "synthesizer"),
    "synthesis_budget": ("synthesis", "budget"),
}


def _rate(text: str) -> float | str:
    """``--fpr`` as a number, or as written if it has units, which the spec then states."""
    from hwnas_hls.spec.quantities import parse_share

    value = parse_share(text, "--fpr")
    try:
        return float(text)
    except ValueError:
        return text if "hz" in text.lower() else value


def _bounds(tables: dict[str, Any], kind: str, texts: Sequence[str]) -> None:
    """The limits of ``--max`` or ``--min``; each replaces the spec's limit of the same metric.

    Raises:
        UserError: not a limit, or two of one metric that differ.
    """
    from hwnas_hls.spec.bounds import limit_entry
    from hwnas_hls.spec.spec import override

    where = f"--{kind}"
    found: dict[str, tuple[str, tuple[str, float]]] = {}
    for text in texts:
        metric, sign, value = text.partition("=")
        metric = metric.strip()
        if not sign or not metric:
            raise UserError("expected METRIC=VALUE", where=where, found=text, remedy="for example lut=20000")
        entry = limit_entry(kind, metric, value, where)
        if metric in found and found[metric][1] != entry:
            raise UserError(
                f"contradictory limits of {metric}",
                where=where,
                found=f"{found[metric][0]} and {text}",
                remedy="give one of them",
                kind=ErrorKind.CONFLICT,
            )
        found[metric] = (text, entry)
    for metric, (_, (key, bound)) in found.items():
        held = tables.get("limits")
        for other in {"max": ("max", "max_share"), "min": ("min",)}[kind]:
            if isinstance(held, dict) and isinstance(held.get(other), dict):
                held[other].pop(metric, None)
        override(tables, ("limits", key, metric), bound)


def _named(tables: dict[str, Any], place: tuple[str, str], value: Any) -> None:
    from hwnas_hls.spec.spec import override

    table, key = place
    if key == "name" and table != "target":
        held = tables.get(table)
        # The flag names another plugin: the configuration in the file belongs to the replaced one.
        if isinstance(held, dict) and held.get("name") != value:
            tables[table] = {}
    override(tables, place, value)


def _cluster(tables: dict[str, Any], workers: int | None, scheduler: str | None) -> None:
    """Apply ``--workers`` and ``--scheduler``; each replaces the other's settings of the file."""
    from hwnas_hls.spec.cluster import TLS_FILES
    from hwnas_hls.spec.spec import override

    if workers == 0 and scheduler is None:
        tables["cluster"] = {}
        return
    if workers is not None:
        override(tables, ("cluster", "workers"), workers)
    if scheduler is not None:
        override(tables, ("cluster", "scheduler"), scheduler)
    if workers is None and scheduler is None:
        return
    held = tables["cluster"]
    gone: tuple[str, ...] = ()
    if scheduler is not None:
        gone = () if workers else ("workers", "system")
        if not scheduler.startswith("tls://"):
            gone += TLS_FILES
    elif held.get("scheduler"):
        # synthesis_needs referred to the workers of that scheduler.
        gone = ("scheduler", "synthesis_needs", *TLS_FILES)
    for key in gone:
        held.pop(key, None)


def session_cluster(run_folder: Path, workers: int | None, scheduler: str | None) -> ClusterTable | None:
    """The workers for a started run according to the flags; ``None`` keeps those of its spec."""
    from hwnas_hls.run.folder import run_spec
    from hwnas_hls.spec.spec import spec_from_tables

    if workers is None and scheduler is None:
        return None
    tables = run_spec(run_folder).to_tables()
    _cluster(tables, workers, scheduler)
    return spec_from_tables(tables, str(run_folder / "spec.toml")).cluster


def _strategies(texts: tuple[str, ...]) -> list[str]:
    """HLS strategies in hls4ml's spelling; case and the short ``da`` do not matter."""
    from hwnas_hls.network.architecture import STRATEGIES

    spellings = {name.lower(): name for name in STRATEGIES} | {"da": "distributed_arithmetic"}
    found = []
    for text in texts:
        name = spellings.get(text.strip().lower().replace("-", "_"))
        if name is None:
            raise UserError("unknown HLS strategy", where="--hls-strategy", found=text, choices=STRATEGIES)
        if name not in found:
            found.append(name)
    return found


def _check_strategy(text: str | None) -> None:
    """Raise UserError if ``--strategy`` names a strategy of hls4ml."""
    from hwnas_hls.network.architecture import STRATEGIES

    if text is not None and text.lower() in [name.lower() for name in STRATEGIES]:
        raise UserError(
            "this is an hls4ml strategy; --strategy is the search strategy",
            where="--strategy",
            found=text,
            remedy=f"give --hls-strategy {text}",
        )


def _objectives(tables: dict[str, Any], texts: tuple[str, ...]) -> None:
    from hwnas_hls.spec.spec import override

    names, weights = [], {}
    for text in texts:
        name, sign, weight = text.partition("=")
        names.append(name)
        if sign:
            try:
                weights[name] = float(weight)
            except ValueError:
                raise UserError("a weight must be a number", where="--objective", found=text) from None
    if len(set(names)) < len(names):
        raise UserError("an objective is given twice", where="--objective", found=", ".join(texts))
    override(tables, ("objectives", "metrics"), names)
    held = tables["objectives"]
    if isinstance(held.get("weights"), dict):  # the flags replace the objectives of the file
        held.pop("weights")
    if weights:
        override(tables, ("objectives", "weights"), weights)


def _check_mode(tables: dict[str, Any], texts: tuple[str, ...]) -> None:
    """Raise UserError if the mode would ignore an objective or a weight."""
    mode = tables["objectives"].get("mode", "pareto")
    found = f"{', '.join(f'--objective {text}' for text in texts)} with mode {mode}"
    if mode == "constrained" and len(texts) > 1:
        raise UserError(
            "mode constrained optimises one objective under limits, and would ignore the others",
            where="--mode and --objective",
            found=found,
            remedy="give one --objective and limit the other metrics (--max, --min), or use mode weighted",
            kind=ErrorKind.CONFLICT,
        )
    if mode == "weighted" and len(texts) == 1:
        raise UserError(
            "mode weighted needs two objectives or more",
            where="--mode and --objective",
            found=found,
            remedy="add an --objective, or use mode constrained",
            kind=ErrorKind.CONFLICT,
        )
    if mode != "weighted" and "weights" in tables["objectives"]:
        raise UserError(
            f"mode {mode} would ignore the weights of the objectives",
            where="--objective",
            found=found,
            remedy="add --mode weighted, or leave the weights out",
            kind=ErrorKind.CONFLICT,
        )
