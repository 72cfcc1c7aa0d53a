"""report.html in headless Chromium: it draws, its controls work, and it asks the network for nothing."""

# ruff: noqa: E501 (lines of JavaScript)
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import Visit, needs_browser, visit
from synthetic_front import enlarged, make_front

from hwnas_hls.exporter import Front
from hwnas_hls_plugins.html_report import HtmlReportExporter

pytestmark = needs_browser


def report(front: Front, folder: Path) -> Path:
    (path,) = HtmlReportExporter().export(front, folder)
    return Path(path)


def sound(found: Visit) -> dict[str, Any]:
    """The notes of a visit in which nothing went wrong."""
    assert found.note["errors"] == ""
    assert found.note.get("probe_error") is None
    assert found.requests == []
    assert found.note["fetched"] == []
    assert found.note["overflow_px"] <= 0
    return found.note


DESKTOP_PROBE = """
note.before = { points: count("plot-front"), knobs: count("plot-knobs"), names: names("plot-front"), x: byId("plot-front").layout.xaxis.title.text };
note.bars = byId("plot-front").data.slice(-2).map((trace) => Math.max(...trace.error_x.array));
Plotly.Fx.hover("plot-front", [{ curveNumber: 0, pointNumber: 0 }]);
note.hover = byId("plot-front").querySelector(".hoverlayer").textContent;
pick("axis-x", "LUT");
note.axis = byId("plot-front").layout.xaxis.title.text;
note.lines = byId("plot-front").layout.shapes.length;
note.log = byId("plot-front").layout.xaxis.type;
click(byId("log-x"));
note.linear = byId("plot-front").layout.xaxis.type;
document.querySelectorAll(".state").forEach(click);
note.alone = names("plot-front");
document.querySelectorAll(".state").forEach(click);
note.all = count("plot-front");
pick("filter-knob", "depth");
pick("filter-value", "2");
note.filtered = { points: count("plot-front"), knobs: count("plot-knobs"), note: byId("front-note").textContent };
pick("filter-knob", "any knob");
note.unfiltered = count("plot-front");
pick("stress", [...byId("stress").options][2].text);
note.stressed = byId("plot-knobs").data.slice(1, -1).map((trace) => trace.line.width);
pick("parity-metric", "LUT");
note.parity = { x: byId("plot-parity").layout.xaxis.title.text, points: byId("plot-parity").data[1].x.length };
note.closed = [...document.querySelectorAll(".card")].map((card) => card.open);
location.hash = "design-5";
await new Promise((done) => setTimeout(done, 50));
note.open = byId("design-5").open;
note.unlabelled = [...document.querySelectorAll("select, input")].filter((item) => !item.closest("label")).length;
window.dispatchEvent(new Event("beforeprint"));
note.printed = [...document.querySelectorAll("details")].every((item) => item.open);
note.print_width = byId("plot-front").layout.width;
window.dispatchEvent(new Event("afterprint"));
"""


def test_controls_on_a_desktop(tmp_path: Path) -> None:
    front = make_front(200, members=7, synthesised=True)
    path = report(front, tmp_path)
    note = sound(visit(path, tmp_path / "visit", DESKTOP_PROBE))
    assert note["drawn"] == 5
    assert note["svgs"] == 15
    assert not any("share" in title.lower() or "cloud" in title.lower() for title in note["buttons"])

    complete = sum("accuracy" in record.estimates for record in front.records)
    assert note["before"]["points"] == complete + 7
    assert note["before"]["x"] == "latency (ns)"
    assert note["before"]["names"] == [
        "complete",
        "stopped",
        "on the front, predicted",
        "on the front, measured",
    ]
    assert note["bars"][0] > 0
    assert note["bars"][1] == 0
    assert note["hover"].startswith("candidate ")

    assert (note["axis"], note["log"], note["linear"], note["lines"]) == ("LUT", "log", "linear", 1)
    assert note["alone"] == ["on the front, predicted", "on the front, measured"]
    assert note["all"] == note["unfiltered"] == complete + 7
    two = [r for r in front.records if r.candidate.values["depth"] == 2]
    members = [m for m in front.members if m.candidate.values["depth"] == 2]
    shown = sum("accuracy" in record.estimates for record in two)
    assert note["filtered"]["points"] == shown + len(members)
    assert note["filtered"]["note"].startswith(f"{shown} of 200 candidates")
    assert 0 < note["filtered"]["knobs"] < note["before"]["knobs"]
    assert note["stressed"] == [2.5, 5, 2.5, 2.5, 2.5, 2.5, 2.5]
    measured = sum(m.estimates["lut"].source == "csynth" for m in front.members)
    assert note["parity"] == {"x": "measured LUT", "points": measured}

    assert note["closed"] == [True] * 3 + [False] * 4
    assert note["open"] is True
    assert note["unlabelled"] == 0
    assert note["printed"] is True
    assert note["print_width"] == 680


def test_a_phone_scrolls_downwards_only(tmp_path: Path) -> None:
    path = report(make_front(300, members=5, synthesised=True), tmp_path)
    probe = """
    document.querySelectorAll("details").forEach((item) => { item.open = true; });
    await new Promise((done) => setTimeout(done, 100));
    note.overflow_px = Math.max(note.overflow_px, document.documentElement.scrollWidth - document.documentElement.clientWidth);
    note.widest = Math.max(...["plot-front", "plot-hv-time"].map((id) => byId(id).querySelector(".main-svg").getBoundingClientRect().right));
    note.small = [...document.querySelectorAll("select, nav a")].map((item) => item.getBoundingClientRect().height).filter((height) => height < 36).length;
    """
    note = sound(visit(path, tmp_path / "visit", probe, width=390, height=844))
    assert note["width_px"] <= 390
    assert note["widest"] <= note["width_px"]
    assert note["small"] == 0


def test_fifty_thousand_candidates_stay_usable(tmp_path: Path) -> None:
    front = enlarged(make_front(600, members=10), 50_000)
    probe = """
    note.points = count("plot-front");
    note.words = byId("front-note").textContent;
    const began = performance.now();
    pick("axis-x", "LUT");
    note.switch_ms = performance.now() - began;
    const before = count("plot-front");
    await Plotly.relayout("plot-front", { "xaxis.range[0]": 2.8, "xaxis.range[1]": 3.0, "yaxis.range[0]": 0.8, "yaxis.range[1]": 0.95 });
    note.zoomed = byId("plot-front").data.filter((t) => t.name === "complete").flatMap((t) => t.x);
    note.range = byId("plot-front").layout.xaxis.range;
    """
    note = sound(visit(report(front, tmp_path), tmp_path / "visit", probe))
    assert 500 < note["points"] < 20_000
    assert "of 50,000 candidates on these axes; one mark stands for all" in note["words"]
    assert note["drawn_ms"] < 30_000
    assert note["switch_ms"] < 10_000
    assert note["range"] == [2.8, 3.0]
    assert len(note["zoomed"]) > 100
    # A cell at the edge may reach a little beyond it.
    assert min(note["zoomed"]) >= 10**2.8 * 0.99
    assert max(note["zoomed"]) <= 10**3.0 * 1.01


@pytest.mark.parametrize(
    ("settings", "plots"),
    [
        ({"candidates": 0}, 2),
        ({"candidates": 200, "feasible": False}, 4),
        ({"candidates": 10, "members": 1, "metric": "rmse"}, 4),
    ],
    ids=["nothing", "infeasible", "one design, regression"],
)
def test_other_outcomes_draw_without_errors(settings: dict[str, Any], plots: int, tmp_path: Path) -> None:
    note = sound(visit(report(make_front(**settings), tmp_path), tmp_path / "visit"))
    assert note["drawn"] == plots


def test_the_test_itself_would_see_a_request_and_an_error(tmp_path: Path) -> None:
    leaking = tmp_path / "leaking.html"
    leaking.write_text(
        "<!DOCTYPE html><html><body><script>addEventListener('error', (e) => { document.documentElement"
        ".dataset.errors = e.message; });</script><script>missing();</script>"
        "<img src='http://leak.invalid/a.png'></body></html>"
    )
    found = visit(leaking, tmp_path / "visit")
    assert found.requests == ["http://leak.invalid/a.png"]
    assert "missing is not defined" in found.note["errors"]
