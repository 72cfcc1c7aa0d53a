"""The problem of a search: a spec with everything that it names found, loaded and checked."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.cluster import ClusterSetup
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture, Conv2D, Pool2D, as_architecture
from hwnas_hls.network.layers import Weighted
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, PluginError, blamed
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.returned import dataset_fault
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.given import given_architecture
from hwnas_hls.run.goal import goal_of
from hwnas_hls.run.task_metrics import split_table, with_metrics
from hwnas_hls.spec.configuration import to_table
from hwnas_hls.spec.spec import Spec
from hwnas_hls.spec.tables import AUTO, NO_SYNTHESIZER, NamedTable
from hwnas_hls.values.candidate import GIVEN, Candidate
from hwnas_hls.values.objective import Goal

_PATH_LIKE = re.compile(
    r".*(\.(csv|tsv|txt|dat|data|npz|npy|parquet|pq|feather|arrow|h5|hdf5|hdf|root|gz|zip|xlsx?|json|pkl)|/.*)",
    re.IGNORECASE,
)
log = logging.getLogger(__name__)
#: The strategy for any space: it only needs sampling, mutation and crossover.
_ANY_SPACE = "evolution"
#: The synthesizer that ``[synthesis] synthesizer = "auto"`` selects if possible.
_OPEN = "open"
#: Family of parts -> the synthesizer that routes it without a licence.
_ROUTING = {"ecp5": "ecp5"}


#: Number of networks drawn from a space to see which layers it contains.
_DRAWN = 32


def usual_synthesizers(target: Target) -> tuple[str, ...]:
    """The synthesizers that ``auto`` tries for a part, the one with the strongest evidence first."""
    routing = _ROUTING.get(target.family)
    return (_OPEN,) if routing is None else (routing, _OPEN)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that a search needs; immutable.

    Args:
        spec: the resolved spec (the name of a built-in is qualified if another plugin uses it too).
        estimators: cheapest first.
        synthesizer: for hardware in the loop, or ``None``.
        trainer: the estimator whose designs are exported, with the configuration for the
            full training; ``None`` if no estimator trains.
        lacking: why ``auto`` selected no synthesizer; otherwise empty.
    """

    spec: Spec
    registry: Registry
    target: Target
    clock_ns: float
    dataset: Dataset
    space: Space
    goal: Goal
    estimators: Sequence[ConfiguredPlugin]
    trainer: ConfiguredPlugin | None
    synthesizer: Synthesizer | None
    make_strategy: Callable[[], Strategy]
    lacking: str = ""

    def architecture(self, candidate: Candidate) -> Architecture:
        """The architecture of a candidate; without a clock of its own, it gets that of the run."""
        architecture = given_architecture(candidate) or as_architecture(self.space.architecture(candidate))
        if architecture.clock_ns is None:
            architecture = dataclasses.replace(architecture, clock_ns=self.clock_ns)
        return architecture

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """The candidates that one training covers together with this one."""
        return () if candidate.space == GIVEN else self.space.siblings(candidate)

    def with_seed(self, seed: int) -> Problem:
        """The same problem with another seed of its trainings."""
        spec = dataclasses.replace(self.spec, run=dataclasses.replace(self.spec.run, seed=seed))
        return dataclasses.replace(self, spec=spec)

    def recovering(self) -> Problem:
        """The same problem with the full training for designs whose first one failed."""
        part = self.trainer
        if part is None or not part.instance.after_failure:
            return self
        factors = part.instance.after_failure
        changed = {name: factor * part.config[name] for name, factor in factors.items()}
        return dataclasses.replace(self, trainer=self._rebuilt(part, changed, self.dataset))

    def _rebuilt(
        self, part: ConfiguredPlugin, changes: Mapping[str, Any], dataset: Dataset
    ) -> ConfiguredPlugin:
        """An estimator with other settings or data."""
        common = {
            "task": dataset,
            "target": self.target,
            "seed": self.spec.run.seed,
            "clock_ns": self.clock_ns,
            "space": self.space,
            "goal": self.goal,
        }
        return _estimator(self.spec, self.registry, part.name, {**part.config, **changes}, True, common)

    def trained_on(self, dataset: Dataset) -> Problem:
        """The same problem reduced to its full training, on the training rows of ``dataset``.

        Args:
            dataset: its validation rows are not used for training.
        """
        if self.trainer is None:
            raise ValueError("no estimator of this run trains")
        trainer = self._rebuilt(self.trainer, {"train_on": "train"}, dataset)
        return dataclasses.replace(self, dataset=dataset, estimators=(), trainer=trainer)

    def tested(self, names: Collection[str]) -> Problem:
        """The same problem with the test rows as validation rows, and only these of its estimators.

        They are built again, because an estimator may hold the data passed to its constructor.
        """
        dataset = dataclasses.replace(self.dataset, validation=self.dataset.test)
        estimators = [self._rebuilt(part, {}, dataset) for part in self.estimators if part.name in names]
        return dataclasses.replace(self, dataset=dataset, estimators=estimators, trainer=None)

    def cluster_setup(self) -> ClusterSetup:
        """The setup of worker processes for this problem."""
        spec = self.spec
        return ClusterSetup(
            table=spec.cluster,
            where=spec.where("cluster"),
            registry=self.registry,
            space=(self.space, spec.space.config),
            estimators=(*self.estimators, *([self.trainer] if self.trainer is not None else [])),
            synthesizer=None if self.synthesizer is None else (self.synthesizer, spec.synthesis.config),
            dataset=self.dataset,
            target=self.target,
            seed=spec.run.seed,
            clock_ns=self.clock_ns,
        )


def resolve(spec: Spec, registry: Registry) -> Problem:
    """Find, load and check everything that a spec names.

    Raises:
        UserError: a name or value is unknown, unreadable, contradictory or missing.
        PluginError: a plugin raised an exception while it was built or loaded its data.
    """
    if spec.target.endswith(".toml"):
        # Absolute, so that the resolved spec means the same file from any folder.
        spec = dataclasses.replace(spec, target=str(Path(spec.target).expanduser().absolute()))
    target = registry.target(spec.target)
    clock_ns = spec.clock_ns or target.clock_ns
    spec, dataset = _task(spec, registry)
    common: dict[str, Any] = {
        "task": dataset,
        "target": target,
        "seed": spec.run.seed,
        "clock_ns": clock_ns,
    }
    spec, synthesizer, space, lacking = _synthesizer_and_space(spec, registry, target, common)
    _check_da4ml(spec, space, synthesizer)
    common |= {"synthesizer": synthesizer, "space": space}
    estimators = _estimators(spec, registry, common)
    if any(part.instance.trains for part in estimators):
        _check_device(spec)
    configured = {part.name: dict(part.config) for part in estimators if part.name in spec.estimators}
    spec = dataclasses.replace(spec, estimators=configured)
    goal = goal_of(spec, dataset, target, clock_ns, [part.instance for part in estimators])
    common |= {"goal": goal, "objectives": goal.objectives, "limits": goal.limits}
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
        lacking,
    )


def _task(spec: Spec, registry: Registry) -> tuple[Spec, Dataset]:
    """The spec with its task resolved, and the loaded data with the metrics that the spec names."""
    table = _task_table(spec.task)
    offer = registry.offer("task", table.name, spec.where("task"), is_default=table.is_default)
    fields = dataclasses.fields(offer.config) if dataclasses.is_dataclass(offer.config) else ()
    own, common = split_table(table.config, [field.name for field in fields])
    spec, task = _build(spec, registry, "task", dataclasses.replace(table, config=own), {})
    dataset = with_metrics(_loaded(spec.task.name, task), spec, common)
    resolved = dataclasses.replace(spec.task, config={**spec.task.config, **common})
    return dataclasses.replace(spec, task=resolved), dataset


def _check_device(spec: Spec) -> None:
    """Raise UserError if training on CUDA is set and this machine, which trains, has none."""
    if spec.run.device != "cuda" or spec.cluster.scheduler or spec.cluster.system != "local":
        return
    import torch

    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; this torch was built without CUDA"
        raise UserError(
            "no CUDA device can be used on this machine",
            kind=ErrorKind.TOOL_MISSING,
            where=spec.where("run"),
            found=f"device cuda, torch {torch.__version__}{built}",
            remedy="use --device cpu or auto, or install a torch with CUDA and the driver",
        )


def _check_da4ml(spec: Spec, space: Space, synthesizer: Synthesizer | None) -> None:
    """Raise UserError if designs of distributed arithmetic could neither be exported nor synthesised."""
    wanted = "distributed_arithmetic"
    if find_spec("da4ml") is not None or (synthesizer is not None and wanted in synthesizer.hls_strategies):
        return
    try:
        drawn = _drawn_strategies(space)
    except PLUGIN_FAULTS:
        return  # the search reports what is wrong with the space
    if wanted in drawn:
        raise UserError(
            "the space contains layers of distributed arithmetic, whose hls4ml projects need da4ml",
            kind=ErrorKind.TOOL_MISSING,
            where=spec.where("space"),
            found=f"strategy {wanted}, package da4ml not installed",
            remedy="pip install 'hwnas-hls[open]', or search other strategies (--hls-strategy Latency)",
        )


def _drawn_strategies(space: Space) -> set[str]:
    """The HLS strategies of some networks of a space."""
    rng = np.random.default_rng(0)
    drawn = [as_architecture(space.architecture(space.sample(rng))) for _ in range(_DRAWN)]
    layers = [layer for architecture in drawn for layer in architecture.layers]
    return {layer.strategy for layer in layers if isinstance(layer, Weighted)}


def _loaded(name: str, task: Any) -> Dataset:
    with blamed(f"task {name} could not be loaded"):
        dataset = task.load()
    if not isinstance(dataset, Dataset):
        raise PluginError(f"task {name}: load() returned {_one_line(dataset)} instead of a Dataset")
    if fault := dataset_fault(dataset):
        raise PluginError(f"task {name}: load() returned unusable data: {fault}")
    return dataset


def _one_line(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _default_exporters() -> tuple[str, ...]:
    from hwnas_hls.spec.tables import RunTable

    return RunTable().exporters


def _task_table(table: NamedTable) -> NamedTable:
    """``--task PATH`` selects the task ``file`` with that path."""
    if _PATH_LIKE.fullmatch(table.name):
        # Absolute, so that the resolved spec means the same file from any folder.
        path = str(Path(table.name).expanduser().absolute())
        return NamedTable("file", {"path": path, **table.config}, is_default=True)
    return table


def _build(
    spec: Spec, registry: Registry, kind: str, table: NamedTable, available: Mapping[str, Any]
) -> tuple[Spec, Any]:
    """The plugin of a table, and the spec with that table resolved, including defaults."""
    where = spec.where(kind)
    offer = registry.offer(kind, table.name, where, is_default=table.is_default)
    instance = registry.build(offer, table.config, where, **available)
    name = offer.name if len(registry.offers(kind)[offer.name]) == 1 else offer.qualified
    resolved = NamedTable(name, _stated(instance, table.config))
    changed: dict[str, Any] = {kind: resolved}
    return dataclasses.replace(spec, **changed), instance


def _strategy(spec: Spec, registry: Registry, common: Mapping[str, Any]) -> Spec:
    """The spec with its strategy resolved.

    The default strategy may not support a plugin's space without a table of knobs. A strategy that
    only uses mutation and crossover is then used instead, with a warning.
    """
    try:
        return _build(spec, registry, "strategy", spec.strategy, common)[0]
    except UserError as error:
        if not spec.strategy.is_default or spec.strategy.config:
            raise
        log.warning("%s; %s is used instead", error.what, _ANY_SPACE)
        table = NamedTable(_ANY_SPACE, is_default=True)
        return _build(spec, registry, "strategy", table, common)[0]


def _synthesizer_and_space(
    spec: Spec, registry: Registry, target: Target, common: Mapping[str, Any]
) -> tuple[Spec, Synthesizer | None, Space, str]:
    """The spec with both resolved, the synthesizer, the space, and why ``auto`` selected none.

    ``auto`` selects the open synthesizer if it can run and supports every layer of the space; otherwise
    its counts would not describe the designs.
    """
    if spec.synthesis.synthesizer != AUTO:
        synthesizer = None if spec.synthesis.none else _synthesizer(spec, registry)
        spec, space = _build(spec, registry, "space", spec.space, {**common, "synthesizer": synthesizer})
        return spec, synthesizer, space, ""
    lacking = ""
    for name in usual_synthesizers(target):
        built, found, room, missing = _usable(spec, name, registry, target, common)
        if found is not None and room is not None:
            if lacking:
                log.warning("%s is used instead: %s", name, lacking)
            return built, found, room, ""
        lacking = lacking or missing
    if spec.synthesis.budget is not None:
        raise UserError(
            "a synthesis budget needs a synthesizer",
            kind=ErrorKind.MISSING,
            where=spec.where("synthesis"),
            found=lacking,
            remedy="install what is missing, choose another --synthesizer, or omit the budget",
        )
    nothing = _with_synthesizer(spec, NO_SYNTHESIZER)
    spec, space = _build(nothing, registry, "space", spec.space, {**common, "synthesizer": None})
    return spec, None, space, lacking


def _usable(
    spec: Spec, name: str, registry: Registry, target: Target, common: Mapping[str, Any]
) -> tuple[Spec, Synthesizer | None, Space | None, str]:
    """The spec with a synthesizer of ``auto`` and the space; or ``None``, and why it cannot be used."""
    if name not in registry.offers("synthesizer"):
        return spec, None, None, f"no plugin offers the synthesizer {name}"
    chosen = _with_synthesizer(spec, name)
    synthesizer = _synthesizer(chosen, registry)
    if lacking := str(synthesizer.available(target)):
        return spec, None, None, lacking
    try:
        built, space = _build(chosen, registry, "space", spec.space, {**common, "synthesizer": synthesizer})
    except UserError as error:
        # For example a layer too large to unroll, which needs the Resource strategy.
        return spec, None, None, error.what
    if lacking := _unbuilt(space, synthesizer):
        return spec, None, None, lacking
    return built, synthesizer, space, ""


def _with_synthesizer(spec: Spec, name: str) -> Spec:
    return dataclasses.replace(spec, synthesis=dataclasses.replace(spec.synthesis, synthesizer=name))


def _unbuilt(space: Space, synthesizer: Synthesizer) -> str:
    """Why the synthesizer does not support the layers of the space; empty if it does."""
    built = set(synthesizer.hls_strategies)
    rng = np.random.default_rng(0)
    try:
        drawn = [as_architecture(space.architecture(space.sample(rng))) for _ in range(_DRAWN)]
    except PLUGIN_FAULTS:
        return "no network could be drawn from the space"
    layers = [layer for architecture in drawn for layer in architecture.layers]
    if any(isinstance(layer, Conv2D | Pool2D) for layer in layers):
        return "the space contains image layers, which the open tools do not support"
    others = sorted({layer.strategy for layer in layers if isinstance(layer, Weighted)} - built)
    return (
        f"the space contains layers of strategy {', '.join(others)}, which the open tools do not support"
        if others
        else ""
    )


def _synthesizer(spec: Spec, registry: Registry) -> Synthesizer:
    table = spec.synthesis
    where = spec.where("synthesis")
    offer = registry.offer("synthesizer", table.synthesizer, where)
    built: Synthesizer = registry.build(offer, table.config, f"{where}.config")
    return built


def _stated(instance: Plugin, table: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a plugin, including defaults if it stores its ``config``."""
    config = instance.config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return to_table(config)
    return dict(table)


def _estimators(spec: Spec, registry: Registry, common: Mapping[str, Any]) -> list[ConfiguredPlugin]:
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
) -> ConfiguredPlugin:
    where = spec.where(f"estimators.{name}")
    offer = registry.offer("estimator", name, where, is_default=is_default)
    instance = registry.build(offer, table, where, **common)
    for attribute in ("provides", "version", "cost"):
        if not hasattr(instance, attribute):
            raise UserError(f"estimator {name} has no `{attribute}`", where=offer.package)
    if isinstance(instance.provides, str) or not isinstance(instance.provides, Iterable):
        raise PluginError(
            f"estimator {name} ({offer.package}): provides is {instance.provides!r:.80}; "
            "it must be a tuple of names and Metric objects"
        )
    if not isinstance(instance.cost, int | float) or not instance.cost >= 0:
        raise PluginError(
            f"estimator {name} ({offer.package}): cost is {instance.cost!r:.80}; "
            "it must be the seconds per candidate, 0 or more"
        )
    return ConfiguredPlugin(name, instance, _stated(instance, table), offer.package)


def _trainer(
    spec: Spec, registry: Registry, estimators: Sequence[ConfiguredPlugin], common: Mapping[str, Any]
) -> ConfiguredPlugin | None:
    """The most expensive estimator that trains, rebuilt with the settings in ``[export.training]``."""
    training = [part for part in estimators if part.instance.trains]
    if not training:
        if spec.export.training:
            raise UserError(
                "no estimator of this run trains",
                kind=ErrorKind.MISSING,
                where=spec.where("export.training"),
            )
        return None
    part = training[-1]
    full = part.instance.full_training
    table = {**spec.estimators.get(part.name, {}), **full, **spec.export.training}
    return _estimator(spec, registry, part.name, table, True, common)
