"""The resolution of a spec: everything that it names is found, loaded and checked."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture, Conv2D, Pool2D, as_architecture
from hwnas_hls.network.layers import Weighted
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, PluginError, blamed
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.returned import dataset_fault
from hwnas_hls.protocols.plugin import silent
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.estimators import estimators_of, stated, trainer_of
from hwnas_hls.run.goal import goal_of
from hwnas_hls.run.named_exporters import exporter_of_run
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.task_metrics import split_table, with_metrics
from hwnas_hls.spec.spec import Spec
from hwnas_hls.spec.tables import AUTO, NO_SYNTHESIZER, NamedTable

log = logging.getLogger(__name__)
_PATH_LIKE = re.compile(
    r".*(\.(csv|tsv|txt|dat|data|npz|npy|parquet|pq|feather|arrow|h5|hdf5|hdf|root|gz|zip|xlsx?|json|pkl)|/.*)",
    re.IGNORECASE,
)
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
    _check_scaling(spec, space, dataset)
    common |= {"synthesizer": synthesizer, "space": space}
    estimators = estimators_of(spec, registry, common)
    if any(part.instance.trains for part in estimators):
        _check_device(spec)
    configured = {part.name: dict(part.config) for part in estimators if part.name in spec.estimators}
    spec = dataclasses.replace(spec, estimators=configured)
    goal = goal_of(spec, dataset, target, clock_ns, [part.instance for part in estimators])
    common |= {"goal": goal, "objectives": goal.objectives, "limits": goal.limits}
    spec = _strategy(spec, registry, {**common, "progress": silent})

    def make_strategy(progress: Callable[[str], None] = silent) -> Strategy:
        given = {**common, "progress": progress}
        strategy: Strategy = _build(spec, registry, "strategy", spec.strategy, given)[1]
        return strategy

    for name in spec.run.exporters:
        exporter_of_run(registry, spec, name, dataset)
    trainer = trainer_of(spec, registry, estimators, common)
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
    layers = [layer for architecture in _drawn(space) for layer in architecture.layers]
    if any(isinstance(layer, Weighted) and layer.strategy == wanted for layer in layers):
        raise UserError(
            "the space contains layers of distributed arithmetic, whose hls4ml projects need da4ml",
            kind=ErrorKind.TOOL_MISSING,
            where=spec.where("space"),
            found=f"strategy {wanted}, package da4ml not installed",
            remedy="pip install 'hwnas-hls[open]', or search other strategies (--hls-strategy Latency)",
        )


def _check_scaling(spec: Spec, space: Space, dataset: Dataset) -> None:
    """Raise UserError if the task gives raw words and the space has networks that cannot take them."""
    if dataset.scaling is None:
        return
    other = next((architecture for architecture in _drawn(space) if not architecture.is_chain), None)
    if other is not None:
        raise UserError(
            "the scaling of raw words is built in front of chains of dense layers only",
            kind=ErrorKind.UNSUPPORTED,
            where=f"{spec.where('task')}.input_words",
            found=f"space {spec.space.name}, for example {other.shape}",
            remedy="search the space mlp, or leave out input_words",
        )


def _drawn(space: Space) -> list[Architecture]:
    """Some networks of a space; none if it fails, which the search reports."""
    rng = np.random.default_rng(0)
    try:
        return [as_architecture(space.architecture(space.sample(rng))) for _ in range(_DRAWN)]
    except PLUGIN_FAULTS:
        return []


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


def _task_table(table: NamedTable) -> NamedTable:
    """``--task PATH`` selects the task ``file`` with that path."""
    if _PATH_LIKE.fullmatch(table.name) or ("." in table.name and Path(table.name).expanduser().is_file()):
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
    resolved = NamedTable(name, stated(instance, table.config))
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
    drawn = _drawn(space)
    if not drawn:
        return "no network could be drawn from the space"
    layers = [layer for architecture in drawn for layer in architecture.layers]
    if any(isinstance(layer, Conv2D | Pool2D) for layer in layers):
        return "the space contains image layers, which the open tools do not support"
    if words := next(filter(None, _refusals(synthesizer, drawn)), ""):
        return f"the space contains networks that the open tools do not support: {words}"
    others = sorted({layer.strategy for layer in layers if isinstance(layer, Weighted)} - built)
    return (
        f"the space contains layers of strategy {', '.join(others)}, which the open tools do not support"
        if others
        else ""
    )


def _refusals(synthesizer: Synthesizer, drawn: Sequence[Architecture]) -> list[str]:
    """Of each architecture, why the synthesizer does not build it; empty if it may."""
    with blamed(f"synthesizer {synthesizer.name} failed in unbuilt()"):
        return [str(synthesizer.unbuilt(architecture)) for architecture in drawn]


def check_built(problem: Problem) -> None:
    """Raise UserError if the synthesizer of the spec builds no network of the space."""
    if problem.synthesizer is None:
        return
    words = _refusals(problem.synthesizer, _drawn(problem.space))
    if words and all(words):
        raise UserError(
            "the synthesizer builds no network of the space",
            kind=ErrorKind.UNSUPPORTED,
            where=problem.spec.where("synthesis"),
            found=f"synthesizer {problem.spec.synthesis.synthesizer}: {words[0]}",
            remedy="change the space, use another --synthesizer, or predict the cost (--synthesizer none)",
        )


def check_latency(problem: Problem) -> None:
    """Raise UserError if a limit of the latency is below the one clock cycle that every design takes.

    HLS tools report 0 cycles for some single layers, and a synthesizer that finds the clocks may find
    shorter ones: such runs are not refused.
    """
    cycle = {"latency_ns": problem.clock_ns, "latency_cycles": 1.0}
    short = [x for x in problem.goal.limits if x.kind == "max" and x.bound < cycle.get(x.metric, 0.0)]
    # Only now: drawing is work of a plugin.
    drawn = _drawn(problem.space) if short and not problem.finds_clock else []
    if not drawn or any(sum(isinstance(x, Weighted) for x in network.layers) < 2 for network in drawn):
        return
    clock_ns = min(network.clock_ns or problem.clock_ns for network in drawn)
    cycle["latency_ns"] = clock_ns
    for limit in short:
        if limit.bound < cycle[limit.metric]:
            raise UserError(
                "no design can meet this limit: every design takes at least one clock cycle",
                kind=ErrorKind.NOTHING_FITS,
                where=f"{problem.spec.where('limits')}.max",
                found=f"{limit}, with a clock of {clock_ns:g} ns",
                remedy=f"give a limit of several clock cycles of {clock_ns:g} ns, or a faster --clock",
            )


def _synthesizer(spec: Spec, registry: Registry) -> Synthesizer:
    table = spec.synthesis
    where = spec.where("synthesis")
    offer = registry.offer("synthesizer", table.synthesizer, where)
    built: Synthesizer = registry.build(offer, table.config, f"{where}.config")
    return built
