"""Recalibration with own reports: scale factors, intervals, and their cross-validated errors.

A *site* is what a factor belongs to: stage, strategy, compiler and version, silicon. The designs of a
site move its factors, and more so those of their own networks (:mod:`own_factors`); other sites stay as
they were. Errors are those of designs that were left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.protocols.target import device_of
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import (
    METRICS,
    OFFSETS,
    Band,
    Calibration,
    KnownWeights,
)
from hwnas_hls_plugins.estimators.hls_model.domain import SEEN_PAIRS
from hwnas_hls_plugins.estimators.hls_model.keys import BandKey, FactorKey, Group
from hwnas_hls_plugins.estimators.hls_model.own_designs import LeftOut, OwnDesign
from hwnas_hls_plugins.estimators.hls_model.own_factors import (
    CAUTION,
    SCALED,
    centres,
    network_shifts,
    same_network_shift,
    shifts,
    spread_of,
)
from hwnas_hls_plugins.estimators.hls_model.own_intervals import own_bands
from hwnas_hls_plugins.estimators.hls_model.own_levels import Level, best_levels, level_of
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of

FloatArray = NDArray[np.float64]

#: Reports further from their prediction than this factor (by knowledge of the weights) more likely belong to
#: another design than show a habit of a compiler: the sources of the built-in calibration, each held out, are
#: at 0.65 to 1.5 times the prediction of C synthesis with known weights, and within a factor of 4 without.
SUSPICIOUS = (8.0, 2.5, 2.5)

#: One design may be further off than the median of its site, by this factor.
ONE_DESIGN = 2.0

#: From this number on, whole families of a site are held out instead of single networks.
FAMILIES_TO_LEAVE = 3


@dataclass(frozen=True, slots=True)
class SiteErrors:
    """The model's errors on one site's designs, before and after, at one level of knowledge.

    Args:
        site: the designs' finest group.
        knowledge: 0 architecture only, 1 non-zeros, 2 weights.
        designs, networks: how many were judged.
        left_out: what was left out for each error after: ``families``, ``networks``, ``designs`` (of the
            only network, so that the errors speak of its variants), or empty where there is one design.
        before, after: metric -> median of |predicted / reported - 1|; ``after`` is empty where
            ``left_out`` is.
        ratio: metric -> median of reported / predicted before.
        coverage: metric -> what the interval of this site states now; ``None`` is not calibrated.
        own_interval: metrics whose interval is of these designs' own residuals.
    """

    site: Group
    knowledge: int
    designs: int
    networks: int
    left_out: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    ratio: Mapping[str, float]
    coverage: Mapping[str, float | None]
    own_interval: tuple[str, ...]


def is_doubtful(errors: SiteErrors, metric: str) -> bool:
    """Whether reports of a site deviate more than compilers do."""
    most = SUSPICIOUS[errors.knowledge]
    return not 1.0 / most <= errors.ratio[metric] <= most


def without_outliers(
    designs: Sequence[OwnDesign], base: Calibration
) -> tuple[list[OwnDesign], list[LeftOut]]:
    """The designs whose LUTs are near their prediction, and the others with the reason.

    A failed row among good ones of its site does not move their median, but it would move their factor.
    """
    batch = predict_batch([design.query for design in designs], base)
    kept, left = [], []
    for design, predicted, level in zip(
        designs, batch.value["lut"].tolist(), batch.knowledge.tolist(), strict=True
    ):
        c = OFFSETS["lut"]
        ratio = (design.truth["lut"] + c) / (predicted + c) if "lut" in design.truth else 1.0
        most = ONE_DESIGN * SUSPICIOUS[level]
        if math.isfinite(ratio) and not 1.0 / most <= ratio <= most:
            left.append(LeftOut(design.source, _doubt("lut", ratio)))
        else:
            kept.append(design)
    return kept, left


def _doubt(metric: str, ratio: float) -> Note:
    text = (
        f"doubtful: {metric.upper()} reported is {ratio:.2g} times predicted; check that they belong "
        "together (--doubtful uses them)"
    )
    return Note(NoteKind.REMARK, text)


def without_doubtful(
    designs: Sequence[OwnDesign], found: Recalibration
) -> tuple[list[OwnDesign], list[LeftOut]]:
    """The designs of sites that are not doubtful, and the others with the reason."""
    doubts: dict[Group, Note] = {}
    for errors in found.errors:
        for metric in errors.ratio:
            if is_doubtful(errors, metric) and errors.site not in doubts:
                doubts[errors.site] = _doubt(metric, errors.ratio[metric])
    kept, left = [], []
    for design, site in zip(designs, found.sites, strict=True):
        if site is not None and site in doubts:
            left.append(LeftOut(design.source, doubts[site]))
        else:
            kept.append(design)
    return kept, left


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """A calibration that includes own designs, and its errors.

    Args:
        calibration: to write.
        factors: site -> metric -> factor on the predictions of further networks there.
        errors: one entry per site and level of knowledge.
        unused: designs without a part in any factor, and why.
        sites: of each design; ``None`` if it has no part in any factor.
    """

    calibration: Calibration
    factors: Mapping[Group, Mapping[str, float]]
    errors: tuple[SiteErrors, ...]
    unused: tuple[LeftOut, ...]
    sites: tuple[Group | None, ...]


def recalibrate(
    designs: Sequence[OwnDesign],
    base: Calibration,
    name: str,
    caution: float = CAUTION,
    provenance: Mapping[str, object] | None = None,
) -> Recalibration:
    """Refit the sites of some designs on top of a calibration.

    Args:
        designs: at least one.
        base: the calibration without them.
        name: of the result.
        caution: multiple of the networks' spread that keeps a factor at the base's.
        provenance: what the result says of itself beside the base's own.
    """
    levels = [level for level in (level_of(designs, base, know) for know in (0, 1, 2)) if level.places]
    best = best_levels(levels, len(designs))
    unused = [
        LeftOut(
            design.source,
            Note(NoteKind.NO_DATA, "its kind is outside what the laws describe; it moves no factor"),
        )
        for place, design in enumerate(designs)
        if best[place][0].bands[best[place][1]] == "outside"
    ]
    moves: dict[Group, dict[str, float]] = {}
    by_site: dict[Group, list[int]] = defaultdict(list)
    for place, (level, row) in enumerate(best):
        if level.bands[row] != "outside":
            by_site[level.sites[row]].append(place)
    for site, places in by_site.items():
        found = centres(best, places, lambda place: designs[place].network)
        moves[site] = shifts(found.values(), caution)
    factors: dict[FactorKey, dict[str, float]] = {key: dict(values) for key, values in base.factors.items()}
    of_known = None if base.known is None else {key: dict(v) for key, v in base.known.factors.items()}
    for table in (factors, of_known or {}):
        for site, moved in moves.items():
            entry = table.setdefault(site, {})
            for metric, shift in moved.items():
                entry[metric] = round(entry.get(metric, 0.0) + shift, 4)
    used = {place: site for site, places in by_site.items() for place in places}
    for key, moved in network_shifts(levels, used).items():
        factors[key] = {
            metric: round(shift - moves[key.site].get(metric, 0.0), 4) for metric, shift in moved.items()
        }
    bands = {key: dict(values) for key, values in base.bands.items()}
    errors: list[SiteErrors] = []
    for level in levels:
        for site in sorted(by_site, key=str):
            rows = [
                row
                for row, place in enumerate(level.places)
                if level.sites[row] == site and level.bands[row] != "outside" and place in by_site[site]
            ]
            if rows:
                errors.append(_judge(designs, best, level, site, rows, caution, base, bands))
    calibration = Calibration(
        name,
        base.laws,
        factors,
        bands,
        _seen(base, [designs[place] for place in used], list(used.values())),
        {**base.provenance, **(provenance or {})},
        None if base.known is None or of_known is None else KnownWeights(base.known.laws, of_known),
    )
    return Recalibration(
        calibration,
        {site: {m: math.exp(s) for m, s in moved.items()} for site, moved in moves.items()},
        tuple(sorted(errors, key=lambda found: (str(found.site), -found.knowledge))),
        tuple(unused),
        tuple(used.get(place) for place in range(len(designs))),
    )


def _judge(
    designs: Sequence[OwnDesign],
    best: Sequence[tuple[Level, int]],
    level: Level,
    site: Group,
    rows: Sequence[int],
    caution: float,
    base: Calibration,
    bands: dict[BandKey, dict[str, Band]],
) -> SiteErrors:
    """Errors of a site's designs with their group left out; its own bands are added to ``bands``."""
    places = [level.places[row] for row in rows]
    everyone = [
        place
        for place, (found, row) in enumerate(best)
        if found.sites[row] == site and found.bands[row] != "outside"
    ]
    families = {designs[place].family for place in everyone}
    networks = {designs[place].network for place in everyone}
    by_family = len(families) >= FAMILIES_TO_LEAVE

    alone = len(everyone) == 1
    unit = "families" if by_family else "networks" if len(networks) > 1 else "" if alone else "designs"

    shift = {metric: np.zeros(len(level.places)) for metric in METRICS}
    if unit == "designs":
        for metric in SCALED:
            by_row = {row: float(level.base_residual[metric][row]) for row in rows}
            for row in rows:
                others = [r for other, r in by_row.items() if other != row and math.isfinite(r)]
                shift[metric][row] = same_network_shift(others, spread_of(metric, level, row))
    else:
        by_network = centres(best, everyone, lambda place: designs[place].network)
        group_of = {
            designs[place].network: designs[place].family if by_family else designs[place].network
            for place in everyone
        }
        for row, place in zip(rows, places, strict=True):
            held = group_of[designs[place].network]
            others_centres = [centre for name, centre in by_network.items() if group_of[name] != held]
            for metric, value in shifts(others_centres, caution).items():
                shift[metric][row] = value
    chosen = np.array(rows)
    residuals = {metric: level.residual(metric, shift[metric])[chosen] for metric in METRICS}
    names = [designs[place].network for place in places]
    kinds = [(level.bands[row], level.queries[row].stage) for row in rows]
    left = {metric: level.left_over(metric, values, chosen) for metric, values in residuals.items()}
    found, coverage, own = own_bands(site, level.knowledge, left, names, kinds, base)
    for key, of_site in found.items():
        bands[key] = of_site
    return SiteErrors(
        site,
        level.knowledge,
        len(rows),
        len(set(names)),
        unit,
        {
            m: e
            for m in SCALED
            if (e := _median_error(level.base_residual[m][chosen], level, m, chosen)) is not None
        },
        {}
        if alone
        else {m: e for m in SCALED if (e := _median_error(residuals[m], level, m, chosen)) is not None},
        {
            m: float(np.exp(np.median(finite)))
            for m in SCALED
            if (finite := (r := level.base_residual[m][chosen])[np.isfinite(r)]).size
        },
        coverage,
        own,
    )


def _median_error(residual: FloatArray, level: Level, metric: str, rows: NDArray[np.int64]) -> float | None:
    """Median of |predicted / reported - 1|, or nothing where no report tells."""
    c = OFFSETS[metric]
    truth = level.truth[metric][rows]
    known = np.isfinite(residual) & (truth > 0)
    if not known.any():
        return None
    predicted = (truth[known] + c) * np.exp(-residual[known]) - c
    return float(np.median(np.abs(predicted / truth[known] - 1.0)))


def _seen(base: Calibration, designs: Sequence[OwnDesign], sites: Sequence[Group]) -> dict[str, object]:
    """What the base and the own designs cover together."""
    tools = {key: set(values) for key, values in base.seen.get("tools", {}).items()}
    parts = {key: set(values) for key, values in base.seen.get("parts", {}).items()}
    pairs = {name: {tuple(pair) for pair in base.seen.get(name, ())} for name in SEEN_PAIRS.values()}
    stages = set(base.seen.get("stages", ()))
    clocks = list(base.seen.get("clock_ns", ()))
    for design, site in zip(designs, sites, strict=True):
        query = design.query
        tool, silicon = tool_of(query.tool), part_class(query.part)
        tools.setdefault(tool.family, set()).add(tool.version)
        parts.setdefault(silicon, set()).add(device_of(query.part))
        pairs[SEEN_PAIRS[site.flow]].add((tool.family, silicon, site.strategy))
        stages.add(query.stage)
        clocks.append(query.clock_ns)
    return {
        **base.seen,
        "tools": {key: sorted(values) for key, values in sorted(tools.items())},
        "parts": {key: sorted(values) for key, values in sorted(parts.items())},
        "part_classes": sorted(parts),
        **{name: sorted(list(pair) for pair in kinds) for name, kinds in pairs.items()},
        "stages": sorted(stages),
        "clock_ns": [min(clocks), max(clocks)],
    }
