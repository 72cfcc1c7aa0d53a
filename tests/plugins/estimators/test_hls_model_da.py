"""Distributed arithmetic with known weights: da4ml's own cost behind the hardware model."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from hwnas_hls.hls4ml.folder import read_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.project import write_project
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.estimators.hls_model import Prediction, Query, da_refinement, predict, query_of
from hwnas_hls_plugins.estimators.hls_model.da_refinement import design_of, refinable
from hwnas_hls_plugins.estimators.hls_model.rows_file import write_predictions
from hwnas_hls_plugins.estimators.hls_model.text_table import prediction_json, prediction_text
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law

needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")
PART = "xcvu9p-flga2104-2L-e"


def _design(seed: int = 1, strategy: str = "distributed_arithmetic", activation: str = "linear") -> Design:
    rng = np.random.default_rng(seed)
    weight, bias = FixedType(5, 2), FixedType(8, 4)
    layers = (
        Dense(16, 12, "relu", weight, bias, None, FixedType.parse("ufixed<6,3,RND,SAT>"), strategy=strategy),
        Dense(12, 5, activation, weight, bias, strategy=strategy),
    )
    return Design(
        Architecture(FixedType(6, 3), layers, 5.0),
        tuple(rng.integers(-16, 16, (layer.n_in, layer.n_out)) for layer in layers),
        tuple(rng.integers(-100, 100, layer.n_out) for layer in layers),
    )


def _query(design: Design, stage: str = "logic_synth") -> Query:
    return query_of(design.architecture, PART, stage=stage, design=design)


def test_only_implemented_designs_of_distributed_arithmetic_with_weights() -> None:
    design = _design()
    assert refinable(_query(design))
    assert refinable(_query(design, "post_route"))
    assert not refinable(_query(design, "csynth"))
    assert not refinable(query_of(design.architecture, PART, stage="logic_synth"))
    mixed = _query(design)
    first, last = mixed.layers
    assert not refinable(
        dataclasses.replace(mixed, layers=(first, dataclasses.replace(last, strategy="Latency")))
    )


def test_a_query_gives_the_design_back() -> None:
    design = _design()
    back = design_of(_query(design))
    assert back.layer_types() == design.layer_types()
    for one, other in zip((*back.weights, *back.biases), (*design.weights, *design.biases), strict=True):
        np.testing.assert_array_equal(one, other)


@needs_da4ml
def test_the_numbers_are_da4mls_own() -> None:
    design = _design()
    # A project states its accumulators, after which the result is rounded: no offset in the bias.
    truth = cost(design_of(_query(design)), 5.0, None)
    queries = [_query(design), _query(design, "post_route"), _query(design, "csynth")]
    logic, routed, csynth = predict(queries, solve=True)
    assert logic.metrics["lut"].value == round(truth.cost_lut)
    assert routed.metrics["lut"].value == round(1.05 * truth.cost_lut)
    for found in (logic, routed):
        assert found.metrics["latency_cycles"].value == truth.stages
        assert found.metrics["latency_ns"].value == truth.stages * 5.0
        assert found.metrics["ff"].low <= found.metrics["ff"].value <= truth.register_bits
        assert found.metrics["lut"].low <= truth.cost_lut <= found.metrics["lut"].high
        assert found.metrics["dsp"].value == 0
        assert found.in_domain, found.reasons
        assert "da4ml" in found.evidence
        assert sum(layer.lut for layer in found.layers) == pytest.approx(found.metrics["lut"].value)
        assert "rests on: da4ml" in prediction_text(found)
        assert prediction_json(found)["origin"] == found.origin
    assert csynth.origin == ""
    assert csynth.metrics == predict([queries[2]])[0].metrics
    closed = predict([queries[0]])[0]
    assert closed.origin == ""
    assert not closed.in_domain


@needs_da4ml
def test_no_coverage_is_stated_for_costs_that_no_data_cover() -> None:
    design = _design()
    few = tuple(np.where(np.arange(each.size).reshape(each.shape) < 2, each, 0) for each in design.weights)
    inside, outside = predict([_query(design), _query(dataclasses.replace(design, weights=few))], solve=True)
    assert {note.kind for note in outside.reasons} == {NoteKind.NO_DATA}
    assert {metric.coverage for metric in outside.metrics.values()} == {None}
    assert inside.metrics["lut"].coverage == 0.9


@needs_da4ml
def test_cycles_of_an_hls4ml_project_are_not_marked_as_measured() -> None:
    query = _query(_design())
    own, project = predict([query, dataclasses.replace(query, backend="Vitis")], solve=True)
    exact, guessed = own.metrics["latency_cycles"], project.metrics["latency_cycles"]
    assert (exact.low, exact.high, exact.coverage) == (exact.value, exact.value, 0.9)
    assert guessed.value == exact.value
    assert guessed.low < guessed.value < guessed.high
    assert guessed.coverage is None
    assert project.warnings[-1].kind is NoteKind.REMARK
    assert len(project.warnings) == len(own.warnings) + 1


@needs_da4ml
def test_nanoseconds_allow_for_a_clock_that_is_missed() -> None:
    query = _query(_design())
    easy, hard = (dataclasses.replace(query, clock_ns=clock) for clock in (8.0, 1.5))
    slow, fast = (found.metrics["latency_ns"] for found in predict([easy, hard], solve=True))
    assert slow.high == slow.value
    assert fast.high > fast.value
    assert fast.coverage is None


@needs_da4ml
def test_ecp5_predictions_use_law_of_routed_circuits() -> None:
    pytest.importorskip("alkaid")
    part = find_target("ulx3s", [data_folder("hw_targets")]).part
    design = _design()
    few = tuple(np.where(np.abs(weight) > 13, weight, 0) for weight in design.weights if weight is not None)
    design = dataclasses.replace(design, weights=few)
    query = query_of(design.architecture, part, stage="logic_synth", design=design)
    own, project = predict([query, dataclasses.replace(query, backend="Vitis")], solve=True)
    routed = cost(design_of(query), query.clock_ns, None, "ecp5")
    assert own.metrics["lut"].value == round(routed_law().lut(routed.cost_lut).value)
    assert own.metrics["latency_cycles"].value == routed.stages
    assert own.origin.startswith("alkaid")
    # A coverage of the period says nothing where the cycles were never measured.
    assert own.metrics["lut"].coverage == own.metrics["latency_ns"].coverage == 0.8
    assert project.metrics["latency_ns"].coverage is None


@needs_da4ml
def test_an_exported_project_is_predicted_with_the_pipeline_of_its_design(tmp_path: Path) -> None:
    """The clock alone would divide it otherwise."""
    target = find_target("ulx3s", [data_folder("hw_targets")])
    found: dict[int, float] = {}
    for levels in (1, 6):
        design = dataclasses.replace(_design(), meta={"adder_levels": levels})
        folder = write_project(design, target, tmp_path / f"p{levels}", clock_ns=12.0)
        query = read_folder(folder, stage="post_route")
        assert query.adder_levels == levels
        assert query_of(design.architecture, target.part, design=design).adder_levels == levels
        (prediction,) = predict([query], solve=True)
        found[levels] = prediction.metrics["latency_cycles"].value
        assert found[levels] == cost(design, 12.0, levels, "ecp5").stages
    assert found[1] > found[6]
    config = folder / "hls4ml_config.yml"
    for text in ("true", "-1", "many", "[6]"):
        config.write_text(config.read_text().replace("AdderLevels: 6", f"AdderLevels: {text}"))
        query = read_folder(folder)
        assert query.adder_levels is None
        assert any("AdderLevels" in str(note) for note in query.warnings)
        config.write_text(config.read_text().replace(f"AdderLevels: {text}", "AdderLevels: 6"))
    assert (
        "AdderLevels"
        not in (
            write_project(_design(), target, tmp_path / "none", clock_ns=12.0) / "hls4ml_config.yml"
        ).read_text()
    )


@needs_da4ml
def test_designs_that_da4ml_rejects_keep_the_closed_form_with_a_note() -> None:
    table, latency = _design(activation="softmax"), _design(strategy="Latency")
    kept, other, good = predict([_query(table), _query(latency), _query(_design(2))], solve=True)
    assert kept.metrics == predict([_query(table)])[0].metrics
    assert not kept.origin
    assert kept.warnings[-1].kind is NoteKind.UNREAD
    assert other.warnings == predict([_query(latency)])[0].warnings
    assert good.origin


def test_without_da4ml_the_closed_form_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas_hls_plugins.synthesizers.open_synthesis.tools.installed", lambda name: False)
    (found,) = predict([_query(_design())], solve=True)
    assert found.origin == ""
    assert found.warnings[-1].kind is NoteKind.UNREAD


def test_nothing_is_started_for_other_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> dict[int, object]:
        raise AssertionError("da4ml was asked")

    monkeypatch.setattr(da_refinement, "_costs", started)
    latency, csynth = _query(_design(strategy="Latency")), _query(_design(), "csynth")
    assert all(isinstance(found, Prediction) for found in predict([latency, csynth], solve=True))


@needs_da4ml
def test_rows_of_a_csv_with_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = {"a": _query(_design()), "b": _query(_design(strategy="Latency"))}
    monkeypatch.setattr(
        "hwnas_hls_plugins.estimators.hls_model.rows_file.query_of_row",
        lambda row, folder, targets: queries[row["row_id"]],
    )
    out = io.StringIO()
    assert write_predictions([{"row_id": "a"}, {"row_id": "b"}], out, None) == 2
    lines = list(csv.DictReader(io.StringIO(out.getvalue())))
    expected = predict(list(queries.values()), solve=True)
    assert expected[0].origin
    for line, found in zip(lines, expected, strict=True):
        for column, metric in (("lut", "lut"), ("ff", "ff"), ("latency_cycles", "latency_cycles")):
            interval = found.metrics[metric]
            assert [float(line[column + end]) for end in ("", "_low", "_high")] == [
                interval.value,
                interval.low,
                interval.high,
            ]
        assert line["in_domain"] == str(found.in_domain).lower()


@needs_da4ml
def test_against_yosys_on_networks_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form's median error over the twenty was 12 %; da4ml's own cost must stay within 6 %."""
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "open_synthesis"))
    networks = importlib.import_module("networks")

    text = (ROOT / "docs" / "open-synthesis.md").read_text()
    pattern = r"^\| (\d+) \| \S+ w\d+a\d+ \d+% \S+ \| random \| \d+ \| \d+ \((\d+)\)"
    yosys = {int(number): int(lut) for number, lut in re.findall(pattern, text, re.MULTILINE)}
    chosen = [number for number in (1, 4, 7, 8, 20) if number in yosys]
    assert len(chosen) == 5
    found = predict(
        [_query(networks.design_of(networks.NETWORKS[number - 1])) for number in chosen], solve=True
    )
    errors = [
        abs(one.metrics["lut"].value / yosys[number] - 1) for one, number in zip(found, chosen, strict=True)
    ]
    assert max(errors) < 0.06, dict(zip(chosen, errors, strict=True))
    assert float(np.median(errors)) < 0.05
