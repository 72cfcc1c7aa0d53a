"""Rows of designs as strangers write them: every spelling, every column that is missing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hls_model_row import ROW
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import expect_mentioned, refused

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls_plugins.estimators.hls_model import predict
from hwnas_hls_plugins.estimators.hls_model.foreign_rows import own_row
from hwnas_hls_plugins.estimators.hls_model.precision_text import parse_precision
from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row
from hwnas_hls_plugins.estimators.hls_model.rows_file import HEADER, read_rows, write_predictions


def written(rows: list[dict[str, str]], weights: Path | None = None) -> list[dict[str, str]]:
    output = io.StringIO()
    assert write_predictions(rows, output, weights) == len(rows)
    output.seek(0)
    return list(csv.DictReader(output))


_THE_SAME = (
    {"layers": "[16, 64, 32, 32, 5]"},
    {"layers": "16x64x32x32x5"},
    {"layers": " 16 -> 64 -> 32 -> 32 -> 5 "},
    {"activations": "['ReLU', 'ReLU', 'ReLU', 'softmax']"},
    {"activations": "quantized_relu(6,0);quantized_relu(6);relu;softmax"},
    {"activations": "relu-softmax"},
    {"precision": "<16,6>"},
    {"precision": "16, 6"},
    {"precision": "fixed<16,6>"},
    {"precision": "AP_FIXED<16, 6, ap_trn>"},
    {"precision": "hls4ml default ap_fixed<16,6>"},
    {"precision": "{'Model': {'Precision': 'ap_fixed<16,6>'}}"},
    {"precision": "weight=ap_fixed<16,6>, bias=ap_fixed<16,6>; accum: 16,6 input: <16,6>"},
    {"reuse_factor": "[2; 2; 2; 2]"},
    {"reuse_factor": "2-2-2-2"},
    {"reuse_factor": "2.0"},
    {"reuse_factor": "{fc1: 2, fc2: 2, fc3: 2, out: 2}"},
    {"strategy": "LATENCY"},
    {"strategy": "latency;latency;latency;latency"},
    {"clock_ns_target": "200 MHz"},
    {"clock_ns_target": "5ns"},
    {"strategy": "{fc1: Latency, fc2: Latency, fc3: Latency, out: Latency}"},
    {"stage": "C Synthesis"},
    {"stage": ""},
    {"tool": "Vitis_HLS_2023.2"},
    {"tool": "Vitis HLS (2023.2)"},
    {"io_type": "Parallel"},
    {"io_type": ""},
    {"io_type": "unknown"},
    {"part": "XCU250-FIGD2104-2L-E"},
    {"part": "alveo-u250"},
    {"part": "xcu250"},
    {"n_nonzeros": "unknown"},
)


@pytest.mark.parametrize("change", _THE_SAME, ids=lambda change: "=".join(*change.items()))
def test_other_spellings_mean_the_same(change: dict[str, str]) -> None:
    plain = {
        "layers": "16-64-32-32-5",
        "activations": "relu-relu-relu-softmax",
        "precision": "ap_fixed<16,6>",
        "reuse_factor": "2",
        "strategy": "Latency",
        "clock_ns_target": "5",
        "stage": "csynth",
        "tool": "vitis_hls 2023.2",
        "io_type": "io_parallel",
        "part": "xcu250-figd2104-2L-e",
    }
    assert own_row(plain) == plain
    wanted, found = (written([own_row(row)])[0] for row in (plain, plain | change))
    for column in HEADER[1:-1]:
        assert found[column] == wanted[column], column


def test_quantisers_of_qkeras_become_types() -> None:
    for text in (
        "QKeras quantized_bits(6,0) w/b, relu quantized_relu(6)",
        "kernel: quantized_bits(6,0,alpha=1) bias=quantized_bits(6), activation: quantized_relu(6)",
    ):
        types = parse_precision(own_row({"precision": text})["precision"], 2)
        assert [str(types.weight[0]), str(types.bias[1])] == ["ap_fixed<6,1>"] * 2
        assert str(types.activation[0]) == "ap_ufixed<6,0,AP_RND_CONV,AP_SAT>"
        assert types.assumed == ("in", "acc")
        assert not types.warnings


@pytest.mark.parametrize(
    ("notes", "bound"), [("multiplies bound to DSP", "dsp"), ("multiplies bound to fabric (LUT)", "fabric")]
)
def test_directives_in_the_notes_bind_the_products(notes: str, bound: str) -> None:
    query = query_of_row(own_row(ROW | {"notes": f"PIPELINE; {notes}"}))
    assert {layer.multipliers for layer in query.layers} == {bound}


def test_more_types_than_layers_are_outside_the_domain() -> None:
    row = ROW | {"precision": "w: ap_fixed<8,2>;ap_fixed<6,1>;ap_fixed<4,1>", "layers": "16-32-5"}
    query = query_of_row(row | {"activations": "relu-linear"})
    assert ("precision", NoteKind.UNREAD) in {(note.about, note.kind) for note in query.reasons}
    two = row | {"precision": "w: ap_fixed<8,2>;ap_fixed<6,1>", "activations": "relu-linear"}
    assert "precision" not in {note.about for note in query_of_row(two).reasons}


def test_a_missing_stage_is_named_as_assumed() -> None:
    without = {name: text for name, text in ROW.items() if name != "stage"}
    for row, taken in ((without, "csynth"), (without | {"tool": "vivado 2020.1"}, "logic_synth")):
        query = query_of_row(row)
        assert query.stage == taken
        assert [note.taken for note in query.warnings if note.about == "stage"] == [taken]
    assert "stage" not in {note.about for note in query_of_row(ROW).warnings}


def test_values_without_a_coverage_are_named() -> None:
    known, outside = written([ROW, ROW | {"tool": "quartus 21.1"}])
    assert "lut" not in known["not_calibrated"].split()
    assert {"latency_cycles", "ii", "lut", "ff", "dsp", "bram18"} == set(outside["not_calibrated"].split())


def test_default_type_applies_to_unnamed_parts() -> None:
    types = parse_precision("default: ap_fixed<16,6> w: ap_fixed<8,2>", 1)
    assert str(types.weight[0]) == "ap_fixed<8,2>"
    assert str(types.input) == str(types.accum[0]) == "ap_fixed<16,6>"
    assert not types.assumed


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*ROW, "n_nonzeros", "notes"]), st.text(max_size=40)))
def test_the_importer_never_raises(row: dict[str, str]) -> None:
    assert own_row(row).keys() >= row.keys()


def test_any_column_may_be_missing_or_empty() -> None:
    """Every subset of a full row's columns gets numbers, as long as it has layers."""
    more = {"activations": "relu-softmax", "io_type": "io_parallel", "scope": "core", "backend": "Vitis"}
    full = ROW | more
    rows = []
    for number, name in enumerate(full):
        for other in list(full)[number:]:
            rows.append(full | {name: "", other: ""})
            rows.append({key: cell for key, cell in full.items() if key not in (name, other)})
    for row, line in zip(rows, written(rows), strict=True):
        assert bool(line["lut"]) == bool(row.get("layers")), row
        if line["lut"]:
            for metric in ("latency_cycles", "ii", "lut", "ff", "dsp", "bram18"):
                low, value, high = (int(line[f"{metric}{end}"]) for end in ("_low", "", "_high"))
                assert 0 <= low <= value <= high


def test_table_without_widths_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('model_string,precision,reuse_factor\n16-64-5,"ap_fixed<8,3>",1\n')
    with refused(ErrorKind.MISSING, where=str(path), found="model_string, precision, reuse_factor"):
        list(read_rows(path))


def test_a_hidden_unknown_value_is_reported() -> None:
    line = written([{"row_id": "A", "layers": "16-8-4"}])[0]
    for name in ("tool", "part", "clock_ns_target", "precision", "reuse_factor", "strategy", "activations"):
        assert f"{name}: " in line["warnings"], name
    for change, reason in (
        ({"precision": "float32"}, "floating point"),
        ({"tool": "quartus 21.1"}, "quartus"),
        ({"activations": "swish"}, "unknown activation"),
        ({"io_type": "io_magic"}, "unknown io_type"),
    ):
        line = written([ROW | change])[0]
        assert line["in_domain"] == "false"
        assert reason in line["warnings"]
        assert int(line["lut"]) > 0


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        ({}, True),
        ({"part": "xc7z020clg400-1"}, True),  # too small, but of a silicon that was measured
        ({"io_type": "io_stream"}, False),
        ({"scope": "core+AXI wrapper"}, False),
        ({"strategy": "distributed_arithmetic"}, False),
        ({"strategy": "compressed", "reuse_factor": "16"}, False),
        ({"part": "xcku115-flvb2104-2-i"}, False),
        ({"strategy": "Resource", "reuse_factor": "8000", "layers": "784-100-10"}, False),
    ],
    ids=["measured", "full", "stream", "wrapper", "adder graph", "compressed", "silicon", "wide Resource"],
)
def test_no_coverage_is_stated_where_nothing_was_measured(change: dict[str, str], stated: bool) -> None:
    prediction = predict([query_of_row(ROW | change)])[0]
    kinds = {note.kind for note in prediction.reasons}
    assert (kinds <= {NoteKind.FULL}) is stated
    for metric in ("lut", "ff", "latency_cycles", "latency_ns"):
        assert (prediction.metrics[metric].coverage is not None) is stated, metric


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        ({}, True),
        ({"tool": "vitis_hls 2023.1"}, True),
        ({"tool": "vitis_hls 2023.1", "part": "xc7vx690tffg1930-3"}, False),  # Virtex-7 by Vivado HLS only
        ({"strategy": "Resource", "layers": "64-128", "activations": "linear", "reuse_factor": "1024"}, True),
        ({"strategy": "Resource", "layers": "64-512", "activations": "linear", "reuse_factor": "1024"}, True),
        ({"strategy": "Resource", "layers": "64-128", "activations": "relu", "reuse_factor": "1024"}, False),
    ],
    ids=["measured", "both measured", "apart only", "swept", "wider than swept", "with an activation"],
)
def test_no_coverage_is_stated_for_guessed_widths(change: dict[str, str], stated: bool) -> None:
    row = {
        name: text
        for name, text in (ROW | change).items()
        if name != "activations" or "activations" in change
    }
    prediction = predict([query_of_row(row)])[0]
    assert {note.kind for note in prediction.reasons} <= {NoteKind.FULL}
    assert (prediction.metrics["lut"].coverage is not None) is stated


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("precision", "ap_fixed<16,6>;ap_fixed<8,3>"),
        ("precision", "['ap_fixed<16,6>', 'ap_fixed<8,3>']"),
        ("precision", "ap_fixed<16,6> (w: ap_fixed<8,3>)"),
        ("precision", "{'fc1': 'ap_fixed<8,3>', 'fc2': 'ap_fixed<6,1>'}"),
        ("precision", "encoder: ap_fixed<8,3>"),
        ("precision", "w: ap_fixed<8,3> scale: ap_fixed<24,8>"),
        ("reuse_factor", "4;8"),
        ("strategy", "Latency;Latency"),
    ],
)
def test_cells_that_leave_open_what_is_of_what_are_outside(column: str, text: str) -> None:
    query = query_of_row(own_row(ROW | {column: text}))
    assert (NoteKind.UNREAD, column) in {(note.kind, note.about) for note in query.reasons}


@pytest.mark.parametrize(
    "text",
    [
        "weights ap_fixed<8,3>, activations ap_fixed<10,4>, inputs ap_fixed<9,2>",
        "weight_t=ap_fixed<8,3>; activation_t=ap_fixed<10,4>; input_t=ap_fixed<9,2>",
        "kernel: <8,3>; activation <10,4>; in <9,2>",
    ],
)
def test_types_follow_the_names_of_their_parts(text: str) -> None:
    query = query_of_row(own_row(ROW | {"precision": text}))
    first = query.layers[0]
    assert [str(kind) for kind in (first.input, first.weight, first.result)] == [
        "ap_fixed<9,2>",
        "ap_fixed<8,3>",
        "ap_fixed<10,4>",
    ]
    assert query.reasons == ()


@pytest.mark.parametrize(("kind", "outside"), [("stable", 0), ("latency", 0), ("argmax", 1), ("legacy", 1)])
def test_a_softmax_that_no_report_shows_is_outside(kind: str, outside: int) -> None:
    row = ROW | {"activations": "relu-relu-relu-softmax", "softmax": kind}
    reasons = predict([query_of_row(row)])[0].reasons
    assert [note.kind for note in reasons if note.kind is not NoteKind.FULL] == [NoteKind.NO_DATA] * outside


def test_pixels_beside_widths_are_no_layers() -> None:
    assert query_of_row(own_row(ROW | {"layers": "28x28-64-10"})).blockers
    assert not query_of_row(own_row(ROW | {"layers": "28x28x64x10"})).blockers


@pytest.mark.parametrize(
    ("change", "inside"),
    [
        ({}, True),
        ({"tool": "vitis_hls 2025.2", "stage": "post_route"}, False),  # of another class of silicon
        ({"tool": "vitis_hls 2025.2", "part": "xc7a35tcpg236-1"}, False),  # built by Vivado only
        ({"tool": "vitis_hls 2025.2", "part": "xc7a200tsbg484-1", "stage": "post_route"}, True),
        ({"tool": "vitis_hls 2023.1"}, False),
        ({"reuse_factor": "1"}, False),
        ({"reuse_factor": "4;1;4"}, False),
        ({"strategy": "Latency;Resource;Resource", "reuse_factor": "1;4;4"}, False),
        ({"strategy": "Latency;Latency;Resource", "reuse_factor": "1;1;4"}, False),
    ],
)
def test_several_resource_layers_are_inside_where_such_were_measured(
    change: dict[str, str], inside: bool
) -> None:
    row = ROW | {
        "layers": "16-8-8-5",
        "activations": "relu-relu-linear",
        "strategy": "Resource",
        "reuse_factor": "4",
        "tool": "vivado_hls 2020.1",
        "part": "xcu250-figd2104-2L-e",
    }
    prediction = predict([query_of_row(row | change)])[0]
    assert ({note.kind for note in prediction.reasons} <= {NoteKind.FULL}) is inside


def test_automatic_accumulators_are_as_wide_as_needed() -> None:
    types = parse_precision("in: ap_fixed<8,2> w: ap_fixed<6,1> b: ap_fixed<6,1> acc: auto result: auto", 2)
    assert types.accum == (None, None)
    assert "acc" not in types.assumed
    row = ROW | {"layers": "64-64-5", "precision": "in: ap_fixed<8,2> w: ap_fixed<6,1> acc: auto"}
    query = query_of_row(row)
    # 8 + 6 bits of a product, six levels of adders, a bias
    assert query.layers[1].input.width == 21


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_under_other_names_and_delimiters(tmp_path: Path, delimiter: str) -> None:
    names = {"Row ID": "A", "Architecture": "16-8-4", "RF": "4", "Clock Period": "10", "Device": "xc7z020"}
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(delimiter.join(cells) for cells in (names, names.values())) + "\n")
    (row,) = read_rows(path)
    assert row == {
        "row_id": "A",
        "layers": "16-8-4",
        "reuse_factor": "4",
        "clock_ns_target": "10",
        "part": "xc7z020",
    }


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("row_id,layers\nA,16-8-4\nB,banana\nC,16-8-4\nD,\n")
    return path


def test_rows_without_a_prediction_are_reported(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["predict", str(table)]) == 0
    printed = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(printed.out)))
    assert [line["row_id"] for line in lines if not line["lut"]] == ["B", "D"]
    expect_mentioned(printed.err, ["2 of 4 rows"])
    assert f"row 2 (B): {lines[1]['warnings']}" in printed.err
    output = tmp_path / "out.csv"
    assert invoke(["predict", str(table), "--output", str(output)]) == 0
    assert output.read_text() == printed.out
    expect_mentioned(capsys.readouterr().err, ["2 designs"])
    table.write_text("row_id,layers\nA,16-8-4\n")
    assert invoke(["predict", str(table)]) == 0
    assert capsys.readouterr().err == ""


def test_rows_as_json_equal_the_csv(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["predict", str(table)]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert invoke(["predict", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["row_id"] for item in found] == [line["row_id"] for line in lines]
    for item, line in zip(found, lines, strict=True):
        assert item["lut_high"] == (float(line["lut_high"]) if line["lut_high"] else None)
        assert item["in_domain"] is (line["in_domain"] == "true")


@pytest.mark.parametrize(
    "more", [["--compare", "vitis,vivado"], ["--tool", "vivado"], ["--target", "pynq-z2"]]
)
def test_flags_that_a_csv_would_ignore_are_refused(
    table: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["predict", str(table), *more]) == 2
    printed = capsys.readouterr()
    assert more[0] in printed.err
    assert printed.out == ""


def test_an_unknown_tool_is_reported_with_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, value in (("--compare", "vitis,foo"), ("--tool", "foo")):
        assert invoke(["predict", "--layers", "16-8-4", flag, value]) == 2
        printed = capsys.readouterr().err
        assert f"where: {flag}" in printed
        assert "foo" in printed


def test_a_project_of_binary_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "parameters.h").write_bytes(bytes(range(256)) * 10)
    assert invoke(["predict", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert "parameters.h" in printed
    assert "remedy" in printed


@pytest.mark.parametrize(
    "cells",
    [{"precision": "16 bit"}, {"reuse_factor": "-3"}, {"tool": "make"}, {"multipliers": "lut"}],
)
def test_a_cell_that_cannot_be_read_takes_the_row_out_of_the_domain(cells: dict[str, str]) -> None:
    """What is predicted is then another design than the one that was asked for."""
    row = {
        "layers": "16-64-5",
        "activations": "relu-linear",
        "precision": "ap_fixed<16,6>",
        "reuse_factor": "1",
        "strategy": "Latency",
        "clock_ns_target": "5",
        "part": "xcu250-figd2104-2L-e",
        "tool": "vivado_hls 2020.1",
    }
    assert predict([query_of_row(row)])[0].in_domain
    (column,) = cells
    found = predict([query_of_row(row | cells)])[0]
    assert not found.in_domain
    assert [note.about for note in found.reasons] == [column]
    assert {interval.coverage for interval in found.metrics.values()} == {None}


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("layers,clock,clock_period\n16-64-5,5,10\n")
    with refused(ErrorKind.CONFLICT, where=str(path), found="clock_ns_target"):
        list(read_rows(path))
    path.write_text("name,id,layers\na,b,16-64-5\n")
    assert [row["layers"] for row in read_rows(path)] == ["16-64-5"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_first_line_of_excel_names_the_separator(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "excel.csv"
    path.write_text(f"sep={mark}\r\nrow_id{mark}layers\r\n1{mark}16-64-5\r\n")
    assert [row["layers"] for row in read_rows(path)] == ["16-64-5"]


def test_a_table_of_which_no_row_is_predicted_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.csv"
    path.write_text("row_id,layers\na,16\nb,0-5\n")
    assert invoke(["predict", str(path)]) == 2
    shown = capsys.readouterr()
    assert [line["row_id"] for line in csv.DictReader(io.StringIO(shown.out))] == ["a", "b"]
    expect_mentioned(shown.err, [path])
