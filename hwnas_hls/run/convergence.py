"""Whether the front still grew when the search ended."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas_hls.spec.notation import percent

#: Minimum number of candidates for a statement.
_LEAST_CANDIDATES = 40
#: Growth of the hypervolume over the last quarter from which a longer search is worth its time.
_CLIMBING = 0.02


def growth_words(trace: Sequence[tuple[int, float, float]]) -> str:
    """How much the hypervolume grew over the last quarter of the candidates; empty for a short search.

    Args:
        trace: (candidates, seconds, hypervolume) after each batch.
    """
    if not trace or trace[-1][0] < _LEAST_CANDIDATES or trace[-1][2] <= 0:
        return ""
    count, _, final = trace[-1]
    before = [volume for judged, _, volume in trace if judged <= 0.75 * count]
    if not before:
        return ""
    grown = 1.0 - before[-1] / final
    what = "still climbing, more --trials would help" if grown >= _CLIMBING else "levelled off"
    words = percent(grown, 1)
    return f"the front's hypervolume (hv) grew by {words} over the last quarter of the candidates: {what}"
