"""report.html in headless Chromium: it draws, its controls work, and it asks the network for nothing."""

# ruff: noqa: E501 (lines of JavaScript)
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from browser import Visit, needs_browser, visit
from synthetic_front import enlarged, make_front

from hwnas_hls.protocols.exporter import Front
from hwnas_hls.values.objective import Limit
from hwnas_hls_plugins.exporters.html_report import HtmlReportExporter

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
note.unlabelled = [...document.querySelectorAll("select, input")].filter((item) => !item.closest("label") && !item.getAttribute("aria-label")).length;
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

    assert note["closed"] == [False] * 7
    assert note["open"] is True
    assert note["unlabelled"] == 0
    assert note["printed"] is True
    assert note["print_width"] == 680


TABLE_PROBE = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const fill = async (table, column, words) => {
  const field = byId(table).querySelectorAll(".filters input")[column];
  field.value = words;
  field.dispatchEvent(new Event("input"));
  await wait(300);
  return field.getAttribute("aria-invalid");
};
const cells = (table, column) => [...byId(table).tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[column].firstChild.textContent);
const column = (table, title) => [...byId(table).tHead.rows[0].cells].findIndex((cell) => cell.textContent === title);
const sort = (table, place) => byId(table).tHead.rows[0].cells[place].querySelector("button").click();
const order = (table, place) => byId(table).tHead.rows[0].cells[place].getAttribute("aria-sort");
"""


def test_tables_are_sorted_and_filtered_by_their_columns(tmp_path: Path) -> None:
    front = make_front(200, members=7, synthesised=True)
    probe = (
        TABLE_PROBE
        + """
    const lut = column("front-designs", "LUT");
    note.came = cells("front-designs", 0);
    sort("front-designs", lut); note.up = cells("front-designs", lut); note.order = [order("front-designs", lut), order("front-designs", 0)];
    sort("front-designs", lut); note.down = cells("front-designs", lut);
    sort("front-designs", lut); note.back = cells("front-designs", 0);
    note.focusable = [...document.querySelectorAll("button.sort")].every((item) => item.tabIndex === 0 && item.type === "button");
    await fill("front-designs", column("front-designs", "checks"), "failed"); note.failed = cells("front-designs", 0).length;
    await fill("front-designs", column("front-designs", "checks"), "");

    const all = "all-candidates", cost = column(all, "LUT"), state = column(all, "state");
    note.first = cells(all, column(all, "accuracy"));
    note.words = byId("candidates-page").textContent;
    click(byId("page-after")); note.second = cells(all, column(all, "accuracy")); note.next_words = byId("candidates-page").textContent;
    note.before = { points: count("plot-front"), knobs: count("plot-knobs") };
    note.valid = await fill(all, cost, "<= 500"); note.cheap = cells(all, cost);
    note.narrowed = { points: count("plot-front"), knobs: count("plot-knobs"), note: byId("front-note").textContent };
    await fill(all, state, "stopp"); note.states = cells(all, state);
    await fill(all, state, ""); note.range_valid = await fill(all, cost, "300..500"); note.range = cells(all, cost);
    note.invalid = await fill(all, cost, ">= many"); note.status = [...document.querySelectorAll("[role=status]")].map((item) => item.textContent).join(" ");
    await fill(all, cost, ""); note.after = { points: count("plot-front"), knobs: count("plot-knobs") };
    pick("filter-knob", "depth"); pick("filter-value", "2"); note.knob = byId("candidates-page").textContent;
    await fill(all, cost, "5e2..9e2"); note.both = [count("plot-front"), byId("candidates-page").textContent];
    pick("filter-knob", "any knob"); note.column_alone = [count("plot-front"), byId("candidates-page").textContent];
    """
    )
    note = sound(visit(report(front, tmp_path), tmp_path / "visit", probe))

    def numbers(words: list[str]) -> list[float]:
        return [float(word.replace(",", "").removesuffix(" %")) for word in words if word != "–"]

    luts = sorted(member.estimates["lut"].value for member in front.members)
    assert numbers(note["up"]) == [pytest.approx(value, abs=0.6) for value in luts]
    assert note["order"] == ["ascending", "none"]
    assert note["down"] == note["up"][::-1]
    assert note["back"] == note["came"] == [m.key[:8] for m in front.members]
    assert note["focusable"] is True
    assert note["failed"] == sum(m.record.number % 5 == 0 for m in front.members)

    best = sorted(r.estimates["accuracy"].value for r in front.records if "accuracy" in r.estimates)[::-1]
    assert numbers(note["first"]) == [pytest.approx(100 * value, abs=0.06) for value in best[:25]]
    assert numbers(note["second"]) == [pytest.approx(100 * value, abs=0.06) for value in best[25:50]]
    assert (note["words"], note["next_words"]) == ("1 to 25 of 200", "26 to 50 of 200")
    luts = [r.estimates["lut"].value for r in front.records if "lut" in r.estimates]
    assert note["valid"] == note["range_valid"] == "false"
    assert len(note["cheap"]) == min(25, sum(value <= 500 for value in luts))
    assert max(numbers(note["cheap"])) <= 500
    assert note["narrowed"]["points"] < note["before"]["points"]
    assert note["narrowed"]["knobs"] < note["before"]["knobs"]
    assert "narrowed by the filters" in note["narrowed"]["note"]
    assert set(note["states"]) == {"stopped"}
    assert all(300 <= value <= 500 for value in numbers(note["range"]))
    assert note["invalid"] == "true"
    assert "“>= many” is not understood: write" in note["status"]
    assert note["after"] == note["before"]
    two = sum(r.candidate.values["depth"] == 2 for r in front.records)
    assert note["knob"].endswith(f" of {two}")

    # Where only one of two filters is left, plots and table forget the other.
    inside = [r for r in front.records if "lut" in r.estimates and 500 <= r.estimates["lut"].value <= 900]
    for (points, words), records in (
        (note["both"], [r for r in inside if r.candidate.values["depth"] == 2]),
        (note["column_alone"], inside),
    ):
        assert words.endswith(f" of {len(records)}")
        keys = {r.candidate.key for r in records}
        drawn = sum("accuracy" in r.estimates for r in records)
        assert points == drawn + sum(m.key in keys for m in front.members)


def test_hovered_candidate_is_marked_everywhere(tmp_path: Path) -> None:
    front = make_front(200, members=7, synthesised=True)
    probe = (
        TABLE_PROBE
        + """
    const ring = document.querySelector(".ring"), line = document.querySelector(".overlay polyline");
    const hot = () => [...document.querySelectorAll(".hot")].map((item) => item.id || (item.dataset.member !== undefined ? "row " + item.dataset.member : "candidate " + item.dataset.candidate));
    const corners = () => line.getAttribute("points").split(" ").filter(Boolean).length;
    const centre = (element) => { const box = element.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
    note.none = [ring.hidden, corners(), hot()];
    const trace = byId("plot-front").data.findIndex((item) => item.name === "on the front, predicted");
    const anchor = byId("plot-front").data[trace].customdata[0];
    const drawn = byId("plot-front").querySelectorAll(".scatterlayer .trace")[trace].querySelector(".point"), drag = byId("plot-front").querySelector(".nsewdrag");
    const mouse = async (kind) => { drag.dispatchEvent(new MouseEvent(kind, { clientX: centre(drawn)[0], clientY: centre(drawn)[1], bubbles: true })); await wait(200); };
    await mouse("mousemove");
    note.member = { anchor, hidden: ring.hidden, corners: corners(), hot: hot() };
    note.off = Math.hypot(centre(drawn)[0] - centre(ring)[0], centre(drawn)[1] - centre(ring)[1]);
    await mouse("mouseout");
    note.left = [ring.hidden, corners(), hot()];

    byId("front-designs").tBodies[0].rows[2].querySelector("a").focus();
    note.focused = [ring.hidden, hot()];
    document.activeElement.blur();

    const i = byId("plot-front").data[0].customdata[3];
    byId("plot-front").emit("plotly_click", { points: [{ customdata: i }] });
    note.chosen = { text: byId("chosen").textContent, row: hot().includes("candidate " + i), links: [...byId("chosen").querySelectorAll("a")].map((item) => item.hash) };
    pick("axis-x", "LUT");
    note.moved = ring.hidden;
    click(byId("chosen").querySelector("button"));
    note.cleared = [ring.hidden, corners(), hot(), byId("chosen").textContent];

    click(byId("all-candidates").tBodies[0].rows[0].querySelector("button"));
    note.from_row = [ring.hidden, byId("chosen").textContent.startsWith("Candidate") || byId("chosen").textContent.startsWith("Design")];
    byId("design-6").open = false;
    byId("plot-front").emit("plotly_click", { points: [{ customdata: "design-6" }] });
    await wait(50);
    note.card = { open: byId("design-6").open, hash: location.hash, stress: byId("stress").value, links: [...byId("chosen").querySelectorAll("a")].map((item) => item.hash) };
    """
    )
    note = sound(visit(report(front, tmp_path), tmp_path / "visit", probe))
    knobs = len(front.space.knobs)
    assert note["none"] == note["left"] == [True, 0, []]
    place = note["member"]["anchor"].removeprefix("design-")
    assert note["member"]["hidden"] is False
    assert note["member"]["corners"] == knobs
    assert {f"row {place}", f"design-{place}"} <= set(note["member"]["hot"])
    assert note["off"] < 2
    assert note["focused"][0] is False
    assert "row 2" in note["focused"][1]
    assert note["chosen"]["row"] is True
    assert note["chosen"]["links"] == ["#candidates", "#knobs"]
    assert "accuracy" in note["chosen"]["text"]
    assert "depth = " in note["chosen"]["text"]
    assert note["moved"] is False
    assert note["cleared"] == [True, 0, [], ""]
    assert note["from_row"] == [False, True]
    assert note["card"] == {
        "open": True,
        "hash": "#design-6",
        "stress": "6",
        "links": ["#design-6", "#candidates", "#knobs"],
    }


def test_a_distant_limit_is_named_and_does_not_change_the_axes(tmp_path: Path) -> None:
    front = make_front(100)
    far = dataclasses.replace(front.goal, limits=(Limit("lut", "max", 1_182_240),))
    probe = """
    pick("axis-x", "LUT");
    note.range = byId("plot-front").layout.xaxis.range;
    note.full = byId("plot-front")._fullLayout.xaxis.range;
    note.words = byId("front-note").textContent;
    """
    path = report(dataclasses.replace(front, goal=far), tmp_path)
    note = sound(visit(path, tmp_path / "visit", probe))
    assert note["full"][1] < 5.5
    assert "1,182,240" in note["words"]


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
    note.rows = byId("all-candidates").tBodies[0].rows.length;
    note.page = byId("candidates-page").textContent;
    const clicked = performance.now();
    byId("all-candidates").tHead.rows[0].cells[4].querySelector("button").click();
    note.sort_ms = performance.now() - clicked;
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
    assert "50,000" in note["words"]
    assert note["drawn_ms"] < 30_000
    assert (note["rows"], note["page"]) == (25, "1 to 25 of 50,000")
    assert note["sort_ms"] < 5_000
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


def test_hopeless_candidates_do_not_squeeze_the_front(tmp_path: Path) -> None:
    front = make_front(100, members=3)
    worst = min(member.estimates["accuracy"].value for member in front.members)
    low = dataclasses.replace(front.records[0].estimates["accuracy"], value=-9.0, low=-9.0, high=-9.0)
    first = dataclasses.replace(front.records[0], estimates={**front.records[0].estimates, "accuracy": low})
    probe = """
    pick("axis-x", "LUT");
    pick("axis-y", "accuracy");
    note.range = byId("plot-front")._fullLayout.yaxis.range;
    note.words = byId("front-note").textContent;
    note.points = count("plot-front");
    await Plotly.relayout("plot-front", { "yaxis.autorange": true });
    note.all = byId("plot-front")._fullLayout.yaxis.range;
    """
    path = report(dataclasses.replace(front, records=[first, *front.records[1:]]), tmp_path)
    note = sound(visit(path, tmp_path / "visit", probe))
    assert 0.0 < note["range"][0] < worst
    assert "1 of low score" in note["words"]
    assert note["all"][0] < -8.9
