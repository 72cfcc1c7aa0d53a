"""The front in the terminal, and how numbers are written there and in the report."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import pytest
from refusal import expect_mentioned
from rich.console import Console
from synthetic_front import HOSTILE, TARGET, make_front

from hwnas_hls.protocols.exporter import Front
from hwnas_hls.spec.notation import (
    SOURCE_MARKS,
    SOURCE_MEANINGS,
    basis,
    claims,
    duration,
    figure,
    interval,
    ladder,
    quantity,
    share,
    title,
)
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.estimate import METRICS, SOURCES, Estimate, measured
from hwnas_hls.values.objective import Limit, Objective
from hwnas_hls.values.run_facts import Chance, LeftOut, LeftOutKind
from hwnas_hls.views.front_summary import print_front
from hwnas_hls.views.front_table import front_table
from hwnas_hls_plugins.exporters.html_report.points import default_axes, head_metric, plotted_metrics
from hwnas_hls_plugins.exporters.html_report.verdict import useless, verdict

FOLDER = Path("runs/digits16-xcvu9p-001")


def printed(front: Front, terminal: bool = False) -> str:
    stream = io.StringIO()
    print_front(Console(file=stream, width=80, force_terminal=terminal), front, FOLDER)
    return stream.getvalue()


def rows(text: str) -> list[str]:
    return text.splitlines()[: text.splitlines().index("Next steps:")]


def test_one_line_a_design_within_80_columns() -> None:
    front = make_front(members=6, synthesised=True)
    lines = rows(printed(front))
    assert max(map(len, lines)) <= 80
    for line, member in zip(lines[1:7], front.members, strict=True):
        assert line.startswith(member.key[:8])
        assert line.rstrip().endswith("bit-exact" if member.checks["csim"].ok else "FAILED")
    expect_mentioned(" ".join(" ".join(lines).split()), ["p predicted", "c hls4ml", "h C synthesis"])


def test_wide_numbers_stay_within_80_columns() -> None:
    front = make_front(members=1)
    (member,) = front.members
    numbers = {
        **member.estimates,
        "lut": Estimate("lut", 1182240, 123456, 11822400, "predicted", "laws", 0.9, in_domain=False),
        "latency_ns": measured("latency_ns", 12345.0, "csynth", "report"),
        "dsp": measured("dsp", 12288, "csynth", "report"),
    }
    front = dataclasses.replace(front, members=[dataclasses.replace(member, estimates=numbers)])
    text = "\n".join(rows(printed(front)))
    assert max(map(len, text.splitlines())) <= 80
    for words in ("12,288 h", "12,345 h", "1,182,240 (123k-11.8M)? p"):
        assert words in text


def test_a_prediction_shows_interval_domain_and_mark() -> None:
    front = make_front(members=1)
    lut = front.members[0].estimates["lut"]
    line = rows(printed(front))[1]
    assert f"{lut.value:,.0f} (" in line
    assert ")? p" in line
    known = Estimate("lut", 1000, 900, 1100, "predicted", "laws", 0.9)
    member = dataclasses.replace(front.members[0], estimates={**front.members[0].estimates, "lut": known})
    line = rows(printed(dataclasses.replace(front, members=[member])))[1]
    assert "1,000 (900-1.1k) p" in line


def test_a_design_that_is_not_bit_exact_is_highlighted() -> None:
    front = make_front(members=4)
    text = printed(front)
    for member in front.members:
        said = [
            line for line in text.splitlines() if member.key[:8] in line and "3 of 30 rows differ" in line
        ]
        assert bool(said) == (not member.checks["csim"].ok)


def test_check_not_run_is_shown() -> None:
    front = make_front(members=1)
    member = dataclasses.replace(front.members[0], checks={"csim": not_run("no g++")})
    text = printed(dataclasses.replace(front, members=[member]))
    assert rows(text)[1].rstrip().endswith("not run")
    assert "FAILED" not in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"feasible": False}, "lut <= 20000"),
        ({"candidates": 0}, "Next steps:"),
        ({"members": 0}, "31 complete, 15 infeasible, 7 stopped, 7 failed"),
    ],
    ids=str,
)
def test_fronts_without_designs(settings: dict[str, Any], words: str) -> None:
    text = printed(make_front(**settings))
    assert words in text
    assert "Next steps:" in text


def test_limits_become_flags_of_validate() -> None:
    front = make_front(members=1)
    part = Limit("lut", "max", float(front.target.lut))
    assert claims(front.target, [part]) == "--max-latency 1us"
    asked = [part, Limit("dsp", "max", 0.0), Limit("latency_ns", "max", 250.0), Limit("accuracy", "min", 0.9)]
    assert claims(front.target, asked) == "--max dsp=0 --max-latency 250ns --min accuracy=0.9"
    assert claims(front.target, [Limit("latency_ns", "max", 1500.0)]) == "--max-latency 1.5us"


def test_binding_limits_are_listed_with_the_values_found() -> None:
    text = " ".join(printed(make_front(feasible=False)).split())
    assert re.search(r"lut <= 20000: [\d,]+ \([\d.k]+-[\d.k]+\)\?? p", text)
    assert "p predicted" in text
    assert ("? p" in text) == ("? outside" in text)


def test_lattice_parts_have_no_use_for_vitis(tmp_path: Path) -> None:
    front = make_front(candidates=8, members=1)
    front = dataclasses.replace(front, target=dataclasses.replace(front.target, family="ecp5"))
    key = front.members[0].key

    def shown() -> str:
        stream = io.StringIO()
        print_front(Console(file=stream, width=400), front, tmp_path)
        return stream.getvalue()

    assert "vitis-run" not in shown()
    assert "make -C" not in shown()
    (tmp_path / "designs" / key / "rtl").mkdir(parents=True)
    assert f"make -C {tmp_path}/designs/{key}/rtl sim SIM=icarus" in shown()


def test_next_commands_are_printed() -> None:
    front = make_front(members=2)
    text = printed(front)
    key = front.members[0].key
    limits = claims(front.target, front.goal.limits)
    assert "--max lut=" in limits
    assert f"  hwnas-hls validate {FOLDER}/designs/{key} {limits}\n" in text
    assert f"  cd {FOLDER}/designs/{key}/hls4ml && vitis-run --tcl build_prj.tcl --mode hls" in text
    infeasible = make_front(feasible=False)
    over = sum("lut <= 20000" in record.violations for record in infeasible.records)
    nearest = sum("lut <= 20000" in record.violations for record in infeasible.least_infeasible)
    assert over > nearest  # the advice counts all candidates, not those that are nearest to feasible
    advice = f"relax lut <= 20000: violated by {over} candidates of {len(infeasible.records)}"
    assert advice in printed(infeasible)
    assert f"hwnas-hls resume {FOLDER}" in printed(make_front(run={"finished": False}))


def test_no_colour_without_a_terminal_and_no_markup_from_data() -> None:
    front = make_front(metric="rmse", members=2)
    assert "\x1b" not in printed(front)
    bold = printed(make_front(members=2), terminal=True)
    assert "\x1b[" in bold
    member = dataclasses.replace(
        front.members[0], checks={"csim": failure(f"[bold]1[/bold] \x1b[2J row differs {HOSTILE}")}
    )
    text = printed(dataclasses.replace(front, members=[member]))
    assert "[bold]1[/bold] ?[2J row differs" in text


def test_own_objectives_come_first_in_table_and_report() -> None:
    front = make_front(members=3)
    extra = {
        member.key: Estimate("auc", 0.9 + place / 100, 0.88, 0.99, "csim", "rows", 0.9)
        for place, member in enumerate(front.members)
    }
    members = [dataclasses.replace(m, estimates={**m.estimates, "auc": extra[m.key]}) for m in front.members]
    objectives = (Objective("auc", "max", 1.0, 0.5, log=True), Objective("lut", "min", 10.0, 1e6, log=True))
    front = dataclasses.replace(
        front, members=members, goal=dataclasses.replace(front.goal, objectives=objectives)
    )
    assert rows(printed(front))[0].split()[:4] == ["design", "AUC", "LUT", "accuracy"]
    assert default_axes(front, plotted_metrics(front)) == ("lut", "auc")
    assert head_metric(front) == "auc"
    assert "The best by AUC: 0.92" in " ".join(verdict(front, ()))


def test_warnings_are_printed_once_and_search_weights_marked() -> None:
    front = make_front(members=3)
    ok = dict.fromkeys(("alive", "limits", "project", "csim"), PASSED)
    members = [dataclasses.replace(m, warnings=("note fast-clock",), checks=ok) for m in front.members]
    kept = dataclasses.replace(members[1].design, meta={"weights_of": "search"})
    members[1] = dataclasses.replace(members[1], design=kept)
    text = printed(dataclasses.replace(front, members=members))
    assert text.count("fast-clock") == 1
    assert "all designs: note fast-clock" in text
    assert rows(text)[2].rstrip().endswith("bit-exact s")
    assert rows(text)[1].rstrip().endswith("bit-exact")
    assert "s weights of the search" in " ".join(text.split())


def test_exact_number_has_no_brackets() -> None:
    front = make_front(members=1)
    dsp = Estimate("dsp", 0, 0, 0, "predicted", "laws", 0.8)
    member = dataclasses.replace(front.members[0], estimates={**front.members[0].estimates, "dsp": dsp})
    line = rows(printed(dataclasses.replace(front, members=[member])))[1]
    assert " 0 p " in line
    assert "(0-0)" not in line


def test_front_table_has_a_row_a_member() -> None:
    assert front_table(make_front(members=4)).row_count == 4


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.9512, "95.1 %"),
        ("lut", 3120.4, "3,120"),
        ("lut", 364.5, "364"),
        ("dsp", 0.8, "0.8"),
        ("latency_ns", 35.0, "35"),
        ("latency_ns", 208.99999999999997, "209"),
        ("latency_ns", 112.5, "112.5"),
        ("energy_pj", 9.7e11, "9.7e+11"),
        ("rmse", 0.012345, "0.0123"),
        ("lut", float("inf"), "unbounded"),
        ("lut", None, "unknown"),
    ],
)
def test_figures(name: str, value: float | None, text: str) -> None:
    assert figure(name, value) == text


def test_words_for_metrics_and_quantities() -> None:
    assert title("latency_ns") == "latency (ns)"
    assert title("jitter_ns") == "jitter (ns)"
    assert title("area_under_curve") == "area under curve"
    assert quantity("latency_ns", 35) == "35 ns"
    assert quantity("lut", 3120) == "3,120 LUT"
    assert [quantity("latency_cycles", count) for count in (1, 21)] == ["1 cycle", "21 cycles"]
    assert (duration(3.21), duration(200), duration(7300)) == ("3.2 s", "3 min 20 s", "2 h 1 min")
    for name in METRICS:
        assert title(name)


def test_intervals_state_their_coverage() -> None:
    known = Estimate("lut", 100, 80, 130, "predicted", "laws", 0.8)
    assert interval(known) == "80 to 130"
    assert basis(known) == "80 % interval, calibrated"
    assert basis(dataclasses.replace(known, in_domain=False)).endswith("outside the calibrated domain")
    assert basis(dataclasses.replace(known, coverage=None)) == "uncalibrated"
    assert interval(measured("lut", 100, "csynth", "report")) == ""
    assert interval(measured("dsp", 0, "predicted", "laws")) == "0 to 0"
    counted = measured("parameters", 149, "counted", "the layer list")
    assert (interval(counted), basis(counted)) == ("", "counted")


def test_shares_of_the_part() -> None:
    assert share(TARGET, "lut", 11822.4) == "1 %"
    assert share(TARGET, "lut", 1) == "< 0.01 %"
    assert share(TARGET, "dsp", 0) == "0 %"
    assert share(TARGET, "lut", float("inf")) == "unbounded"
    assert share(dataclasses.replace(TARGET, uram=0), "uram", 1) == "the part has none"
    assert share(TARGET, "accuracy", 1) == ""


def test_every_source_has_description_mark_and_rank() -> None:
    assert set(SOURCE_MEANINGS) == set(SOURCE_MARKS) == set(SOURCES)
    assert len(set(SOURCE_MARKS.values())) == len(SOURCES)
    front = make_front(members=1, synthesised=False)
    rungs = ladder(front.members[0].estimates)
    assert [rung.source for rung in rungs] == list(SOURCES)
    assert {rung.source for rung in rungs if rung.metrics} == {"predicted", "csim"}


def test_a_constant_design_is_red_and_shown_with_chance() -> None:
    left_out = {
        "a" * 16: LeftOut(LeftOutKind.USELESS, "its outputs are the same for all of 4136 inputs"),
        "b" * 16: LeftOut(LeftOutKind.DOMINATED, "another is as good"),
    }
    chance = Chance("accuracy", 0.25, 0.02, "always no")
    front = make_front(run={"left_out": left_out, "chance": chance})
    assert useless(front) == ["a" * 16]
    said = " ".join(verdict(front, ()))
    expect_mentioned(said, ["a" * 16, left_out["a" * 16].reason, "25.0 %", "always no"])
    assert "b" * 16 not in said


def test_standard_error_is_printed_below_table() -> None:
    front = make_front(members=2)
    errors = [(m.estimates["accuracy"].high - m.estimates["accuracy"].low) / 3.29 for m in front.members]
    text = " ".join(printed(front).split())
    assert f"One standard error of accuracy on the test rows: {100 * min(errors):.1f}" in text
    assert "percentage points" in text
