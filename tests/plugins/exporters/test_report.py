"""report.html: what it says, and that nothing in it can be mistaken for markup."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from refusal import expect_mentioned
from synthetic_front import HOSTILE, enlarged, make_front

from hwnas_hls.protocols.exporter import Comparison, Exporter, Front
from hwnas_hls.render import environment, render
from hwnas_hls.spec.notation import figure, interval, quantity, title
from hwnas_hls.values.check import PASSED, not_run
from hwnas_hls.values.estimate import SOURCES, Estimate, measured
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls_plugins.exporters.html_report import HtmlReportExporter
from hwnas_hls_plugins.exporters.html_report.points import INACTIVE, LETTERS
from hwnas_hls_plugins.exporters.html_report.verdict import bindings, reasons

_VOID = {"meta", "link", "input", "br", "circle", "path", "img", "option"}


class Page(HTMLParser):
    """The document as elements and text; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(name)) is not None]

    @property
    def payload(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(
            next(text for text in self.scripts if text.startswith('{"metrics"'))
        )
        return data


@pytest.fixture(autouse=True)
def small_plotly(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The library's five megabytes say nothing about the page; one test puts them in."""
    if "whole" not in request.node.name:
        monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")


def opened(front: Front, folder: Path) -> Page:
    (path,) = HtmlReportExporter().export(front, folder)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_whole_file_holds_its_library_and_asks_for_nothing(tmp_path: Path) -> None:
    (path,) = HtmlReportExporter().export(make_front(), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert "plotly.js v" in text
    page = Page(text)
    assert len(page.scripts) == 4
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "iframe", "object", "embed", "base"}
    assert all("src" not in attrs for tag, attrs in page.elements)
    assert all(link.startswith("#") or link == "data:," for link in page.attributes("href"))
    policy = next(attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs)
    assert "default-src 'none'" in str(policy)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    front = make_front()
    space_doc = dataclasses.replace(front, spec=f"</pre>{HOSTILE}</script>")
    page = opened(space_doc, tmp_path)
    assert len(page.scripts) == 4, "a name became a script"
    assert page.text.count(HOSTILE) >= 4
    raw = (tmp_path / "report.html").read_text()
    assert HOSTILE not in raw
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_hostile_keys_in_the_payload_cannot_end_the_script(tmp_path: Path) -> None:
    front = make_front()
    metric = "</script><script>alert(1)</script><!--"
    records = [
        dataclasses.replace(r, estimates={**r.estimates, metric: measured(metric, 1.0, "predicted", "x")})
        for r in front.records
    ]
    page = opened(dataclasses.replace(front, records=records), tmp_path)
    assert len(page.scripts) == 4
    assert metric in page.payload["candidates"]["values"]


def test_ids_are_unique_and_links_lead_somewhere(tmp_path: Path) -> None:
    page = opened(make_front(members=6, synthesised=True), tmp_path)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [link[1:] for link in page.attributes("href") if link.startswith("#")]
    assert len(targets) >= 6 + 6
    assert set(targets) <= set(ids)


def test_every_number_has_interval_source_and_evidence(tmp_path: Path) -> None:
    front = make_front(members=2)
    text = opened(front, tmp_path).text
    for member in front.members:
        card = text[text.index(f"{member.key} {member.design.architecture.shape} ") :]
        for name, estimate in member.estimates.items():
            assert figure(name, estimate.value) in card
            assert estimate.evidence in card
            assert estimate.source in card
            assert interval(estimate) in card
        places = [
            card.index(f" {title(name)} {figure(name, member.estimates[name].value)} ")
            for name in ("accuracy", "latency_ns", "lut", "energy_pj")
        ]
        assert places == sorted(places)
    assert "90 %" in text
    assert all(source in text for source in SOURCES)


def test_every_layer_is_in_its_card(tmp_path: Path) -> None:
    front = make_front(members=1)
    (member,) = front.members
    text = opened(front, tmp_path).text
    rows = text[text.index("reuse factor strategy zero weights") : text.index("Evidence, weakest")]
    for layer, (_, accum, result) in zip(
        member.design.architecture.layers, member.design.layer_types(), strict=True
    ):
        row = f"{layer.n_in} → {layer.n_out} {layer.activation} {layer.weight} {layer.bias} {accum} {result} "
        assert row in rows
        rows = rows[rows.index(row) + len(row) :]


def test_the_drawing_has_a_column_a_layer(tmp_path: Path) -> None:
    front = make_front(members=1)
    page = opened(front, tmp_path)
    circles = [attrs for tag, attrs in page.elements if tag == "circle" and attrs["class"] != "gap"]
    widths = [16, *(layer.n_out for layer in front.members[0].design.architecture.layers)]
    assert len({attrs["cx"] for attrs in circles}) == len(widths)
    assert len(circles) == sum(width if width <= 7 else 6 for width in widths)


def test_the_verdict_counts_and_names(tmp_path: Path) -> None:
    front = make_front(members=4)
    text = opened(front, tmp_path).text
    expect_mentioned(text, ["4 designs", "1 µs"])
    best = max(front.members, key=lambda member: member.estimates["accuracy"].value)
    expect_mentioned(text, [f"accuracy: {figure('accuracy', best.estimates['accuracy'].value)}"])
    wrong = [member.key for member in front.members if not member.checks["csim"].ok]
    expect_mentioned(text, [f"{len(wrong)} designs", ", ".join(wrong), "✗ csim: 3 of 30 rows differ"])


def test_sub_microsecond_needs_whole_interval(tmp_path: Path) -> None:
    front = make_front(members=2)
    slow = Estimate("latency_ns", 900, 700, 1100, "predicted", "laws", 0.9)
    first = dataclasses.replace(
        front.members[0], estimates={**front.members[0].estimates, "latency_ns": slow}
    )
    text = opened(dataclasses.replace(front, members=[first, front.members[1]]), tmp_path).text
    expect_mentioned(text, ["2 designs", "1 of them"])


def test_check_not_run_is_neither_passed_nor_failed(tmp_path: Path) -> None:
    front = make_front(members=1)
    member = dataclasses.replace(front.members[0], checks={"project": PASSED, "csim": not_run("no g++")})
    text = opened(dataclasses.replace(front, members=[member]), tmp_path).text
    assert "○ csim: not run: no g++" in text
    expect_mentioned(text, ["1 design lacks"])


def test_without_a_feasible_design_the_binding_limit_is_named(tmp_path: Path) -> None:
    front = make_front(200, feasible=False)
    text = opened(front, tmp_path).text
    expect_mentioned(text, ["200 candidates"])
    assert re.search(r"lut <= 20000, .* 175 candidates; .* 10 %\.", text)
    assert front.least_infeasible[0].key in text
    assert re.search(r"lut <= 20000 \(found [\d,]+, [\d,]+ to [\d,]+\), latency_ns <= 100 \(found ", text)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": 0}, "31 candidates"),
        ({"metric": "rmse", "members": 3}, "RMSE:"),
        ({"members": 1, "candidates": 10}, "1 design"),
        ({"run": {"finished": False}}, "hwnas-hls resume"),
    ],
    ids=str,
)
def test_other_outcomes(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in opened(make_front(**settings), tmp_path).text


def test_a_task_can_define_that_lower_is_better(tmp_path: Path) -> None:
    front = make_front(metric="rmse", members=3)
    best = min(front.members, key=lambda member: member.estimates["rmse"].value)
    expect_mentioned(
        opened(front, tmp_path).text, [f"The best by RMSE: {quantity('rmse', best.estimates['rmse'].value)}"]
    )


def test_all_failed(tmp_path: Path) -> None:
    front = make_front(4)
    records = [
        Record(r.number, 0, r.candidate, RecordState.FAILED, reason="no memory") for r in front.records
    ]
    front = dataclasses.replace(front, members=[], records=records, trace=[])
    text = opened(front, tmp_path).text
    expect_mentioned(text, ["4 candidates", "failed 4 no memory"])


def test_reasons_that_differ_in_figures_are_one() -> None:
    grouped, left_out = reasons(make_front(160).records)
    assert left_out == 0
    assert [(reason.state, reason.count) for reason in grouped] == [
        ("failed", 10),
        ("failed", 10),
        ("infeasible", 40),
        ("stopped", 20),
    ]
    assert sum(reason.count for reason in grouped) == 80


def test_bindings_are_ordered_by_how_often_they_bind() -> None:
    found = bindings(make_front(64))
    assert [(item.limit, item.count) for item in found] == [("lut <= 20000", 16), ("latency_ns <= 100", 4)]
    assert found[0].nearest == pytest.approx(0.10)


def test_payload_is_the_run(tmp_path: Path) -> None:
    front = make_front(60, members=4)
    data = opened(front, tmp_path).payload
    cloud = data["candidates"]
    assert len(cloud["state"]) == 60
    for place, record in enumerate(front.records):
        assert data["states"][int(cloud["state"][place])] == record.state
        assert cloud["key"][8 * place : 8 * place + 8] == record.key[:8]
        for name, column in cloud["values"].items():
            if name in record.estimates:
                assert column[place] == pytest.approx(record.estimates[name].value, rel=1e-4)
            else:
                assert column[place] is None
        for knob in data["knobs"]:
            letter = knob["column"][place]
            if knob["name"] not in record.candidate.values:
                assert letter in (INACTIVE, None)
            elif "choices" in knob:
                assert knob["choices"][LETTERS.index(letter)] == str(record.candidate.values[knob["name"]])
    assert data["axes"] == ["latency_ns", "accuracy"]
    assert {knob["name"] for knob in data["knobs"]} == {knob.name for knob in front.space.knobs}
    assert data["trace"]["candidates"] == [point[0] for point in front.trace]


def test_fifty_thousand_candidates_stay_a_file_of_a_few_megabytes(tmp_path: Path) -> None:
    front = enlarged(make_front(600), 50_000)
    page = opened(front, tmp_path)
    assert len(page.payload["candidates"]["state"]) == 50_000
    assert (tmp_path / "report.html").stat().st_size < 6e6


def test_parity_compares_what_was_predicted_and_measured(tmp_path: Path) -> None:
    front = make_front(members=6, synthesised=True)
    old = Comparison(
        "0123456789abcdef",
        Estimate("lut", 1000, 900, 1100, "predicted", "laws", 0.9),
        measured("lut", 1500, "post_route", "report"),
    )
    page = opened(dataclasses.replace(front, syntheses=[old]), tmp_path)
    rows = page.text[page.text.index("Predictions against measurements") :]
    assert "01234567 LUT 1,000 900 to 1,100 1,500 post_route ✗ no" in rows
    assert re.search(r"LUT: \d of \d inside", rows)
    zero = Comparison(
        "f" * 16,
        Estimate("dsp", 0, 0, 0, "predicted", "laws", 0.9),
        measured("dsp", 0, "post_route", "report"),
    )
    with_zero = opened(dataclasses.replace(front, syntheses=[old, zero]), tmp_path).text
    assert "ffffffff DSP" not in with_zero
    assert "1 of resources that are predicted and measured as 0" in with_zero
    measured_members = [m for m in front.members if m.estimates["lut"].source == "csynth"]
    assert measured_members
    assert len(page.payload["comparisons"]) == 1 + 2 * len(measured_members)
    assert "Predictions against" not in opened(make_front(), tmp_path).text


def test_shares_of_the_layers_where_an_estimator_gives_them(tmp_path: Path) -> None:
    front = make_front(members=1)
    (member,) = front.members
    layers = len(member.design.architecture.layers)
    parts = [{"lut": measured("lut", 100.0 * (k + 1), "predicted", "laws")} for k in range(layers)]
    member = dataclasses.replace(member, layer_estimates=parts)
    text = opened(dataclasses.replace(front, members=[member]), tmp_path).text
    assert "share of LUT" in text
    assert f"{100 * 1 / sum(range(1, layers + 1)):.0f} % (100)" in text


def test_files_and_commands_come_from_the_folder(tmp_path: Path) -> None:
    front = make_front(members=2)
    first, second = (member.key for member in front.members)
    project = tmp_path / "designs" / first / "elsewhere"
    project.mkdir(parents=True)
    (project / "build_prj.tcl").write_text("")
    (project.parent / "design.json").write_text("{}")
    text = opened(front, tmp_path).text
    assert f"cd designs/{first}/elsewhere && vitis-run --tcl build_prj.tcl --mode hls" in text
    assert f"cd designs/{second}/hls4ml && vitis-run --tcl build_prj.tcl --mode hls" in text
    assert "Files: elsewhere/ , design.json" in text
    assert f"hwnas-hls validate designs/{first} --max lut=20000 --max-latency 100ns" in text


def test_huge_and_open_numbers(tmp_path: Path) -> None:
    front = make_front(members=1)
    (member,) = front.members
    numbers = {
        **member.estimates,
        "lut": Estimate("lut", 1e300, 0, float("inf"), "predicted", "laws"),
        "bit_operations": measured("bit_operations", 10.0**18, "predicted", "counted"),
    }
    page = opened(
        dataclasses.replace(front, members=[dataclasses.replace(member, estimates=numbers)]), tmp_path
    )
    assert "0 to unbounded" in page.text
    assert "(up to unbounded)" in page.text
    assert page.payload["members"][0]["metrics"]["lut"]["high"] is None
    assert "1e+18" in page.text


def test_templates_are_strict_and_escape_markup_only() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("report/card.html.j2", item={})
    assert environment().autoescape("report/report.html.j2")  # type: ignore[operator]
    assert not environment().autoescape("synth/build.tcl.j2")  # type: ignore[operator]


def test_it_is_an_exporter() -> None:
    assert isinstance(HtmlReportExporter(HtmlReportExporter.Config()), Exporter)
    assert HtmlReportExporter.name == "html-report"
