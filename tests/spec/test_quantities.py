"""Times, clocks and counts: one parser, whatever the command."""

from __future__ import annotations

import pytest

from hwnas_hls.errors import UserError
from hwnas_hls.spec.bounds import limit_entry, parse_bound
from hwnas_hls.spec.quantities import (
    clock_ns,
    count,
    parse_clock_ns,
    parse_share,
    parse_time_ns,
    share,
    time_ns,
)
from hwnas_hls.testing import sample_target


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1us", 1000.0), ("5ns", 5.0), ("0.5 us", 500.0), ("800", 800.0), ("1e3ps", 1.0), ("2µs", 2000.0)],
)
def test_times(text: str, ns: float) -> None:
    assert time_ns(text) == pytest.approx(ns)
    assert parse_time_ns(text, "--max-latency") == pytest.approx(ns)


@pytest.mark.parametrize("text", ["", "fast", "1 parsec", "-5ns", "0", "1.2.3ns", "nan", "1e999"])
def test_invalid_time_text_is_refused(text: str) -> None:
    assert time_ns(text) is None
    with pytest.raises(UserError) as caught:
        parse_time_ns(text, "--max-latency")
    assert (caught.value.where, caught.value.found) == ("--max-latency", text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [("5", 5.0), ("3.125ns", 3.125), ("0.005us", 5.0), ("200MHz", 5.0), ("320 mhz", 3.125), ("0.2GHz", 5.0)],
)
def test_clocks_are_periods_or_frequencies(text: str, ns: float) -> None:
    assert clock_ns(text) == pytest.approx(ns)
    assert parse_clock_ns(text, "--clock") == pytest.approx(ns)


@pytest.mark.parametrize("text", ["", "0MHz", "-200MHz", "200M", "5 V", "1s", "1e-6"])
def test_invalid_clock_text_is_refused(text: str) -> None:
    assert clock_ns(text) is None
    with pytest.raises(UserError) as caught:
        parse_clock_ns(text, "--clock")
    assert (caught.value.where, caught.value.found) == ("--clock", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.01", 0.01),
        ("1%", 0.01),
        (" 0.25 % ", 0.0025),
        ("100kHz of 40MHz", 0.0025),
        ("100 kHz / 40 MHz", 0.0025),
        ("750Hz/100kHz", 0.0075),
    ],
)
def test_shares_are_numbers_or_quotients_of_rates(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)
    assert parse_share(text, "--fpr") == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "few", "0", "1.5", "100%", "100kHz", "1/100", "100kHz of 0Hz", "40MHz of 100kHz", "1% of 40MHz"],
)
def test_invalid_share_text_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_share(text, "--fpr")
    assert (caught.value.where, caught.value.found) == ("--fpr", text)


@pytest.mark.parametrize(("text", "number"), [("8k", 8000.0), ("2e4", 20_000.0), ("1.5M", 1.5e6), ("0", 0.0)])
def test_counts(text: str, number: float) -> None:
    assert count(text) == number


@pytest.mark.parametrize("text", ["", "few", "3 %", "1e999", "8kk"])
def test_invalid_count_text_is_refused(text: str) -> None:
    assert count(text) is None


def test_a_percentage_of_a_resource_is_a_share_of_the_part() -> None:
    part = sample_target()
    assert parse_bound("lut=10%", "--max", part) == ("lut", pytest.approx(part.lut / 10))
    assert limit_entry("max", "lut", "10%", "--max") == ("max_share", pytest.approx(0.1))
    assert limit_entry("max", "lut", "8k", "--max") == ("max", 8000.0)
    for kind, text in (("min", "10%"), ("max", "110%"), ("max", "-1%"), ("max", "few%")):
        with pytest.raises(UserError) as caught:
            limit_entry(kind, "lut", text, "--max")
        assert caught.value.found == f"lut={text}"
    with pytest.raises(UserError):
        parse_bound("lut=10%", "--max")


def test_other_percentages() -> None:
    assert parse_bound("accuracy=93%", "--min") == ("accuracy", pytest.approx(0.93))
    assert parse_bound("lut=8k", "--max") == ("lut", 8000.0)
    with pytest.raises(UserError) as caught:
        parse_bound("latency_cycles=10%", "--max")
    assert caught.value.found == "latency_cycles=10%"
