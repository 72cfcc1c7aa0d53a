"""Limits of the latency below one clock cycle: refused before the search, if no network may meet them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.resolution import check_latency, resolve
from hwnas_hls.spec.spec import Spec, spec_from_tables


def spec_of(limits: dict[str, float], **space: Any) -> Spec:
    tables = {
        "target": {"name": "xcvu9p", "clock_ns": 5.0},
        "synthesis": {"synthesizer": "none"},
        "space": {"name": "mlp", **space},
        "limits": {"max": limits},
    }
    return spec_from_tables(tables, "test.toml")


@pytest.mark.parametrize("limit", [{"latency_ns": 4.9}, {"latency_cycles": 0.5}], ids=["ns", "cycles"])
def test_a_limit_below_one_clock_cycle_is_refused_before_the_search(
    tmp_path: Path, limit: dict[str, float]
) -> None:
    ((metric, bound),) = limit.items()
    where = "test.toml: [limits].max"
    with refused(ErrorKind.NOTHING_FITS, where=where, mentions=[metric, bound, "5 ns"]):
        runs.start(spec_of(limit), Registry(), tmp_path / "run", runs.Observer())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("limit_ns", "space"),
    [
        (5.0, {}),
        (2.5, {"clock_periods_ns": [2.5, 5.0]}),
        # Single layers, for which HLS tools may report 0 cycles.
        (1.0, {"min_depth": 0}),
    ],
    ids=["one cycle", "the shortest clock of the space", "single layers"],
)
def test_a_limit_that_some_network_may_meet_is_not_refused(limit_ns: float, space: dict[str, Any]) -> None:
    check_latency(resolve(spec_of({"latency_ns": limit_ns}, **space), Registry()))
