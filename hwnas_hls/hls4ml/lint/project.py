"""Lint rules for configurations and projects: settings that hls4ml silently changes or ignores.

The behaviour is that of hls4ml 1.3 (read in its sources and tested). H123 is issue 123 of
fastmachinelearning/hls4ml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.folder.config import load_config, mapping_of, text_of
from hwnas_hls.hls4ml.folder.firmware import read_firmware
from hwnas_hls.hls4ml.folder.folder import find_project
from hwnas_hls.hls4ml.folder.layers import read_layers
from hwnas_hls.hls4ml.folder.precisions import (
    DEFAULT,
    NEWEST,
    STRATEGIES,
    Precisions,
    built_strategy,
    folded,
    parse_precision,
)
from hwnas_hls.hls4ml.folder.settings import read_settings
from hwnas_hls.hls4ml.folder.shapes import read_shapes
from hwnas_hls.hls4ml.lint.finding import Finding, pitfall
from hwnas_hls.hls4ml.lint.layers import firmware_findings, layer_findings

#: hls4ml's default part.
HLS4ML_DEFAULT_PART = "xcvu13p-flga2577-2-e"
#: Implementations of a softmax.
_SOFTMAX = ("stable", "latency", "legacy", "argmax")
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


def lint_config(
    config: Mapping[str, Any] | Path | str, shapes: Mapping[str, tuple[int, int]] | None = None
) -> list[Finding]:
    """The findings for a configuration.

    Args:
        config: top level of ``hls4ml_config.yml`` or its path.
        shapes: name of a dense layer -> (n_in, n_out); default: read from the model in the file or its
            folder.

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
    """The findings for a project: its configuration and its firmware.

    Raises:
        UserError, ReportError, Unsupported: as
            :func:`~hwnas_hls.hls4ml.folder.folder.read_folder`.
    """
    folder = find_project(path)
    config: dict[str, Any] = {}
    for name in ("hls4ml_config.yml", "hls4ml_config.yaml"):
        if (folder / name).is_file():
            config = load_config(folder / name)
            break
    top = read_settings(folder, config, None).top
    firmware = read_firmware(folder, top, config)
    layers, release = read_layers(firmware), firmware.strategies
    shapes = {
        name: (layer.n_in, layer.n_out) for name, layer in zip(layers.names, layers.layers, strict=True)
    }
    findings = [*_config_findings(config, shapes, release)] if config else []
    findings += firmware_findings(layers, Precisions(config) if config else None, release)
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


def _config_findings(
    config: dict[str, Any], shapes: Mapping[str, tuple[int, int]], release: frozenset[str] = NEWEST
) -> Iterator[Finding]:
    yield from _misplaced(config)
    precisions = Precisions(config)
    yield from _strategies(config, shapes, release)
    yield from _shadowed(precisions, shapes)
    for name, (n_in, n_out) in shapes.items():
        written = precisions.setting(name, "Dense", "Strategy")
        strategy, _ = built_strategy(written if isinstance(written, str) else "Latency", release=release)
        factor = precisions.setting(name, "Dense", "ReuseFactor")
        if isinstance(factor, int) and not isinstance(factor, bool) and factor >= 1:
            yield from layer_findings(name, n_in, n_out, strategy, factor)
    if "HLSConfig" in config and not text_of(config, "Part", "XilinxPart", "Device", "Board"):
        yield pitfall(
            "part-missing",
            "Part",
            f"no part is given; hls4ml uses {HLS4ML_DEFAULT_PART}",
            "give part=... (or board=...) to the converter",
        )


def _misplaced(config: dict[str, Any]) -> Iterator[Finding]:
    hls = mapping_of(config, "HLSConfig")
    for place, keys in (("HLSConfig", hls), ("HLSConfig.Model", mapping_of(hls, "Model"))):
        for key in keys:
            argument = _ARGUMENTS.get(key.lower())
            if argument is not None:
                yield pitfall(
                    "misplaced-key",
                    f"{place}.{key}",
                    f"hls4ml silently ignores {key} inside {place}"
                    + (f" and uses {HLS4ML_DEFAULT_PART}" if argument == "Part" else ""),
                    f"pass it to the converter ({argument} at the top level of the file)",
                )


def _strategies(
    config: dict[str, Any], shapes: Mapping[str, tuple[int, int]], release: frozenset[str]
) -> Iterator[Finding]:
    hls = mapping_of(config, "HLSConfig")
    places = [("HLSConfig.Model", mapping_of(hls, "Model"))]
    for level in ("LayerType", "LayerName"):
        for name, settings in mapping_of(hls, level).items():
            if isinstance(settings, dict):
                places.append((f"HLSConfig.{level}.{name}", settings))
    for place, settings in places:
        written = settings.get("Strategy")
        if not isinstance(written, str):
            continue
        strategy, known = built_strategy(written, release=release)
        if not known and written.lower() in _SOFTMAX and place.rpartition(".")[2] not in shapes:
            continue  # up to hls4ml 0.6, this was the implementation of a softmax
        if not known:
            newer = built_strategy(written)[1]
            of = "the release of hls4ml that wrote the firmware" if newer else "hls4ml"
            choices = [name for name in dict.fromkeys(STRATEGIES.values()) if folded(name) in release]
            yield pitfall(
                "strategy-spelling",
                f"{place}.Strategy",
                f"{written[:40]!r} is unknown to {of} and silently becomes Latency",
                f"use {'a newer release, or ' if newer else ''}one of {', '.join(choices)}",
            )
        elif strategy == "distributed_arithmetic":
            yield from _misused_da(place, settings)


def _misused_da(place: str, settings: dict[str, Any]) -> Iterator[Finding]:
    """hls4ml raises an exception if distributed arithmetic is set by name for a layer without weights.

    Set for the whole model or a type of layers, it applies only to layers with weights (tested in 1.3).
    """
    precision = settings.get("Precision")
    if ".LayerName." in place and isinstance(precision, dict) and "weight" not in precision:
        what = "distributed_arithmetic on a layer without weights; hls4ml raises an exception"
        yield pitfall("da-without-weights", f"{place}.Strategy", what, "omit its strategy")


def _shadowed(precisions: Precisions, shapes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    """H445: with granularity name, the precision of the model has no effect."""
    # a layer that is not listed uses the model's; without shapes, a listed input shows this granularity
    all_named = all(name.lower() in precisions.by_name for name in shapes)
    if not all_named or (not shapes and not any("input" in name for name in precisions.by_name)):
        return
    value = precisions.model.get("Precision")
    value = value.get("default") if isinstance(value, dict) else value
    if not isinstance(value, str) or not precisions.by_name:
        return
    given: list[str] = []
    for settings in precisions.by_name.values():
        precision = settings.get("Precision") if isinstance(settings, dict) else None
        parts = precision.values() if isinstance(precision, dict) else [precision]
        given += [part if isinstance(part, str) else "auto" for part in parts]
    if not given or any(part.strip().lower() == "auto" for part in given):
        return
    try:
        default = parse_precision(value)
        # hls4ml's own default was not set by the user
        if default == DEFAULT or any(parse_precision(part) == default for part in given):
            return
    except UserError:
        return
    yield pitfall(
        "model-precision",
        "HLSConfig.Model.Precision",
        f"{value[:40]} has no effect: every layer has its own precision (granularity 'name', H445)",
        "change the precision of the layers, or make the configuration with granularity='model'",
    )
