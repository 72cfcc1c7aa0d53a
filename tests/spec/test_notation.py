"""How numbers are written."""

from __future__ import annotations

import pytest

from hwnas_hls.spec.notation import quantity


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency_cycles", 1, "1 cycle"),
        ("latency_cycles", 2, "2 cycles"),
        ("model_size_bytes", 1.0, "1 byte"),
        ("latency_ns", 1, "1 ns"),
        ("lut", 3120, "3,120 LUT"),
        ("accuracy", 1, "100.0 %"),
    ],
)
def test_number_with_its_unit(metric: str, value: float, text: str) -> None:
    assert quantity(metric, value) == text
