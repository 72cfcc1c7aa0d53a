"""Checks whether a report belongs to the firmware in the same project, or to an older one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from hwnas_hls.hls4ml.report_ports import foreign_ports
from hwnas_hls.hls4ml.reports.reports import Solution
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.folder import Project

#: HLS names a specialised function by its template arguments: ``ap_fixed_16_6_5_3_0``.
_TYPE = re.compile(r"ap_(u?)fixed_(\d+)_(\d+)_(\d+)_(\d+)_\d+")
#: The configuration in the name of a specialised function: ``..._softmax_config5_s``.
_CONFIG = re.compile(r"_((?:[a-z]+_)?(config\d+))(?:_s|_\d\w*)?$")
#: Activations, whose configuration contains their name; a dense layer's is its number alone.
_ACTIVATIONS = frozenset(
    {"relu", "softmax", "linear", "sigmoid", "tanh", "elu", "selu", "prelu", "silu", "softplus", "softsign"}
)
#: The configuration of a ReLU, as a struct and in the name of a module.
_RELU = re.compile(r"(?:^|_)relu_config(\d+)$")
#: The function of an adder graph in the name of a module: ``dense_da_3_ap_fixed_7_3_5_3_0_...``.
_GRAPH = re.compile(r"(?:^|_)(dense_da_\d+)(?=_|$)")
#: The strategy of a dense layer in the name of a module: ``dense_resource_rf_leq_nin_ap_fixed_...``.
_KERNEL = re.compile(r"(?:^|_)dense_(latency|resource)(?=_|$)")
_OTHER_STRATEGY = {"latency": "resource", "resource": "latency"}
_ROUNDING = ("RND", "RND_ZERO", "RND_MIN_INF", "RND_INF", "RND_CONV", "TRN", "TRN_ZERO")
_OVERFLOW = ("SAT", "SAT_ZERO", "SAT_SYM", "WRAP")


def plain_part(part: str) -> str:
    """The part name without dashes: ``xc7z020clg400-1`` and ``xc7z020-clg400-1`` are the same part."""
    return part.lower().replace("-", "")


def same_device(reported: str, part: str) -> bool:
    """Whether two part names mean the same device; Vivado's reports omit the temperature or speed grade."""
    return not reported or plain_part(part).startswith(plain_part(reported))


def same_top(reported: str, top: str) -> bool:
    """Whether Vivado's report covers only the network, not a block design with a processor.

    When HLS runs Vivado itself, it wraps its result in a block design called ``bd_0``.
    """
    return not reported or reported in (top, "bd_0", "bd_0_wrapper")


def contradictions(project: Project, solution: Solution) -> list[str]:
    """The contradictions between a solution and the firmware; empty if there are none.

    A report belongs to the firmware if it covers its top function (or hls4ml's AXI wrapper of it) and if
    every configuration in the names of its modules exists in the firmware. The names of the modules of dense
    layers also contain the input and result types; those of an older firmware differ. So do the widths of the
    ports.
    """
    out = [*foreign_ports(project, solution), *foreign_modules(project, _module_names(solution))]
    if solution.csynth is not None and solution.csynth.top not in (project.top, f"{project.top}_axi"):
        out.append(f"its top function is {solution.csynth.top}, not {project.top}")
    out += _too_fast(project, solution)
    unnamed = unnamed_layers(project, solution)
    # A smaller network of the same numbering lacks the last layers; HLS inlines a small one anywhere.
    if unnamed and _built_by(project, solution)[-1] in unnamed:
        out.append(f"{unnamed[-1]} of the firmware is in no module of it")
    return sorted(set(out))


def _too_fast(project: Project, solution: Solution) -> list[str]:
    """An interval that no layer of the firmware can have: a loop over a reuse factor takes as many cycles.

    A report of an older configuration with smaller reuse factors has the same names, types and ports.
    """
    if any(note.about == "pragma" for note in project.query.reasons):  # a pipeline may unroll the loops
        return []
    interval = None if solution.csynth is None else solution.csynth.ii_max
    looped = [layer.reuse_factor for layer in project.query.layers if layer.strategy == "Resource"]
    slowest = max(looped, default=1)
    if interval is None or interval >= slowest:
        return []
    return [f"its interval is {interval} cycles, but a layer of the firmware has reuse factor {slowest}"]


def foreign_modules(project: Project, names: Iterable[str]) -> list[str]:
    """What the names of HLS' modules contradict; Vivado's hierarchical reports have them, too."""
    names = list(names)
    out = _missing_activation(project, names)
    for name in names:
        named = _CONFIG.search(name)
        if named is not None and not _has(project.structs, named[1], named[2], "dense" in name):
            out.append(f"module {name} is built by {named[1]}, which is not in the firmware")
        graph = _GRAPH.search(name)
        if graph is not None and graph[1] not in project.graphs:
            out.append(f"module {name} is built by {graph[1]}, which is not in the firmware")
        for config, function, layer in zip(
            project.configs, project.graphs, project.query.layers, strict=True
        ):
            if function and graph is not None and graph[1] == function:
                out += _other_types(name, function, layer.input, layer.dense_out)
            elif config and "dense" in name and re.search(rf"_{config}_s\b|_{config}$", name):
                out += _other_types(name, config, layer.input, layer.dense_out)
                kernel = _KERNEL.search(name)
                if kernel is not None and layer.strategy.lower() == _OTHER_STRATEGY[kernel[1]]:
                    out.append(f"{config} is {layer.strategy} in the firmware, module {name} is not")
        # HLS inlines adder graphs, so that in a report the activations behind them are what has types.
        if named is not None and named[1].startswith("relu_") and all(project.graphs):
            out += _other_activation(project, name)
    return sorted(set(out))


def _missing_activation(project: Project, names: Sequence[str]) -> list[str]:
    """The last ReLU of a firmware of adder graphs, if the modules of others are named, but not its own.

    HLS inlines the graphs, so that a report of a network with fewer layers names only activations that the
    firmware has as well.
    """
    if not all(project.graphs):
        return []
    configs = [found[1] for name in names if (found := _CONFIG.search(name))]
    built, named = (
        {int(found[1]) for config in some if (found := _RELU.search(config))}
        for some in (project.structs, configs)
    )
    if not named or not built or max(built) in named:
        return []
    return [f"relu_config{max(built)} of the firmware is in no module of it"]


def _types(name: str) -> list[FixedType]:
    """Input and result type in a module's name; empty if it is shortened, or has arrays of values."""
    seen = [found for match in _TYPE.finditer(name) if (found := _fixed(match)) is not None]
    return seen if len(seen) == 2 else []


def _other_types(name: str, function: str, source: FixedType | None, result: FixedType | None) -> list[str]:
    pairs = zip(("input", "result"), (source, result), _types(name), strict=False)
    return [
        f"{what} of {function} is {built} in the firmware, {reported} in module {name}"
        for what, built, reported in pairs
        if built is not None and built != reported
    ]


def _other_activation(project: Project, name: str) -> list[str]:
    """An activation between types that no layer of the firmware has.

    Behind a normalisation its input is not the result of a dense layer, so that nothing is said.
    """
    reported = _types(name)
    layers = project.query.layers
    if not reported or any(layer.normalisation != "none" for layer in layers):
        return []
    if any([layer.dense_out, layer.result] == reported for layer in layers):
        return []
    return [f"module {name} has types of no layer of the firmware"]


def _has(structs: frozenset[str], named: str, number: str, dense: bool) -> bool:
    """Whether the firmware has the configuration ``softmax_config5`` or, without a kind, ``config5``.

    Of a longer kind (``leaky_relu_config5``) the name holds the last word. A dense layer has no kind.
    """
    if dense and named.rpartition("_")[0] not in _ACTIVATIONS:
        return number in structs
    if any(struct == named or struct.endswith(f"_{named}") for struct in structs):
        return True
    return named.rpartition("_")[0] not in _ACTIVATIONS and number in structs


def unnamed_layers(project: Project, solution: Solution) -> list[str]:
    """Configurations and adder graphs of dense layers that no module of a report names, if it names others.

    A report of an older firmware with fewer layers has only modules that the newer one has as well. HLS may
    also have inlined a small layer, so this is a reason for doubt, not proof.
    """
    if solution.csynth is None:
        return []
    named = {
        found[2] for name in _module_names(solution) if "dense" in name and (found := _CONFIG.search(name))
    } | _named_graphs(solution)
    wanted = _built_by(project, solution)
    if not named & set(wanted):
        return []
    return [layer for layer in wanted if layer not in named]


def _built_by(project: Project, solution: Solution) -> list[str]:
    """What a complete report can name: each layer's configuration, or its adder graph.

    hls4ml has HLS inline adder graphs; where a report names none, it lacks none.
    """
    graphs = project.graphs if _named_graphs(solution) else ("",) * len(project.graphs)
    return [config or graph for config, graph in zip(project.configs, graphs, strict=True) if config or graph]


def _named_graphs(solution: Solution) -> set[str]:
    return {found[1] for name in _module_names(solution) if (found := _GRAPH.search(name))}


def _module_names(solution: Solution) -> Iterator[str]:
    for report in (solution.csynth, *solution.modules):
        if report is not None:
            yield report.top
            yield from (module.name for module in report.modules)


def _fixed(match: re.Match[str]) -> FixedType | None:
    rounding, overflow = int(match[4]), int(match[5])
    width = int(match[2])
    if rounding >= len(_ROUNDING) or overflow >= len(_OVERFLOW) or not 1 <= width <= 256:
        return None
    return FixedType(width, int(match[3]), not match[1], _ROUNDING[rounding], _OVERFLOW[overflow])
