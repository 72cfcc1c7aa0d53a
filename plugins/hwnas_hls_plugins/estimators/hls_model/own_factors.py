"""Corrections of scale factors by a user's own reports, per site and per network.

A site differs from the calibration by one bias, and each of its networks by a little more in either
direction. One report shows the sum of both: right for further designs of its network, too much for others.
How much of it is the site's is estimated from the report itself (empirical Bayes): of a distance no larger
than networks of one site scatter nothing is adopted, of a large one nearly all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from hwnas_hls_plugins.estimators.hls_model.keys import Group, NetworkGroup
from hwnas_hls_plugins.estimators.hls_model.own_levels import Level
from hwnas_hls_plugins.estimators.hls_model.regimes import RESOURCE_REGIMES

SCALED = ("lut", "ff")
#: Standard deviation (natural logarithm) of one network around its site, by knowledge of its weights
#: (architecture only, non-zeros, weights): the scatter between and within the networks of a site, from the
#: sites of benchmarks/predictor/one_report.py, each held out of the fit.
NETWORK_SPREAD: Mapping[str, tuple[float, float, float]] = {
    "lut": (0.45, 0.14, 0.10),
    "ff": (0.50, 0.22, 0.18),
}
#: Distances below these multiples of the spread count as scatter, for other networks of the site and for
#: further designs of the same network; benchmarks/predictor/one_report.py compares values.
CAUTION, NETWORK_CAUTION = 1.5, 0.5

#: Additional factor if nothing is known of the weights: most of the distance is then the pruning of this
#: network, which no other network shares.
BLIND_DOUBT = 1.5

#: One network's distance from the base: metric -> (log residual, spread).
Centre = Mapping[str, tuple[float, float]]


def centres(
    best: Sequence[tuple[Level, int]], places: Sequence[int], name_of: Callable[[int], str]
) -> dict[str, Centre]:
    """Distance of each network of some designs; ``name_of`` gives the network of a design."""
    members: dict[str, list[int]] = defaultdict(list)
    for place in places:
        members[name_of(place)].append(place)
    out: dict[str, Centre] = {}
    for name, found in members.items():
        centre: dict[str, tuple[float, float]] = {}
        for metric in SCALED:
            residuals, spread = [], math.inf
            for place in found:
                level, row = best[place]
                residual = float(level.base_residual[metric][row])
                if math.isfinite(residual):
                    residuals.append(residual)
                    doubt = BLIND_DOUBT if _known(level, row) == 0 else 1.0
                    spread = min(spread, spread_of(metric, level, row) * doubt)
            if residuals:
                # The median of a network: one odd report of many does not move it.
                centre[metric] = (float(np.median(residuals)), spread)
        out[name] = centre
    return out


def shifts(known: Iterable[Centre], caution: float = CAUTION) -> dict[str, float]:
    """What to add to a site's log factors.

    Args:
        known: one entry per network.
        caution: multiple of the networks' spread; 0 adopts their mean as it is.
    """
    networks = list(known)
    out: dict[str, float] = {}
    for metric in SCALED:
        found = [centre[metric] for centre in networks if metric in centre]
        if not found:
            continue
        weights = [1.0 / spread**2 for _, spread in found]
        total = math.fsum(weights)
        mean = math.fsum(w * residual for w, (residual, _) in zip(weights, found, strict=True)) / total
        out[metric] = _held_back(mean, caution / math.sqrt(total))
    return out


def network_shifts(
    levels: Sequence[Level], used: Mapping[int, Group]
) -> dict[NetworkGroup, dict[str, float]]:
    """What to add to the log factors of each reported network.

    Args:
        levels: the designs at each level of knowledge; a network's distance is of that level alone.
        used: places of the designs that count, and their site.
    """
    found: dict[NetworkGroup, dict[str, tuple[list[float], float]]] = {}
    for level in levels:
        for row, place in enumerate(level.places):
            if place not in used or level.bands[row] == "outside":
                continue
            network = NetworkGroup.of(used[place], level.queries[row], level.knowledge)
            entry = found.setdefault(network, {})
            for metric in SCALED:
                residual = float(level.base_residual[metric][row])
                if math.isfinite(residual):
                    spread = spread_of(metric, level, row)
                    entry.setdefault(metric, ([], spread))[0].append(residual)
    return {
        key: {
            metric: _held_back(float(np.median(values)), NETWORK_CAUTION * spread)
            for metric, (values, spread) in entry.items()
        }
        for key, entry in found.items()
    }


def same_network_shift(residuals: Sequence[float], spread: float) -> float:
    """The shift of further designs of one network."""
    return _held_back(float(np.median(residuals)), NETWORK_CAUTION * spread) if residuals else 0.0


def spread_of(metric: str, level: Level, row: int) -> float:
    """Scatter of networks around their site."""
    return NETWORK_SPREAD[metric][_known(level, row)]


def _known(level: Level, row: int) -> int:
    """The knowledge of the weights, where they matter: the cost under Resource does not depend on them."""
    return 2 if level.bands[row] in RESOURCE_REGIMES else level.knowledge


def _held_back(distance: float, scatter: float) -> float:
    """The part of a distance that scatter does not explain."""
    return distance * max(0.0, 1.0 - (scatter / distance) ** 2) if distance else 0.0
