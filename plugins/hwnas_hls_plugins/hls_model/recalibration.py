"""One's own reports on top of a calibration: scale factors, intervals, and what they are worth.

A *site* is what a factor belongs to: stage, strategy, compiler and version, silicon. The designs of a
site move its factor from the base calibration's by ``n / (n + k)`` of what they differ from it; other
sites stay as they were. Errors are those of designs that were left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.calibration import METRICS, OFFSETS, Band, Calibration
from hwnas_hls_plugins.hls_model.own_designs import LeftOut, OwnDesign
from hwnas_hls_plugins.hls_model.own_intervals import own_bands
from hwnas_hls_plugins.hls_model.own_levels import Level, best_levels, level_of
from hwnas_hls_plugins.hls_model.silicon import device_of, part_class, tool_of

FloatArray = NDArray[np.float64]

SCALED = ("lut", "ff")
#: Networks that the base calibration counts as. Among the families behind the built-in one, sites differ
#: from it by more than designs of one site do; benchmarks/predictor/one_report.py compares values.
PRIOR_NETWORKS = 0.25
#: What one network counts for by what is known of its weights (architecture only, non-zeros, weights):
#: inverse squares of the spread of LUT residuals within one site, medians 0.44, 0.11 and 0.08 (natural log).
KNOWLEDGE_WEIGHT = (0.03, 0.5, 1.0)
#: Networks at a site from which whole families are left out, not single networks.
FAMILIES_TO_LEAVE = 3


@dataclass(frozen=True, slots=True)
class SiteErrors:
    """How wrong the model was on one site's designs, before and after, at one level of knowledge.

    Args:
        site: key of the factor group.
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

    site: str
    knowledge: int
    designs: int
    networks: int
    left_out: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    ratio: Mapping[str, float]
    coverage: Mapping[str, float | None]
    own_interval: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """A calibration with own designs in it, and how it was judged.

    Args:
        calibration: to write.
        factors: site -> metric -> factor by which predictions there change.
        errors: one entry a site and level of knowledge.
        unused: designs that no factor was learnt from, and why.
    """

    calibration: Calibration
    factors: Mapping[str, Mapping[str, float]]
    errors: tuple[SiteErrors, ...]
    unused: tuple[LeftOut, ...]


def recalibrate(
    designs: Sequence[OwnDesign],
    base: Calibration,
    name: str,
    prior_networks: float = PRIOR_NETWORKS,
    provenance: Mapping[str, object] | None = None,
) -> Recalibration:
    """Refit the sites of some designs on top of a calibration.

    Args:
        designs: at least one.
        base: what is known without them.
        name: of the result.
        prior_networks: networks that the base counts as.
        provenance: what the result says of itself beside the base's own.
    """
    levels = [level for level in (level_of(designs, base, know) for know in (0, 1, 2)) if level.places]
    best = best_levels(levels, len(designs))
    unused = [
        LeftOut(design.source, "its kind is outside what the laws describe; it moves no factor")
        for place, design in enumerate(designs)
        if best[place][0].bands[best[place][1]] == "outside"
    ]
    shifts: dict[str, dict[str, float]] = {}
    by_site: dict[str, list[int]] = defaultdict(list)
    for place, (level, row) in enumerate(best):
        if level.bands[row] != "outside":
            by_site[level.sites[row]].append(place)
    for site, places in by_site.items():
        centres = _centres(best, places, lambda place: designs[place].network)
        shifts[site] = _shifts(centres.values(), prior_networks)
    factors = {key: dict(values) for key, values in base.factors.items()}
    for site, moved in shifts.items():
        entry = factors.setdefault(site, {})
        for metric, shift in moved.items():
            entry[metric] = round(entry.get(metric, 0.0) + shift, 4)
    bands = {key: dict(values) for key, values in base.bands.items()}
    errors: list[SiteErrors] = []
    for level in levels:
        for site in sorted(by_site):
            rows = [
                row
                for row, place in enumerate(level.places)
                if level.sites[row] == site and level.bands[row] != "outside" and place in by_site[site]
            ]
            if rows:
                errors.append(_judge(designs, best, level, site, rows, prior_networks, base, bands))
    used = {place: site for site, places in by_site.items() for place in places}
    calibration = Calibration(
        name,
        base.laws,
        factors,
        bands,
        _seen(base, [designs[place] for place in used], list(used.values())),
        {**base.provenance, **(provenance or {})},
    )
    return Recalibration(
        calibration,
        {site: {m: math.exp(s) for m, s in moved.items()} for site, moved in shifts.items()},
        tuple(sorted(errors, key=lambda found: (found.site, -found.knowledge))),
        tuple(unused),
    )


#: One network's distance from the base: metric -> (log residual, weight).
_Centre = Mapping[str, tuple[float, float]]


def _centres(
    best: Sequence[tuple[Level, int]], places: Sequence[int], name_of: Callable[[int], str]
) -> dict[str, _Centre]:
    """Distance of each network of some designs; ``name_of`` says which network a design is of."""
    members: dict[str, list[int]] = defaultdict(list)
    for place in places:
        members[name_of(place)].append(place)
    out: dict[str, _Centre] = {}
    for name, found in members.items():
        centre: dict[str, tuple[float, float]] = {}
        for metric in SCALED:
            residuals, weight = [], 0.0
            for place in found:
                level, row = best[place]
                residual = float(level.base_residual[metric][row])
                if math.isfinite(residual):
                    # Under Resource nothing hangs on the weights.
                    known = 2 if level.bands[row].startswith("resource") else level.knowledge
                    residuals.append(residual)
                    weight = max(weight, KNOWLEDGE_WEIGHT[known])
            if residuals:
                # The median of a network: one odd report of many does not move it.
                centre[metric] = (float(np.median(residuals)), weight)
        out[name] = centre
    return out


def _shifts(centres: Iterable[_Centre], prior_networks: float) -> dict[str, float]:
    """What to add to a site's log factors: the mean of its networks, held towards the base's."""
    known = list(centres)
    out: dict[str, float] = {}
    for metric in SCALED:
        found = [centre[metric] for centre in known if metric in centre]
        if found:
            total = math.fsum(weight * residual for residual, weight in found)
            out[metric] = total / (math.fsum(weight for _, weight in found) + prior_networks)
    return out


def _judge(
    designs: Sequence[OwnDesign],
    best: Sequence[tuple[Level, int]],
    level: Level,
    site: str,
    rows: Sequence[int],
    prior_networks: float,
    base: Calibration,
    bands: dict[str, dict[str, Band]],
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

    def name_of(place: int) -> str:
        return str(place) if unit == "designs" else designs[place].network

    def group(place: int) -> str:
        return designs[place].family if by_family else name_of(place)

    centres = _centres(best, everyone, name_of)
    group_of = {name_of(place): group(place) for place in everyone}
    shift = {metric: np.zeros(len(level.places)) for metric in METRICS}
    moved: dict[str, dict[str, float]] = {}
    for row, place in zip(rows, places, strict=True):
        held = group(place)
        if held not in moved:
            others = [centre for name, centre in centres.items() if group_of[name] != held]
            moved[held] = _shifts(others, prior_networks)
        for metric, value in moved[held].items():
            shift[metric][row] = value
    chosen = np.array(rows)
    residuals = {metric: level.residual(metric, shift[metric])[chosen] for metric in METRICS}
    names = [designs[place].network for place in places]
    kinds = [(level.bands[row], level.queries[row].stage) for row in rows]
    found, coverage, own = own_bands(site, level.knowledge, residuals, names, kinds, base)
    bands |= found
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
            m: float(np.exp(np.median(told)))
            for m in SCALED
            if (told := (r := level.base_residual[m][chosen])[np.isfinite(r)]).size
        },
        coverage,
        own,
    )


def _median_error(residual: FloatArray, level: Level, metric: str, rows: NDArray[np.int64]) -> float | None:
    """Median of |predicted / reported - 1|, or nothing where no report tells."""
    c = OFFSETS[metric]
    truth = level.truth[metric][rows]
    told = np.isfinite(residual) & (truth > 0)
    if not told.any():
        return None
    predicted = (truth[told] + c) * np.exp(-residual[told]) - c
    return float(np.median(np.abs(predicted / truth[told] - 1.0)))


def _seen(base: Calibration, designs: Sequence[OwnDesign], sites: Sequence[str]) -> dict[str, object]:
    """What the base and the own designs cover together."""
    tools = {key: set(values) for key, values in base.seen.get("tools", {}).items()}
    parts = {key: set(values) for key, values in base.seen.get("parts", {}).items()}
    pairs = {tuple(pair) for pair in base.seen.get("pairs", ())}
    stages = set(base.seen.get("stages", ()))
    clocks = list(base.seen.get("clock_ns", ()))
    for design, site in zip(designs, sites, strict=True):
        query = design.query
        tool, silicon = tool_of(query.tool), part_class(query.part)
        tools.setdefault(tool.family, set()).add(tool.version)
        parts.setdefault(silicon, set()).add(device_of(query.part))
        pairs.add((tool.family, silicon, site.split("|")[1]))
        stages.add(query.stage)
        clocks.append(query.clock_ns)
    return {
        **base.seen,
        "tools": {key: sorted(values) for key, values in sorted(tools.items())},
        "parts": {key: sorted(values) for key, values in sorted(parts.items())},
        "part_classes": sorted(parts),
        "pairs": sorted(list(pair) for pair in pairs),
        "stages": sorted(stages),
        "clock_ns": [min(clocks), max(clocks)],
    }
