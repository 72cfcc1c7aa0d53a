"""Lint rules for single layers, in a configuration and as built."""

from __future__ import annotations

from collections.abc import Iterator

from hwnas_hls.errors import UserError
from hwnas_hls.hls4ml.folder.dense import Layers
from hwnas_hls.hls4ml.folder.precisions import Precisions, dense_strategy
from hwnas_hls.hls4ml.lint.finding import Finding, pitfall
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.network.reuse import legal_reuse_factors, nearest_legal


def layer_findings(name: str, n_in: int, n_out: int, strategy: str, factor: int) -> Iterator[Finding]:
    """The findings for one dense layer, from its shape, strategy and reuse factor."""
    where = f"layer {name}"
    products = n_in * n_out
    if strategy == "Latency" and products > UNROLL_LIMIT:
        yield pitfall(
            "unroll-limit",
            where,
            f"{n_in} x {n_out} = {products} products under Latency; synthesis stops or runs for hours "
            f"above {UNROLL_LIMIT} (H572, H903, H904)",
            "use Resource with a reuse factor above 1, or narrower layers",
        )
    if strategy == "Resource" and (legal := nearest_legal(n_in, n_out, "Resource", factor)) != factor:
        near = [value for value in legal_reuse_factors(n_in, n_out) if legal / 4 <= value <= legal * 4]
        yield pitfall(
            "reuse-factor",
            where,
            f"reuse factor {factor} is not legal for {n_in} x {n_out}; hls4ml changes it to {legal}",
            f"use one of {', '.join(map(str, near[:12]))}",
        )
    if strategy == "distributed_arithmetic" and factor != 1:
        yield pitfall(
            "da-reuse-factor",
            where,
            f"distributed_arithmetic with reuse factor {factor}; hls4ml raises an exception",
            "set ReuseFactor to 1, or use Resource",
        )
    if strategy == "ResourceUnrolled" and factor == 1:
        yield pitfall(
            "unrolled-reuse-factor",
            where,
            "ResourceUnrolled with reuse factor 1 becomes Resource",
            "use a reuse factor above 1, or Latency",
        )


def firmware_findings(
    layers: Layers, precisions: Precisions | None, release: frozenset[str]
) -> Iterator[Finding]:
    """The findings for layers as built, and their contradictions to a configuration.

    Args:
        release: the strategies of the release of hls4ml that wrote the firmware.
    """
    for name, layer in zip(layers.names, layers.layers, strict=True):
        if layer.strategy != "ResourceUnrolled" or layer.reuse_factor > 1:
            yield from layer_findings(name, layer.n_in, layer.n_out, layer.strategy, layer.reuse_factor)
    if precisions is not None:
        yield from _unrounded(layers, precisions)
        yield from _stale(layers, precisions, release)


def _unrounded(layers: Layers, precisions: Precisions) -> Iterator[Finding]:
    """In hls4ml 1.3, distributed arithmetic uses the trained weights without rounding them to weight_t."""
    given = precisions.weights()
    for name, layer in zip(layers.names, layers.layers, strict=True):
        asked = given.get(name.lower())
        if layer.strategy != "distributed_arithmetic" or layer.weights is None or asked is None:
            continue
        if layer.weight.fraction > asked.fraction:
            yield pitfall(
                "da-unrounded-weights",
                f"layer {name}",
                f"built from weights that were not rounded to {asked}; they need {layer.weight}, so it is "
                "larger than necessary and its outputs differ from those of the other strategies",
                "round the weights to their type before conversion (train with quantisation)",
            )


def _stale(layers: Layers, precisions: Precisions, release: frozenset[str]) -> Iterator[Finding]:
    """The settings in which the firmware differs from this configuration."""
    for name, layer in zip(layers.names, layers.layers, strict=True):
        if name.lower() not in precisions.by_name:
            continue
        written = precisions.setting(name, "Dense", "Strategy")
        strategy = dense_strategy(
            written if isinstance(written, str) else "Latency", layer.reuse_factor, release
        )
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
                asked = precisions.precision(name, "Dense", role) if precisions.names(name, role) else None
            except UserError:
                continue
            signs = asked is not None and asked.width == 1  # read as the values -1 and 1, of two bits
            if asked is not None and found is not None and found.width > 1 + signs and asked != found:
                pairs.append((f"{role} type", asked, found))
        # Quantisers of the model (QKeras, HGQ) decide types where conversion is bit-exact.
        if layer.strategy == "distributed_arithmetic" or precisions.quantised:
            pairs = [pair for pair in pairs if not pair[0].endswith("type")]
        for what, asked_for, built_as in pairs:
            yield pitfall(
                "stale-config",
                f"layer {name}, {what}",
                f"the configuration has {asked_for}, but the firmware was built with {built_as}",
                "the firmware is used; write the project again to apply the configuration",
            )
