"""Pitfalls in a configuration or project of hls4ml: what it would do without saying so.

Each rule is named; the behaviour is that of hls4ml 1.3 (read in its sources, tried), and H123 is
issue 123 of fastmachinelearning/hls4ml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.reuse import legal_reuse_factors, nearest_legal
from hwnas_hls_plugins.hls4ml_folder.config import load_config, mapping_of, text_of
from hwnas_hls_plugins.hls4ml_folder.folder import find_project, read_firmware
from hwnas_hls_plugins.hls4ml_folder.layers import Layers, read_layers
from hwnas_hls_plugins.hls4ml_folder.precisions import STRATEGIES, Precisions, built_strategy, parse_precision
from hwnas_hls_plugins.hls4ml_folder.settings import read_settings
from hwnas_hls_plugins.hls4ml_folder.shapes import read_shapes

#: Above this many products a fully unrolled layer meets Vivado's limit on arrays (H572, H903, H904).
UNROLL_LIMIT = 4096
#: Where the part of a project goes that names none.
HLS4ML_DEFAULT_PART = "xcvu13p-flga2577-2-e"
_ARGUMENTS = {
    "part": "Part",
    "xilinxpart": "Part",
    "board": "Board",
    "backend": "Backend",
    "clockperiod": "ClockPeriod",
    "clock_period": "ClockPeriod",
    "clockuncertainty": "ClockUncertainty",
    "iotype": "IOType",
    "io_type": "IOType",
    "outputdir": "OutputDir",
    "output_dir": "OutputDir",
    "projectname": "ProjectName",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One pitfall.

    Args:
        rule: its name, for example ``reuse-factor``.
        where: key of the configuration or layer.
        what: what hls4ml does there.
        remedy: what to write instead.
    """

    rule: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"[{self.rule}] {self.where}: {self.what}; {self.remedy}"


def lint_config(
    config: Mapping[str, Any] | Path | str, shapes: Mapping[str, tuple[int, int]] | None = None
) -> list[Finding]:
    """The pitfalls visible in a configuration.

    Args:
        config: top level of ``hls4ml_config.yml`` or its path.
        shapes: name of a dense layer -> (n_in, n_out); found from the model in or beside the
            file where not given.

    Raises:
        ReportError: the file is not readable.
    """
    if not isinstance(config, Mapping):
        path = Path(config)
        config = load_config(path)
        if shapes is None:
            shapes = _shapes_beside(path, config)
    return [*_config_findings(dict(config), shapes or {})]


def lint_folder(path: Path | str) -> list[Finding]:
    """The pitfalls in a project: those of its configuration, and of its firmware, which decides.

    Raises:
        UserError, ReportError, Unsupported: as
            :func:`~hwnas_hls_plugins.hls4ml_folder.folder.read_folder`.
    """
    folder = find_project(path)
    config: dict[str, Any] = {}
    for name in ("hls4ml_config.yml", "hls4ml_config.yaml"):
        if (folder / name).is_file():
            config = load_config(folder / name)
            break
    top = read_settings(folder, config, None).top
    layers = read_layers(read_firmware(folder, top, config))
    shapes = {
        name: (layer.n_in, layer.n_out) for name, layer in zip(layers.names, layers.layers, strict=True)
    }
    findings = [*_config_findings(config, shapes)] if config else []
    findings += _firmware_findings(layers)
    findings += _unrounded(layers, Precisions(config)) if config else []
    findings += _stale_findings(layers, Precisions(config)) if config else []
    seen: set[tuple[str, str]] = set()
    unique = []
    for finding in findings:
        if (finding.rule, finding.where) not in seen:
            seen.add((finding.rule, finding.where))
            unique.append(finding)
    return unique


def _shapes_beside(path: Path, config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    out: dict[str, tuple[int, int]] = {}
    width: int | None = None
    for shape in read_shapes(path, config):
        if shape.kind == "Dense":
            n_in = shape.n_in or width
            if n_in is not None and shape.n_out is not None:
                out[shape.name] = (n_in, shape.n_out)
            width = shape.n_out
    return out


def _config_findings(config: dict[str, Any], shapes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    yield from _misplaced(config)
    precisions = Precisions(config)
    yield from _strategies(config)
    yield from _shadowed(precisions, shapes)
    for name, (n_in, n_out) in shapes.items():
        told = precisions.setting(name, "Dense", "Strategy")
        strategy, _ = built_strategy(told if isinstance(told, str) else "Latency")
        factor = precisions.setting(name, "Dense", "ReuseFactor")
        if isinstance(factor, int) and not isinstance(factor, bool) and factor >= 1:
            yield from _layer_findings(name, n_in, n_out, strategy, factor)
    if "HLSConfig" in config and not text_of(config, "Part", "XilinxPart", "Device", "Board"):
        yield Finding(
            "part-missing",
            "Part",
            f"no part is named; hls4ml takes {HLS4ML_DEFAULT_PART}",
            "give part=... (or board=...) to the converter",
        )


def _layer_findings(name: str, n_in: int, n_out: int, strategy: str, factor: int) -> Iterator[Finding]:
    where = f"layer {name}"
    products = n_in * n_out
    if strategy == "Latency" and products > UNROLL_LIMIT:
        yield Finding(
            "unroll-limit",
            where,
            f"{n_in} x {n_out} = {products} products under Latency; synthesis stops or runs for hours "
            f"above {UNROLL_LIMIT} (H572, H903, H904)",
            "take Resource with a reuse factor above 1, or narrower layers",
        )
    if strategy == "Resource" and (legal := nearest_legal(n_in, n_out, "Resource", factor)) != factor:
        near = [value for value in legal_reuse_factors(n_in, n_out) if legal / 4 <= value <= legal * 4]
        yield Finding(
            "reuse-factor",
            where,
            f"reuse factor {factor} is not legal for {n_in} x {n_out}; hls4ml moves it to {legal}",
            f"take one of {', '.join(map(str, near[:12]))}",
        )
    if strategy == "distributed_arithmetic" and factor != 1:
        yield Finding(
            "da-reuse-factor",
            where,
            f"distributed_arithmetic with reuse factor {factor}; hls4ml raises an exception",
            "set ReuseFactor to 1, or take Resource",
        )
    if strategy == "ResourceUnrolled" and factor == 1:
        yield Finding(
            "unrolled-reuse-factor",
            where,
            "ResourceUnrolled with reuse factor 1 becomes Resource",
            "take a reuse factor above 1, or Latency",
        )


def _misplaced(config: dict[str, Any]) -> Iterator[Finding]:
    hls = mapping_of(config, "HLSConfig")
    for place, keys in (("HLSConfig", hls), ("HLSConfig.Model", mapping_of(hls, "Model"))):
        for key in keys:
            argument = _ARGUMENTS.get(key.lower())
            if argument is not None:
                yield Finding(
                    "misplaced-key",
                    f"{place}.{key}",
                    f"{key} inside {place} is dropped in silence"
                    + (f" and the project goes to {HLS4ML_DEFAULT_PART}" if argument == "Part" else ""),
                    f"give it to the converter as an argument ({argument} at the top level of the file)",
                )


def _strategies(config: dict[str, Any]) -> Iterator[Finding]:
    hls = mapping_of(config, "HLSConfig")
    places = [("HLSConfig.Model", mapping_of(hls, "Model"))]
    for level in ("LayerType", "LayerName"):
        for name, settings in mapping_of(hls, level).items():
            if isinstance(settings, dict):
                places.append((f"HLSConfig.{level}.{name}", settings))
    for place, settings in places:
        told = settings.get("Strategy")
        if not isinstance(told, str):
            continue
        strategy, known = built_strategy(told)
        if not known:
            yield Finding(
                "strategy-spelling",
                f"{place}.Strategy",
                f"{told[:40]!r} is unknown to hls4ml and becomes Latency without a word",
                f"take one of {', '.join(dict.fromkeys(STRATEGIES.values()))}",
            )
        elif strategy == "distributed_arithmetic":
            yield from _misused_da(place, settings)


def _misused_da(place: str, settings: dict[str, Any]) -> Iterator[Finding]:
    """hls4ml raises for distributed arithmetic on anything without weights, the model default included."""
    if place == "HLSConfig.Model":
        what = "distributed_arithmetic for the whole model reaches activations, for which hls4ml raises"
        yield Finding("da-without-weights", f"{place}.Strategy", what, "set it for each dense layer by name")
        return
    precision = settings.get("Precision")
    if ".LayerName." in place and isinstance(precision, dict) and "weight" not in precision:
        what = "distributed_arithmetic on a layer without weights; hls4ml raises an exception"
        yield Finding("da-without-weights", f"{place}.Strategy", what, "leave its strategy out")


def _shadowed(precisions: Precisions, shapes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    """H445: with granularity name, the precision of the model reaches no layer."""
    # a layer that is not named takes the model's; without shapes only a named input tells of that granularity
    all_named = all(name.lower() in precisions.by_name for name in shapes)
    if not all_named or (not shapes and not any("input" in name for name in precisions.by_name)):
        return
    value = precisions.model.get("Precision")
    value = value.get("default") if isinstance(value, dict) else value
    if not isinstance(value, str) or not precisions.by_name:
        return
    told: list[str] = []
    for settings in precisions.by_name.values():
        precision = settings.get("Precision") if isinstance(settings, dict) else None
        parts = precision.values() if isinstance(precision, dict) else [precision]
        told += [part if isinstance(part, str) else "auto" for part in parts]
    if not told or any(part.strip().lower() == "auto" for part in told):
        return
    try:
        default = parse_precision(value)
        if any(parse_precision(part) == default for part in told):
            return
    except UserError:
        return
    yield Finding(
        "model-precision",
        "HLSConfig.Model.Precision",
        f"{value[:40]} reaches no layer: every layer names its own precision (granularity 'name', H445)",
        "change the precision of the layers, or make the configuration with granularity='model'",
    )


def _firmware_findings(layers: Layers) -> Iterator[Finding]:
    for name, layer in zip(layers.names, layers.layers, strict=True):
        if layer.strategy != "ResourceUnrolled" or layer.reuse_factor > 1:
            yield from _layer_findings(name, layer.n_in, layer.n_out, layer.strategy, layer.reuse_factor)


def _unrounded(layers: Layers, precisions: Precisions) -> Iterator[Finding]:
    """Seen in hls4ml 1.3: distributed arithmetic takes the weights as trained, not rounded to weight_t."""
    given = precisions.weights()
    for name, layer in zip(layers.names, layers.layers, strict=True):
        asked = given.get(name.lower())
        if layer.strategy != "distributed_arithmetic" or layer.weights is None or asked is None:
            continue
        if layer.weight.fraction > asked.fraction:
            yield Finding(
                "da-unrounded-weights",
                f"layer {name}",
                f"built from weights that were not rounded to {asked}; they take {layer.weight}, so it is larger "
                "than need be and its outputs differ from those of the other strategies",
                "round the weights onto their type's grid before conversion (train with quantisation)",
            )


def _stale_findings(layers: Layers, precisions: Precisions) -> Iterator[Finding]:
    """Where the firmware was not built from this configuration."""
    for name, layer in zip(layers.names, layers.layers, strict=True):
        if name.lower() not in precisions.by_name:
            continue
        told = precisions.setting(name, "Dense", "Strategy")
        strategy, _ = built_strategy(told if isinstance(told, str) else "Latency")
        factor = precisions.setting(name, "Dense", "ReuseFactor")
        pairs: list[tuple[str, object, object]] = []
        if layer.strategy != "compressed" and strategy != layer.strategy:
            pairs.append(("strategy", strategy, layer.strategy))
        if isinstance(factor, int) and not isinstance(factor, bool) and factor >= 1:
            resource = layer.strategy == "Resource"
            built = nearest_legal(layer.n_in, layer.n_out, "Resource", factor) if resource else factor
            if built != layer.reuse_factor and strategy == layer.strategy:
                pairs.append(("reuse factor", built, layer.reuse_factor))
        for role, found in (("weight", layer.weight), ("bias", layer.bias)):
            try:
                asked = precisions.precision(name, "Dense", role)
            except UserError:
                continue
            if asked is not None and found is not None and found.width > 1 and asked != found:
                pairs.append((f"{role} type", asked, found))
        if layer.strategy == "distributed_arithmetic":
            pairs = [pair for pair in pairs if not pair[0].endswith("type")]
        for what, asked_for, built_as in pairs:
            yield Finding(
                "stale-config",
                f"layer {name}, {what}",
                f"the configuration says {asked_for}, the firmware was built with {built_as}",
                "the firmware decides; write the project again if the configuration is meant",
            )
