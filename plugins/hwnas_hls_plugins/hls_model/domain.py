"""Where the model was calibrated, and why a design lies outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.calibration import Calibration
from hwnas_hls_plugins.hls_model.silicon import part_class, tool_of
from hwnas_hls_plugins.hls_model.table import DISTRIBUTED, RESOURCE, UNROLLED, DesignTable
from hwnas_hls_plugins.hls_model.unrolled import UNROLL_LIMIT

#: Widths and reuse factors of the sweep of single ``Resource`` layers.
SWEPT_WIDTHS, SWEPT_REUSE = (32, 256), (384, 1152)
#: Beyond this an operand takes two DSPs or collapses into logic, which the laws do not describe.
OPERAND_BITS = 26


def layer_reasons(table: DesignTable) -> dict[str, NDArray[np.bool_]]:
    """Reason -> mask over layers."""
    c = table.layer
    resource = (c["strategy"] == RESOURCE) & (c["legal_reuse"] > 1)
    unrolled = ~resource & (c["strategy"] != DISTRIBUTED)
    return {
        f"operands above {OPERAND_BITS} bits": np.maximum(c["in_bits"], c["w_bits"]) > OPERAND_BITS,
        f"more than {UNROLL_LIMIT:,} products in an unrolled layer: adders no longer form a tree": unrolled
        & (c["n_in"] * c["n_out"] > UNROLL_LIMIT),
        "accumulator with rounding or saturation": (c["acc_modes"] > 0) & (c["strategy"] != DISTRIBUTED),
        "distributed arithmetic through C synthesis: no data": c["strategy"] == DISTRIBUTED,
        "ResourceUnrolled: no data": c["strategy"] == UNROLLED,
        "distributed arithmetic needs reuse factor 1": (c["strategy"] == DISTRIBUTED) & (c["reuse"] > 1),
        "tanh, sigmoid or elu: hardly any data": (c["activation"] == 3) | (c["activation"] == 6),
    }


def design_reasons(table: DesignTable, calibration: Calibration) -> list[list[str]]:
    """Reasons of each design, from its layers, its interface, its tool and its silicon."""
    out: list[list[str]] = [list(query.reasons) for query in table.queries]
    for reason, mask in layer_reasons(table).items():
        for design in np.unique(table.owner[mask]):
            out[design].append(reason)
    stages = set(calibration.seen.get("stages", ()))
    for number, query in enumerate(table.queries):
        if query.io_type != "io_parallel":
            out[number].append(
                "io_stream: hardly any data"
                if query.io_type == "io_stream"
                else f"unknown io_type {query.io_type[:20]!r}"
            )
        if part_class(query.part) not in calibration.seen.get("part_classes", ()):
            out[number].append(f"silicon of {query.part[:40]}: no data")
        if query.stage not in stages:
            out[number].append(f"stage {query.stage}: no data")
        low, high = calibration.seen.get("clock_ns", (0.0, np.inf))
        if not low * 0.8 <= query.clock_ns <= high * 1.25:
            out[number].append(f"clock of {query.clock_ns:g} ns: data cover {low:g} to {high:g} ns")
    return out


def design_warnings(table: DesignTable, calibration: Calibration) -> list[list[str]]:
    """Warnings: what was assumed, and how near the nearest data are."""
    out: list[list[str]] = [list(query.warnings) for query in table.queries]
    seen_tools = calibration.seen.get("tools", {})
    parts = calibration.seen.get("parts", {})
    for number, query in enumerate(table.queries):
        tool = tool_of(query.tool)
        silicon = part_class(query.part)
        versions = seen_tools.get(tool.family, [])
        if versions and tool.version and tool.version not in versions:
            nearest = min(versions, key=lambda version: abs(version - tool.version))
            out[number].append(f"no data for {tool.text}, nearest is {tool.family}_hls {nearest:.1f}")
        known = parts.get(silicon, [])
        if known and not any(query.part.lower().startswith(name) for name in known):
            out[number].append(f"no data for this part, same silicon: {', '.join(known)}")
    c = table.layer
    moved = (c["legal_reuse"] != c["reuse"]) & (c["strategy"] == RESOURCE)
    for layer in np.flatnonzero(moved):
        out[table.owner[layer]].append(
            f"reuse factor {c['reuse'][layer]:.0f} is not legal for "
            f"{c['n_in'][layer]:.0f} x {c['n_out'][layer]:.0f}, hls4ml takes {c['legal_reuse'][layer]:.0f}"
        )
    return out


def unusual(table: DesignTable) -> NDArray[np.bool_]:
    """Designs that the laws do not claim to describe: streams, wrappers, adders that form no tree."""
    c = table.layer
    resource = (c["strategy"] == RESOURCE) & (c["legal_reuse"] > 1)
    chained = ~resource & (c["n_in"] * c["n_out"] > UNROLL_LIMIT)
    odd = chained | (c["acc_modes"] > 0) | (np.maximum(c["in_bits"], c["w_bits"]) > OPERAND_BITS)
    out: NDArray[np.bool_] = (
        (table.design["stream"] > 0) | (table.design["wrapped"] > 0) | (table.largest(odd.astype(float)) > 0)
    )
    return out


def novelty(table: DesignTable, calibration: Calibration, groups: Sequence[str]) -> NDArray[np.float64]:
    """How far each design is from the data.

    0: its kind (``groups``) was measured under this compiler on this silicon; 1: both were seen, but
    not so; 2: the silicon was never seen.
    """
    pairs = {tuple(pair) for pair in calibration.seen.get("pairs", ())}
    classes = set(calibration.seen.get("part_classes", ()))
    versions = calibration.seen.get("tools", {})
    c = table.layer
    # Single Resource layers are known to a fraction of a per cent, but only as the sweep built them.
    beyond = table.largest(
        (
            (c["in_bits"] != 16)
            | (c["acc_bits"] != 16)
            | (c["activation"] > 0)
            | (c["batch"] > 0)
            | (c["legal_reuse"] <= c["n_in"])
            | (c["w_bits"] > 16)
        ).astype(float)
    )
    low, high = SWEPT_WIDTHS
    widths = np.stack([c["n_in"], c["n_out"]]) if c["n_in"].size else np.zeros((2, 0))
    fewest, most = SWEPT_REUSE
    unswept = table.largest(
        (
            ((widths < low) | (widths > high)).any(axis=0)
            | (c["legal_reuse"] < fewest)
            | (c["legal_reuse"] > most)
        ).astype(float)
    )
    out = np.zeros(len(table.queries))
    for number, query in enumerate(table.queries):
        tool, silicon = tool_of(query.tool), part_class(query.part)
        if (tool.family, silicon, groups[number]) not in pairs:
            out[number] = 1.0 if silicon in classes else 2.0
        elif groups[number] == "resource-one":
            # Shares of the step to a new place: guesses, set by hand.
            newer = tool.version not in versions.get(tool.family, ())
            out[number] = max(0.5 * newer, 0.8 * beyond[number], 0.3 * unswept[number])
    return out
