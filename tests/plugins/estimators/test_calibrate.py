"""``hwnas-hls calibrate``: one's own reports move the predictions, and say how far they can be trusted."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from refusal import expect_mentioned, expect_refusal, refused

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls_plugins.estimators.hls_model import HlsModelEstimator, predict, read_calibration
from hwnas_hls_plugins.estimators.hls_model.calibrate_command import calibrate_command
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Calibration
from hwnas_hls_plugins.estimators.hls_model.command import predict_command
from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelConfig
from hwnas_hls_plugins.estimators.hls_model.keys import Flow, Group
from hwnas_hls_plugins.estimators.hls_model.own_designs import OwnDesign, at_level, read_designs
from hwnas_hls_plugins.estimators.hls_model.own_factors import CAUTION, NETWORK_SPREAD
from hwnas_hls_plugins.estimators.hls_model.own_intervals import own_bands
from hwnas_hls_plugins.estimators.hls_model.recalibration import recalibrate
from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row

TOOL, PART = "vitis_hls 2022.2", "xcu200-fsgd2104-2-e"
SITE = Group(Flow.CSYNTH, "latency", "vitis", "ultrascale+", "2022.2")
SHAPES = ("16-64-32-32-5", "10-24-16-2", "8-40-3", "20-16-16-16-4", "12-30-8", "6-20-20-2", "14-48-10")
BIAS = {"lut": 1.35, "ff": 0.7}


def row_of(shape: str, name: str, **changes: str) -> dict[str, str]:
    activations = "-".join(["relu"] * (shape.count("-") - 1) + ["linear"])
    row = {
        "row_id": name,
        "tool": TOOL,
        "stage": "csynth",
        "part": PART,
        "clock_ns_target": "5.0",
        "layers": shape,
        "activations": activations,
        "precision": "ap_fixed<8,3>",
        "reuse_factor": "1",
        "strategy": "Latency",
        "io_type": "io_parallel",
    }
    return row | changes


def save_weights(folder: Path, name: str, shape: str, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    widths = [int(width) for width in shape.split("-")]
    arrays: dict[str, np.ndarray] = {}
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        arrays[f"weight{layer}"] = np.rint(rng.normal(0, 9, (n_in, n_out))).clip(-127, 127).astype(np.int64)
        arrays[f"bias{layer}"] = rng.integers(-20, 20, n_out)
    np.savez(folder / f"{name}.npz", **arrays)


def measured(
    row: Mapping[str, str], folder: Path | None, bias: Mapping[str, float], noise: float = 1.0
) -> dict[str, str]:
    """The row with what a tool would report that differs from the model by ``bias`` and ``noise``."""
    metrics = predict([query_of_row(row, folder)])[0].metrics
    names = {
        "latency_cycles_max": "latency_cycles",
        "ii_min": "ii_cycles",
        "dsp": "dsp",
        "bram18": "bram_18k",
    }
    out = {column: f"{metrics[metric].value:.0f}" for column, metric in names.items()}
    for metric, factor in bias.items():
        out[metric] = f"{metrics[metric].value * factor * noise:.0f}"
    return {**row, **out}


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``rows.csv``: reports of seven networks, all off by the same bias, +-4 % apart."""
    folder = tmp_path_factory.mktemp("lab")
    rows = []
    for number, shape in enumerate(SHAPES):
        name = f"N{number}"
        save_weights(folder / "weights", name, shape, number)
        noise = 1.0 + 0.04 * (-1) ** number
        rows.append(measured(row_of(shape, name), folder / "weights", BIAS, noise))
    write_rows(folder / "rows.csv", rows)
    write_rows(folder / "one.csv", rows[:1])
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(calibrate_command, [str(argument) for argument in arguments])


def calibrated(lab: Path, name: str, output: Path, *more: str) -> dict[str, Any]:
    result = run(lab / name, "--output", output, "--json", *more)
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def lut_of(shape: str, calibration: Calibration | None = None, **changes: str) -> float:
    return predict([query_of_row(row_of(shape, "", **changes))], calibration)[0].metrics["lut"].value


# What is learnt


def test_the_bias_is_found_and_errors_are_of_designs_left_out(lab: Path, tmp_path: Path) -> None:
    data = calibrated(lab, "rows.csv", tmp_path / "own.json")
    (site,) = data["sites"]
    assert site["site"] == str(SITE)
    for metric, factor in BIAS.items():
        # what seven networks scatter by is held back
        scatter = CAUTION * NETWORK_SPREAD[metric][2] / math.sqrt(7)
        shrunken = factor ** (1 - (scatter / math.log(factor)) ** 2)
        assert site["factors"][metric] == pytest.approx(shrunken, rel=0.03)
    best = site["errors"][0]
    assert (best["known"], best["designs"], best["networks"]) == ("weights known", 7, 7)
    assert best["left_out"] == "networks"
    assert best["before"]["lut"] == pytest.approx(1 - 1 / BIAS["lut"], abs=0.05)
    assert best["after"]["lut"] < 0.07
    assert best["before"]["ff"] == pytest.approx(1 / BIAS["ff"] - 1, abs=0.08)
    assert best["after"]["ff"] < 0.1


def test_errors_after_are_not_those_of_the_fitted_designs() -> None:
    # Two networks that pull apart: fitted to both the error is small, each from the other it is large.
    designs = []
    for shape, factor in (("16-64-32-32-5", 1.5), ("8-40-3", 1 / 1.5)):
        query = query_of_row(row_of(shape, shape))
        truth = {"lut": predict([query])[0].metrics["lut"].value * factor}
        designs.append(OwnDesign(query, truth, "lab", shape))
    found = recalibrate(designs, read_calibration(), "apart", caution=0.0)
    (errors,) = found.errors
    assert errors.left_out == "networks"
    assert errors.after["lut"] > errors.before["lut"] > 0.3
    assert found.factors[SITE]["lut"] == pytest.approx(1.0, abs=0.01)


def test_families_are_left_out_whole_where_there_are_three() -> None:
    designs = []
    for family, factor in (("a", 1.3), ("b", 1.3), ("c", 0.8)):
        for shape in SHAPES[:2]:
            query = query_of_row(row_of(shape, ""))
            truth = {"lut": predict([query])[0].metrics["lut"].value * factor}
            designs.append(OwnDesign(query, truth, family, shape))
    found = recalibrate(designs, read_calibration(), "families", caution=0.0)
    (errors,) = found.errors
    assert errors.left_out == "families"
    # a and b are predicted from the other and c, c from both: 1.3 / sqrt(1.3 * 0.8) and 0.8 / 1.3
    off = [math.sqrt(1.3 * 0.8) / 1.3 - 1] * 4 + [1.3 / 0.8 - 1] * 2
    assert errors.after["lut"] == pytest.approx(float(np.median(np.abs(off))), abs=0.01)


def test_one_report_moves_the_next_designs_the_right_way(lab: Path, tmp_path: Path) -> None:
    data = calibrated(lab, "one.csv", tmp_path / "one.json")
    (site,) = data["sites"]
    assert site["errors"][0]["left_out"] is None
    assert site["errors"][0]["after"] == {}
    calibration = read_calibration(tmp_path / "one.json")
    errors = {"before": [], "after": []}  # type: dict[str, list[float]]
    with (lab / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[1:]
    for row in rows:
        query = query_of_row(row, lab / "weights")
        for name, used in (("before", read_calibration()), ("after", calibration)):
            value = predict([query], used)[0].metrics["lut"].value
            errors[name].append(abs(value / float(row["lut"]) - 1))
    assert np.median(errors["before"]) > 0.2
    assert np.median(errors["after"]) < 0.12
    assert all(after < before for before, after in zip(errors["before"], errors["after"], strict=True))


def test_other_sites_are_left_alone(lab: Path, tmp_path: Path) -> None:
    calibrated(lab, "rows.csv", tmp_path / "own.json")
    own = read_calibration(tmp_path / "own.json")
    assert lut_of("16-64-32-32-5", own) > 1.25 * lut_of("16-64-32-32-5")
    for changes in (
        {"tool": "vitis_hls 2023.2"},
        {"part": "xc7z020clg400-1"},
        {"stage": "logic_synth"},
        {"strategy": "Resource", "reuse_factor": "4"},
    ):
        assert lut_of("16-64-32-32-5", own, **changes) == lut_of("16-64-32-32-5", **changes)


def test_a_report_without_weights_has_less_information() -> None:
    query = query_of_row(row_of("16-64-32-32-5", ""))
    moved = []
    weights = [np.rint(np.random.default_rng(1).normal(0, 9, (la.n_in, la.n_out))) for la in query.layers]
    full = dataclasses.replace(
        query,
        layers=tuple(
            dataclasses.replace(layer, weights=values.astype(np.int64))
            for layer, values in zip(query.layers, weights, strict=True)
        ),
    )
    for knowledge in (0, 1, 2):
        known = at_level(full, knowledge)
        assert known is not None
        truth = {"lut": predict([known])[0].metrics["lut"].value * 1.5}
        found = recalibrate([OwnDesign(known, truth, "lab", "x")], read_calibration(), "x")
        moved.append(found.factors[SITE]["lut"])
    assert 1.0 == moved[0] < moved[1] < moved[2] < 1.5
    scatter = CAUTION * NETWORK_SPREAD["lut"][2] / math.log(1.5)
    assert moved[2] == pytest.approx(1.5 ** (1 - scatter**2), rel=0.01)


def test_small_deviation_corrects_only_its_own_network() -> None:
    """One report 8 % off moves no other network, and nearly all the way further designs of its network."""
    query = query_of_row(row_of("16-64-32-32-5", ""))
    rng = np.random.default_rng(1)
    layers = tuple(
        dataclasses.replace(
            layer, weights=np.rint(rng.normal(0, 9, (layer.n_in, layer.n_out))).astype(np.int64)
        )
        for layer in query.layers
    )
    known = dataclasses.replace(query, layers=layers)
    before = predict([known])[0].metrics["lut"].value
    found = recalibrate([OwnDesign(known, {"lut": before * 1.08}, "lab", "x")], read_calibration(), "x")
    assert found.factors[SITE]["lut"] == 1.0
    assert lut_of("12-30-8", found.calibration) == lut_of("12-30-8")
    shared = dataclasses.replace(
        known, layers=tuple(dataclasses.replace(la, reuse_factor=2) for la in layers)
    )
    moved = (
        predict([shared], found.calibration)[0].metrics["lut"].value
        / predict([shared])[0].metrics["lut"].value
    )
    assert moved == pytest.approx(1.08 ** (1 - (0.05 / math.log(1.08)) ** 2), rel=0.01)
    assert moved > 1.03


# Intervals


def test_enough_networks_have_an_interval_of_their_own(lab: Path, tmp_path: Path) -> None:
    data = calibrated(lab, "rows.csv", tmp_path / "own.json")
    best = data["sites"][0]["errors"][0]
    assert "lut" in best["own_interval"]
    assert best["coverage"]["lut"] == 0.8
    own = read_calibration(tmp_path / "own.json")
    with (lab / "rows.csv").open(newline="") as file:
        query = query_of_row(next(iter(csv.DictReader(file))), lab / "weights")
    before, after = (predict([query], used)[0].metrics["lut"] for used in (None, own))
    assert after.high / after.low < 1.5 < before.high / before.low
    assert after.coverage == 0.8


def test_few_networks_keep_the_general_interval(lab: Path, tmp_path: Path) -> None:
    data = calibrated(lab, "one.csv", tmp_path / "one.json")
    assert data["sites"][0]["errors"][0]["own_interval"] == []
    query = query_of_row(row_of("12-30-8", ""))
    before, after = (
        predict([query], used)[0].metrics["lut"] for used in (None, read_calibration(tmp_path / "one.json"))
    )
    assert after.coverage == before.coverage
    assert after.high / after.low >= 0.95 * before.high / before.low


def test_report_far_outside_removes_coverage_statement(tmp_path: Path) -> None:
    row = measured(row_of("16-64-32-32-5", "R"), None, {"lut": 30.0, "ff": 1.0})
    path = write_rows(tmp_path / "rows.csv", [row])
    result = run(path, "--output", tmp_path / "odd.json")
    assert isinstance(result.exception, UserError)
    assert "doubtful: LUT" in str(result.exception)
    result = run(path, "--output", tmp_path / "odd.json", "--doubtful")
    assert result.exit_code == 0, result.output
    expect_mentioned(result.output, ["doubtful", "LUT"])
    query = query_of_row(row)
    found = predict([query], read_calibration(tmp_path / "odd.json"))[0].metrics["lut"]
    assert found.coverage is None
    assert found.low <= float(row["lut"]) <= found.high


@pytest.mark.parametrize(("outside", "coverage"), [(1, 0.8), (2, None)])
def test_designs_outside_interval_widen_it_or_remove_coverage(outside: int, coverage: float | None) -> None:
    base = read_calibration()
    general = base.stage_band("latency-rf1", "csynth", 2, True, "lut")
    assert general.coverage == 0.8
    edge = general.stretch * general.up
    residuals = {metric: np.full(2, np.nan) for metric in METRICS}
    residuals["lut"] = np.array([1.2 * edge, 1.2 * edge if outside == 2 else 0.0])
    kinds = [("latency-rf1", "csynth")] * 2
    bands, stated, own = own_bands(SITE, 2, residuals, ["a", "b"], kinds, base)
    (band,) = (found["lut"] for found in bands.values())
    assert band.stretch * band.up == pytest.approx(1.2 * edge, rel=1e-4)
    assert band.stretch * band.down == pytest.approx(general.stretch * general.down, rel=1e-4)
    assert (band.coverage, stated["lut"], own) == (coverage, coverage, ())


def test_five_networks_on_one_side_do_not_make_the_other_short() -> None:
    residuals = {metric: np.full(5, np.nan) for metric in METRICS}
    residuals["lut"] = np.array([0.02, 0.05, 0.1, 0.15, 0.2])
    kinds = [("latency-rf1", "csynth")] * 5
    bands, stated, own = own_bands(SITE, 2, residuals, list("abcde"), kinds, read_calibration())
    (band,) = (found["lut"] for found in bands.values())
    assert band.stretch * band.up == pytest.approx(0.2, rel=1e-3)
    assert band.down == band.up
    assert stated["lut"] == 0.8
    assert own == ("lut",)


def test_new_silicon_becomes_known(tmp_path: Path) -> None:
    place = {"part": "xcvc1902-vsva2197-2MP-e-S"}
    row = measured(row_of("16-64-32-32-5", "V", **place), None, {"lut": 1.1, "ff": 1.1})
    assert not predict([query_of_row(row)])[0].in_domain
    assert run(write_rows(tmp_path / "v.csv", [row]), "--output", tmp_path / "v.json").exit_code == 0
    assert predict([query_of_row(row)], read_calibration(tmp_path / "v.json"))[0].in_domain


# The file


def test_the_file_round_trips_into_predict_and_the_estimator(lab: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.json"
    data = calibrated(lab, "rows.csv", output)
    written = json.loads(output.read_text())
    shipped = json.loads(json.dumps(read_calibration().to_json()))
    assert written.keys() == shipped.keys()
    assert written["hash"] == data["hash"] != shipped["hash"]
    own = written["provenance"]["own"]
    assert own["base"] == {"name": shipped["name"], "hash": shipped["hash"]}
    assert (own["designs"], own["networks"]) == (7, 7)
    assert own["tools"] == [TOOL]
    assert own["sources"] == ["rows.csv"]
    assert written["provenance"]["designs"] == shipped["provenance"]["designs"]
    flags = ["--layers", "16-64-32-32-5", "--precision", "ap_fixed<8,3>", "--tool", TOOL, "--json"]
    values = []
    for more in ([], ["--calibration", str(output)]):
        result = CliRunner().invoke(predict_command, [*flags, *more])
        assert result.exit_code == 0, result.output
        values.append(json.loads(result.stdout))
    assert values[1]["metrics"]["lut_csynth"]["value"] > 1.25 * values[0]["metrics"]["lut_csynth"]["value"]
    assert values[1]["calibration"] == written["name"]
    estimator = HlsModelEstimator(HlsModelConfig(tool=TOOL, calibration=str(output)))
    assert estimator.calibration.name == written["name"]


def test_an_altered_file_is_refused(lab: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.json"
    calibrated(lab, "rows.csv", output)
    output.write_text(output.read_text().replace('"designs": 7', '"designs": 70'))
    with refused(ErrorKind.DAMAGED, where=str(output)):
        read_calibration(output)
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(tmp_path / "missing.json")):
        HlsModelEstimator(HlsModelConfig(calibration=str(tmp_path / "missing.json")))


def test_an_existing_output_is_kept_unless_forced(lab: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.json"
    output.write_text("precious")
    result = run(lab / "one.csv", "--output", output)
    assert isinstance(result.exception, UserError)
    assert output.read_text() == "precious"
    assert run(lab / "one.csv", "--output", output, "--force").exit_code == 0
    assert read_calibration(output).provenance["own"]["designs"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.json"]


# Text


def test_table_fits_terminal_and_names_everything(lab: Path, tmp_path: Path) -> None:
    result = run(lab / "rows.csv", "--output", tmp_path / "own.json")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert "vitis_hls 2022.2, ultrascale+, latency strategy, C synthesis" in lines
    assert any(line.startswith("weights known") and "80 % (own)" in line for line in lines)


# Bad input


@pytest.mark.parametrize(
    ("changes", "kind", "about"),
    [
        ({"lut": "", "ff": ""}, NoteKind.NO_DATA, ""),
        ({"lut": "nan", "ff": "-3"}, NoteKind.UNREAD, "lut"),
        ({"lut": "many", "ff": ""}, NoteKind.UNREAD, "lut"),
        ({"layers": "16"}, NoteKind.BLOCKED, "layers"),
        ({"precision": ""}, NoteKind.ASSUMED, "precision"),
        ({"reuse_factor": ""}, NoteKind.ASSUMED, "reuse_factor"),
        ({"reuse_factor": "4;8"}, NoteKind.UNREAD, "reuse_factor"),
        ({"strategy": "Latency;Latency"}, NoteKind.UNREAD, "strategy"),
        ({"precision": "ap_fixed<16,6>;ap_fixed<8,3>"}, NoteKind.UNREAD, "precision"),
        ({"ff": "0", "latency_cycles_max": "", "latency_cycles_min": ""}, NoteKind.UNREAD, "ff"),
        ({"tool": ""}, NoteKind.NO_DATA, "tool"),
        ({"tool": "vitis_hls"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "quartus 20.1"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "oneAPI 2024.1"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "Catapult HLS 2023.2"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "Intel HLS 21.4"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "bambu 2024.10"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "libero 2023.1"}, NoteKind.NO_DATA, "tool"),
        ({"backend": "Quartus"}, NoteKind.NO_DATA, "tool"),
        ({"tool": "homemade 2023.1"}, NoteKind.UNREAD, "tool"),
        ({"stage": "after lunch"}, NoteKind.UNREAD, "stage"),
        ({"dsp": "999999"}, NoteKind.UNREAD, "dsp"),
        ({"bram18": "999999"}, NoteKind.UNREAD, "bram_18k"),
        ({"part": ""}, NoteKind.NO_DATA, "part"),
        ({"part": "5CGXFC9E7F35C8"}, NoteKind.NO_DATA, "part"),
    ],
)
def test_rows_that_teach_nothing_are_left_out_with_the_reason(
    tmp_path: Path, changes: dict[str, str], kind: NoteKind, about: str
) -> None:
    good = measured(row_of("16-64-32-32-5", "G"), None, BIAS)
    path = write_rows(tmp_path / "rows.csv", [good, good | {"row_id": "BAD"} | changes])
    designs, left = read_designs([path])
    assert [design.source for design in designs] == ["rows.csv line 2 (G)"]
    assert {entry.source for entry in left} == {"rows.csv line 3 (BAD)"}
    assert (kind, about) in {(entry.note.kind, entry.note.about) for entry in left}
    alone = write_rows(tmp_path / "bad.csv", [good | {"row_id": "BAD"} | changes])
    with refused(ErrorKind.NOTHING_FITS, mentions=["bad.csv line 2 (BAD)", about]):
        read_designs([alone])


def test_a_dsp_for_every_product_is_possible(tmp_path: Path) -> None:
    row = measured(row_of("16-32-5", "G", precision="ap_fixed<16,6>"), None, BIAS) | {"dsp": "672"}
    designs, left = read_designs([write_rows(tmp_path / "rows.csv", [row])])
    assert designs[0].truth["dsp"] == 672.0
    assert not left


def test_a_failed_synthesis_teaches_nothing_and_counts_once(tmp_path: Path) -> None:
    good = measured(row_of("16-64-32-32-5", "G"), None, BIAS)
    rows = [good]
    for name, number in (("ZERO", "0"), ("MINUS", "-1")):
        columns = ("lut", "ff", "dsp", "bram18", "latency_cycles_max", "ii_min")
        rows.append(row_of("10-24-16-2", name) | dict.fromkeys(columns, number))
    path = write_rows(tmp_path / "rows.csv", rows)
    designs, left = read_designs([path])
    assert [design.source for design in designs] == ["rows.csv line 2 (G)"]
    assert len(left) == 2
    assert {(entry.note.kind, entry.note.about) for entry in left} <= {
        (NoteKind.UNREAD, "lut"),
        (NoteKind.UNREAD, "ff"),
    }
    result = run(path, "--output", tmp_path / "own.json")
    assert "1 of 3 designs used" in result.output


@pytest.mark.parametrize(
    "failed",
    [
        {"lut": "1", "ff": "1", "dsp": "0", "latency_cycles_max": "1"},
        {"ff": "0", "latency_cycles_max": "8"},
    ],
    ids=["one LUT", "cycles without registers"],
)
def test_a_failed_row_among_good_ones_moves_no_factor(tmp_path: Path, failed: dict[str, str]) -> None:
    shapes = SHAPES[:4]
    good = [measured(row_of(shape, f"G{place}"), None, BIAS) for place, shape in enumerate(shapes)]
    odd = measured(row_of(SHAPES[4], "ODD"), None, BIAS) | failed
    alone = run(write_rows(tmp_path / "alone.csv", good), "--output", tmp_path / "alone.json")
    both = run(write_rows(tmp_path / "both.csv", [*good, odd]), "--output", tmp_path / "both.json")
    assert alone.exit_code == both.exit_code == 0
    assert "4 of 5 designs used" in both.output
    assert "both.csv line 6 (ODD)" in both.output
    assert lut_of(SHAPES[5], read_calibration(tmp_path / "both.json")) == lut_of(
        SHAPES[5], read_calibration(tmp_path / "alone.json")
    )


def test_doubtful_reports_of_one_site_leave_the_others(tmp_path: Path) -> None:
    good = measured(row_of("16-64-32-32-5", "G"), None, BIAS)
    other = row_of("16-64-32-32-5", "ODD", tool="vitis_hls 2023.1")
    odd = measured(other, None, {"lut": 1.0, "ff": 40.0})
    path = write_rows(tmp_path / "rows.csv", [good, odd])
    result = run(path, "--output", tmp_path / "own.json")
    assert result.exit_code == 0, result.output
    assert "1 of 2 designs used" in result.output
    assert "doubtful: FF reported is" in " ".join(result.output.split())
    assert read_calibration(tmp_path / "own.json").provenance["own"]["tools"] == [TOOL]


def test_files_that_cannot_be_read_are_named(lab: Path, tmp_path: Path) -> None:
    bare = write_rows(tmp_path / "bare.csv", [row_of("16-64-32-32-5", "G")])
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)))
    (tmp_path / "notes.txt").write_text("no rows")
    for path, kind in (
        (bare, ErrorKind.MISSING),
        (tmp_path / "missing.csv", ErrorKind.NOT_ACCESSIBLE),
        (tmp_path / "missing", ErrorKind.MISSING),
        (tmp_path / "noise.csv", ErrorKind.WRONG_FORMAT),
        (tmp_path / "notes.txt", ErrorKind.WRONG_FORMAT),
        (tmp_path / "empty", ErrorKind.NOTHING_FITS),
    ):
        result = run(path, "--output", tmp_path / "out.json")
        expect_refusal(result.exception, kind, mentions=[path])
        assert not (tmp_path / "out.json").exists()
    result = run(lab / "one.csv", "--output", tmp_path / "nowhere" / "out.json")
    expect_refusal(result.exception, ErrorKind.NOT_ACCESSIBLE, where=str(tmp_path / "nowhere" / "out.json"))


def test_designs_outside_the_laws_move_nothing(tmp_path: Path) -> None:
    odd = measured(row_of("16-64-32-32-5", "S", io_type="io_stream"), None, BIAS)
    result = run(write_rows(tmp_path / "odd.csv", [odd]), "--output", tmp_path / "out.json")
    expect_refusal(result.exception, ErrorKind.NOTHING_FITS)
    good = measured(row_of("16-64-32-32-5", "G"), None, BIAS)
    result = run(write_rows(tmp_path / "both.csv", [odd, good]), "--output", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    expect_mentioned(result.output, ["1 of 2"])


def test_the_target_picks_reports_and_fills_in_parts(lab: Path, tmp_path: Path) -> None:
    rows = [
        measured(row_of("16-64-32-32-5", "A", part=""), None, BIAS),
        measured(row_of("16-64-32-32-5", "B", part="xc7z020clg400-1"), None, BIAS),
    ]
    path = write_rows(tmp_path / "rows.csv", rows)
    result = run(path, "--target", "xcvu9p", "--output", tmp_path / "out.json", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["designs"] == 1
    expect_mentioned(data["left_out"][0]["reason"], ["xc7z020clg400-1", "xcvu9p"])
    assert read_calibration(tmp_path / "out.json").provenance["own"]["parts"][0].startswith("xcvu9p")
    result = run(path, "--target", "xcnothing", "--output", tmp_path / "out2.json")
    assert isinstance(result.exception, UserError)


@pytest.mark.parametrize("text", ["26,345", "26345 (2%)", "26,345 (2 %)", "26345.0", " 26345 "])
def test_counts_are_read_as_reports_print_them(tmp_path: Path, text: str) -> None:
    good = measured(row_of("16-64-32-32-5", "G"), None, BIAS)
    designs, _ = read_designs([write_rows(tmp_path / "rows.csv", [good | {"lut": text}])])
    assert designs[0].truth["lut"] == 26345
