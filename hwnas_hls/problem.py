"""A spec with everything it names found, loaded and checked: what the search works on."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.architecture import Architecture, as_architecture
from hwnas_hls.candidate import Candidate
from hwnas_hls.configuration import to_table
from hwnas_hls.errors import UserError
from hwnas_hls.estimate import METRICS, Metric
from hwnas_hls.estimator import Estimator
from hwnas_hls.objective import Goal, Limit, Objective, direction_of
from hwnas_hls.plugins import Registry
from hwnas_hls.space import Space
from hwnas_hls.spec import NamedTable, Spec
from hwnas_hls.strategy import Strategy
from hwnas_hls.synthesis import Synthesizer
from hwnas_hls.target import RESOURCES, Target
from hwnas_hls.task import CLASSIFICATION, Dataset

_PATH_LIKE = re.compile(r".*(\.(csv|tsv|txt|dat|data|npz|parquet|pq)|/.*)", re.IGNORECASE)
log = logging.getLogger(__name__)
#: Needs nothing of a space but that it samples, mutates and crosses over.
_ANY_SPACE = "evolution"
#: metric -> (best, worst) of its scale, where neither a limit nor the part gives an end.
_SCALES = {
    "latency_cycles": (1.0, 1000.0),
    "latency_ns": (1.0, 10_000.0),
    "ii_cycles": (1.0, 1000.0),
    "lut": (10.0, 1e6),
    "ff": (10.0, 1e6),
    "dsp": (1.0, 1e4),
    "bram_18k": (1.0, 1e4),
    "uram": (1.0, 1e3),
    "energy_pj": (1.0, 1e6),
    "model_size_bytes": (1.0, 1e6),
    "parameters": (1.0, 1e6),
    "macs": (1.0, 1e6),
    "bit_operations": (1.0, 1e9),
}


@dataclass(frozen=True, eq=False)
class Part:
    """A plugin at work: the instance, and the configuration that its evaluations depend on."""

    name: str
    instance: Any
    config: Mapping[str, Any]
    provider: str


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a search needs; nothing in it changes.

    Args:
        spec: as resolved (names of built-ins made unambiguous where a stranger claims one).
        estimators: cheapest first.
        synthesizer: for hardware in the loop; ``None`` where there is none.
        trainer: the estimator whose designs are handed over, with the configuration for the
            full training; ``None`` where no estimator trains.
    """

    spec: Spec
    registry: Registry
    target: Target
    clock_ns: float
    dataset: Dataset
    space: Space
    goal: Goal
    estimators: Sequence[Part]
    trainer: Part | None
    synthesizer: Synthesizer | None
    make_strategy: Callable[[], Strategy]

    def architecture(self, candidate: Candidate) -> Architecture:
        """The space's architecture, with the run's clock where it names none."""
        architecture = as_architecture(self.space.architecture(candidate))
        if architecture.clock_ns is None:
            architecture = dataclasses.replace(architecture, clock_ns=self.clock_ns)
        return architecture


def pose(spec: Spec, registry: Registry) -> Problem:
    """Find, load and check all that a spec names.

    Raises:
        UserError: something is unknown, unreadable, contradictory or missing.
    """
    if spec.target.endswith(".toml"):
        # Absolute, so that the resolved spec means the same file from any folder.
        spec = dataclasses.replace(spec, target=str(Path(spec.target).expanduser().absolute()))
    target = registry.target(spec.target)
    clock_ns = spec.clock_ns or target.clock_ns
    spec, task = _build(spec, registry, "task", _task_table(spec.task), {})
    dataset: Dataset = task.load()
    common: dict[str, Any] = {
        "task": dataset,
        "target": target,
        "seed": spec.run.seed,
        "clock_ns": clock_ns,
    }
    synthesizer = _synthesizer(spec, registry)
    common["synthesizer"] = synthesizer
    spec, space = _build(spec, registry, "space", spec.space, common)
    estimators = _estimators(spec, registry, common)
    goal = _goal(spec, dataset, target, clock_ns, [part.instance for part in estimators])
    common |= {"space": space, "goal": goal, "objectives": goal.objectives, "limits": goal.limits}
    spec = _strategy(spec, registry, common)

    def make_strategy() -> Strategy:
        strategy: Strategy = _build(spec, registry, "strategy", spec.strategy, common)[1]
        return strategy

    for name in spec.run.exporters:
        registry.offer("exporter", name, spec.where("run"), is_default=name in _default_exporters())
    trainer = _trainer(spec, registry, estimators, common)
    return Problem(
        spec,
        registry,
        target,
        clock_ns,
        dataset,
        space,
        goal,
        estimators,
        trainer,
        synthesizer,
        make_strategy,
    )


def _default_exporters() -> tuple[str, ...]:
    from hwnas_hls.spec import RunTable

    return RunTable().exporters


def _task_table(table: NamedTable) -> NamedTable:
    """``--task PATH`` means the ``file`` task with that path."""
    if _PATH_LIKE.fullmatch(table.name):
        # Absolute, so that the resolved spec means the same file from any folder.
        path = str(Path(table.name).expanduser().absolute())
        return NamedTable("file", {"path": path, **table.config}, is_default=True)
    return table


def _build(
    spec: Spec, registry: Registry, kind: str, table: NamedTable, available: Mapping[str, Any]
) -> tuple[Spec, Any]:
    """The plugin that a table names, and the spec with that table resolved: every key stated."""
    where = spec.where(kind)
    offer = registry.offer(kind, table.name, where, is_default=table.is_default)
    instance = registry.build(offer, table.config, where, **available)
    name = offer.name if len(registry.offers(kind)[offer.name]) == 1 else offer.qualified
    resolved = NamedTable(name, _stated(instance, table.config))
    changed: dict[str, Any] = {kind: resolved}
    return dataclasses.replace(spec, **changed), instance


def _strategy(spec: Spec, registry: Registry, common: Mapping[str, Any]) -> Spec:
    """The spec with its strategy resolved.

    A stranger's space need not have a table of knobs that the default strategy understands; one
    that mutates and crosses over by the space's own methods then takes its place, and says so.
    """
    try:
        return _build(spec, registry, "strategy", spec.strategy, common)[0]
    except UserError as error:
        if not spec.strategy.is_default or spec.strategy.config:
            raise
        log.warning("%s; %s is used instead", error.what, _ANY_SPACE)
        table = NamedTable(_ANY_SPACE, is_default=True)
        return _build(spec, registry, "strategy", table, common)[0]


def _synthesizer(spec: Spec, registry: Registry) -> Synthesizer | None:
    table = spec.synthesis
    if not table.synthesizer:
        return None
    where = spec.where("synthesis")
    offer = registry.offer("synthesizer", table.synthesizer, where)
    built: Synthesizer = registry.build(offer, table.config, f"{where}.config")
    return built


def _stated(instance: object, table: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a plugin, defaults included where it keeps its ``config``."""
    config = getattr(instance, "config", None)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return to_table(config)
    return dict(table)


def _estimators(spec: Spec, registry: Registry, common: Mapping[str, Any]) -> list[Part]:
    default = Spec(target="").run.estimators
    parts = []
    for name in spec.run.estimators:
        table = spec.estimators.get(name, {})
        parts.append(_estimator(spec, registry, name, table, name in default, common))
    return sorted(parts, key=lambda part: float(part.instance.cost))


def _estimator(
    spec: Spec,
    registry: Registry,
    name: str,
    table: Mapping[str, Any],
    is_default: bool,
    common: Mapping[str, Any],
) -> Part:
    where = spec.where(f"estimators.{name}")
    offer = registry.offer("estimator", name, where, is_default=is_default)
    instance = registry.build(offer, table, where, **common)
    for attribute in ("provides", "version", "cost"):
        if not hasattr(instance, attribute):
            raise UserError(f"estimator {name} has no `{attribute}`", where=offer.package)
    return Part(name, instance, _stated(instance, table), offer.package)


def _trainer(
    spec: Spec, registry: Registry, estimators: Sequence[Part], common: Mapping[str, Any]
) -> Part | None:
    """The dearest estimator that trains, built again with ``[handover.training]``."""
    training = [part for part in estimators if getattr(part.instance, "trains", False)]
    if not training:
        if spec.handover.training:
            raise UserError("no estimator of this run trains", where=spec.where("handover.training"))
        return None
    part = training[-1]
    full = getattr(part.instance, "full_training", {})
    table = {**spec.estimators.get(part.name, {}), **full, **spec.handover.training}
    return _estimator(spec, registry, part.name, table, True, common)


def metrics_of(estimator: Estimator) -> dict[str, Metric | None]:
    """What an estimator provides: name -> metric, ``None`` for a name nobody describes."""
    found: dict[str, Metric | None] = {}
    for item in estimator.provides:
        if isinstance(item, Metric):
            found[item.name] = item
        else:
            found[str(item)] = METRICS.get(str(item))
    return found


def _goal(
    spec: Spec, dataset: Dataset, target: Target, clock_ns: float, estimators: Sequence[Estimator]
) -> Goal:
    provided: dict[str, str] = {}
    for estimator in estimators:
        for name, metric in metrics_of(estimator).items():
            provided[name] = metric.direction if metric else ""
    if dataset.kind != CLASSIFICATION:
        provided.pop("accuracy", None)
    if any(getattr(estimator, "trains", False) for estimator in estimators):
        provided[dataset.metric] = dataset.direction
    known = {name: direction for name, direction in provided.items() if direction}

    def metric_of(text: str, where: str, *, limit: bool = False) -> tuple[str, str]:
        name, _, stated = text.partition(":")
        if name == "accuracy" and dataset.kind != CLASSIFICATION:
            name = dataset.metric
        if name not in provided:
            raise UserError(
                "no estimator of this run gives this metric",
                where=where,
                found=name,
                choices=sorted(provided),
            )
        if stated in ("max", "min"):
            return name, stated
        if stated:
            raise UserError("a metric's direction is max or min", where=where, found=text)
        if limit:  # which way is better does not matter: the bound says which side
            return name, provided[name]
        if not provided[name]:
            raise UserError(
                f"is a large or a small {name} better?",
                where=where,
                found=name,
                remedy=f"write {name}:max or :min",
            )
        return name, direction_of(name, known)

    limits = _limits(spec, dataset, target, provided, metric_of)
    where = spec.where("objectives")
    upper = {limit.metric: limit.bound for limit in limits if limit.kind == "max"}
    objectives = []
    for text in spec.objectives.metrics:
        name, direction = metric_of(text, f"{where}.metrics")
        objectives.append(_objective(spec, text, name, direction, dataset, upper, clock_ns, where))
    return Goal(tuple(objectives), tuple(limits), spec.objectives.mode)


def _limits(
    spec: Spec,
    dataset: Dataset,
    target: Target,
    provided: Mapping[str, str],
    metric_of: Callable[..., tuple[str, str]],
) -> list[Limit]:
    """The user's limits, then those of the part and of the sub-microsecond mission."""
    limits = []
    for kind, bounds in (("max", spec.limits.max), ("min", spec.limits.min)):
        for text, bound in bounds.items():
            limits.append(
                Limit(metric_of(text, f"{spec.where('limits')}.{kind}", limit=True)[0], kind, bound)
            )
    held = {limit.metric for limit in limits if limit.kind == "max"}
    if (
        spec.limits.sub_microsecond
        and "latency_ns" in provided
        and not held & {"latency_ns", "latency_cycles"}
    ):
        limits.append(Limit("latency_ns", "max", 1000.0))
    if spec.limits.fit_part:
        limits.extend(
            Limit(name, "max", float(getattr(target, name)))
            for name in RESOURCES
            if name in provided and name not in held
        )
    return limits


def _objective(
    spec: Spec,
    text: str,
    name: str,
    direction: str,
    dataset: Dataset,
    upper: Mapping[str, float],
    clock_ns: float,
    where: str,
) -> Objective:
    table = spec.objectives
    if name == dataset.metric:
        # Half way from chance to perfect: below it a classifier is of no use to anybody.
        worst = (1.0 + 1.0 / max(dataset.n_out, 1)) / 2 if dataset.kind == CLASSIFICATION else 0.0
        best, log = 1.0, True
        if dataset.direction == "min":
            best, worst, log = 0.0, 1.0, False
    elif name in _SCALES:
        best, worst = _SCALES[name]
        log = True
        if name == "latency_ns":
            best = clock_ns
        if upper.get(name, 0.0) > best:
            worst = upper[name]
    elif name == "fmax_mhz":
        best, worst, log = 1000.0, 1.0, False
    else:
        missing = [end for end in ("best", "worst") if text not in getattr(table, end)]
        if missing:
            raise UserError(
                f"the scale of {name} is not known",
                where=where,
                remedy=f"set {' and '.join(f'objectives.{end}.{text}' for end in missing)}",
            )
        best, worst, log = 0.0, 0.0, False
    best, worst = table.best.get(text, best), table.worst.get(text, worst)
    positive = direction == "max" or min(best, worst) > 0
    if best == worst or (direction == "min") != (best < worst) or (log and not positive):
        raise UserError(
            f"best and worst of {name} do not fit: the better end of a {direction} metric is best",
            where=where,
            found=f"best {best:g}, worst {worst:g}",
        )
    return Objective(name, direction, best, worst, table.weights.get(text, 1.0), log)
