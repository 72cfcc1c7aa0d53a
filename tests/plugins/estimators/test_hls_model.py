"""The hardware model as users meet it: rows, intervals, domain, the command, the estimator."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hls_model_row import ROW
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import expect_mentioned, expect_refusal, refused

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query import NO_CHAIN
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.target import shipped_targets
from hwnas_hls.resources import data_folder
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import CSYNTH_OF, RESOURCE_STAGE
from hwnas_hls_plugins.estimators.hls_model import HlsModelEstimator, predict, query_of, read_calibration
from hwnas_hls_plugins.estimators.hls_model.calibration import Band, Calibration, half_widths
from hwnas_hls_plugins.estimators.hls_model.command import predict_command
from hwnas_hls_plugins.estimators.hls_model.fitting import family_quantile
from hwnas_hls_plugins.estimators.hls_model.keys import (
    Flow,
    Group,
    NetworkGroup,
    Regime,
    SiteRegime,
    groups,
    parse_band_key,
    parse_factor_key,
)
from hwnas_hls_plugins.estimators.hls_model.precision_text import parse_precision
from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row
from hwnas_hls_plugins.estimators.hls_model.rows_file import HEADER, write_predictions

P = FixedType.parse


def run(*arguments: str) -> Any:
    return CliRunner().invoke(predict_command, list(arguments))


def written(rows: list[dict[str, str]], weights: Path | None = None) -> list[dict[str, str]]:
    output = io.StringIO()
    assert write_predictions(rows, output, weights) == len(rows)
    output.seek(0)
    return list(csv.DictReader(output))


# Precision texts


def test_precision_parts_one_type_a_layer() -> None:
    text = (
        "w:ap_fixed<9,4>;ap_fixed<8,4> b:ap_fixed<20,8>;ap_fixed<18,10> acc:ap_fixed<20,8> "
        "out:ap_fixed<12,8> act:ap_ufixed<10,6,AP_RND,AP_SAT> result:ap_fixed<12,6>"
    )
    types = parse_precision(text, 2)
    assert [str(t) for t in types.weight] == ["ap_fixed<9,4>", "ap_fixed<8,4>"]
    assert [str(t) for t in types.accum] == ["ap_fixed<20,8>"] * 2
    assert [str(t) for t in types.activation] == ["ap_ufixed<10,6,AP_RND,AP_SAT>", "ap_fixed<12,6>"]
    assert types.assumed == ("in",)


@pytest.mark.parametrize(
    ("text", "weight", "source"),
    [
        ("ap_fixed<8,3>", "ap_fixed<8,3>", "ap_fixed<8,3>"),
        ("hls4ml default ap_fixed<16,6>", "ap_fixed<16,6>", "ap_fixed<16,6>"),
        (
            "w:ap_fixed<14,1> b:ap_fixed<14,1> in/result/acc: hls4ml default ap_fixed<16,6>",
            "ap_fixed<14,1>",
            "ap_fixed<16,6>",
        ),
        ("ap_fixed<16,6> (model default)", "ap_fixed<16,6>", "ap_fixed<16,6>"),
        ("", "ap_fixed<16,6>", "ap_fixed<16,6>"),
    ],
)
def test_precision_as_people_write_it(text: str, weight: str, source: str) -> None:
    types = parse_precision(text, 3)
    assert str(types.weight[1]) == weight
    assert str(types.input) == source
    assert not types.warnings


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"(in|w|b|acc): ?(ap_u?fixed<-?\d{0,6},-?\d{0,4}(,\w{0,6}){0,2}>;?){0,3}")
)
def test_precision_never_raises(text: str) -> None:
    types = parse_precision(text, 4)
    assert len(types.weight) == len(types.activation) == 4


# Rows


def test_every_csv_row_gets_one_output_line() -> None:
    rows = [
        ROW,
        {},
        {"row_id": "bad", "layers": "16-x-5"},
        {"row_id": "huge", "layers": "16-99999999-5"},
        {
            "row_id": "nan",
            "layers": "16-5",
            "clock_ns_target": "nan",
            "reuse_factor": "-3",
            "n_nonzeros": "1;2;3",
        },
        ROW | {"row_id": "wide", "precision": "ap_fixed<40,10>"},
        ROW | {"row_id": "stream", "io_type": "io_stream"},
        ROW | {"row_id": "unrolled", "layers": "300-20-5"},
        ROW | {"row_id": "odd", "activations": "swish-relu", "stage": "moon", "tool": "clang 17"},
    ]
    lines = written(rows)
    assert [line["row_id"] for line in lines] == [
        "R1",
        "",
        "bad",
        "huge",
        "nan",
        "wide",
        "stream",
        "unrolled",
        "odd",
    ]
    assert tuple(lines[0]) == HEADER
    for line in lines[1:4]:
        assert line["lut"] == line["latency_cycles_high"] == ""
        assert "layers" in line["warnings"]
        assert line["in_domain"] == "false"
    for line in lines[4:]:
        assert float(line["lut"]) > 0
    assert "clock_ns_target" in lines[4]["warnings"]
    assert "n_nonzeros" in lines[4]["warnings"]
    assert "26 bits" in lines[5]["warnings"]
    assert "io_stream" in lines[6]["warnings"]
    assert "4,096 products" in lines[7]["warnings"]
    assert "swish" in lines[8]["warnings"]
    assert "moon" in lines[8]["warnings"]
    assert [line["in_domain"] for line in lines] == ["true"] + ["false"] * 8


def test_intervals_hold_the_value() -> None:
    for line in written([ROW, ROW | {"strategy": "Resource", "reuse_factor": "16"}]):
        for name in ("latency_cycles", "ii", "lut", "ff", "dsp", "bram18"):
            low, value, high = (float(line[f"{name}{end}"]) for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high


def test_weights_beside_the_rows_are_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = [(16, 64), (64, 32), (32, 32), (32, 5)]
    arrays = {f"weight{n}": rng.integers(-3, 4, shape) / 2**10 for n, shape in enumerate(shapes)}
    np.savez(tmp_path / "R1.npz", **arrays)
    np.savez(tmp_path / "R2.npz", weight0=np.zeros((3, 3)))
    (tmp_path / "R3.npz").write_bytes(b"not a zip")
    blind = written([ROW])[0]
    lines = written(
        [ROW, ROW | {"row_id": "R2"}, ROW | {"row_id": "R3"}, ROW | {"row_id": "../R1"}], tmp_path
    )
    # -3 .. 3 have at most two digits: no multiplier but those of the softmax.
    assert int(lines[0]["dsp"]) == 5 < int(blind["dsp"])
    assert int(lines[0]["lut"]) < int(blind["lut"])
    assert "shape (3, 3)" in lines[1]["warnings"]
    assert "R3.npz" in lines[2]["warnings"]
    assert lines[3]["lut"] == blind["lut"]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(ROW)), st.text(max_size=25), max_size=6))
def test_rows_never_crash(change: dict[str, str]) -> None:
    line = written([ROW | change])[0]
    assert set(line) == set(HEADER)


# Domain and intervals


def test_utilisation_above_the_part_is_a_reason() -> None:
    query = query_of_row(ROW | {"part": "xc7z020clg400-1"})
    found = predict([query])[0]
    assert {note.parts for note in found.reasons if note.kind is NoteKind.FULL} >= {("lut",), ("dsp",)}
    routed = predict([query_of_row(ROW | {"part": "xc7z020clg400-1", "stage": "post_route"})])[0]
    assert routed.metrics["dsp"].value == 220, "constant products become LUTs"
    assert ("dsp",) in {note.parts for note in routed.reasons}
    shared = ROW | {
        "part": "xc7a35tcpg236-1",
        "stage": "logic_synth",
        "strategy": "Resource",
        "reuse_factor": "4",
    }
    assert predict([query_of_row(shared)])[0].metrics["dsp"].value > 90, "out of context, blocks are counted"


def test_narrow_products_have_dsp_interval_zero() -> None:
    narrow = ROW | {"precision": "ap_fixed<8,3>", "activations": "relu-relu-relu-linear"}
    found = predict([query_of_row(narrow)])[0]
    for metric in ("dsp", "bram_18k"):
        exact = found.metrics[metric]
        assert (exact.value, exact.low, exact.high) == (0, 0, 0)
    # Outside the domain the law may be wrong about that, too.
    streamed = predict([query_of_row(narrow | {"io_type": "io_stream"})])[0]
    assert streamed.metrics["dsp"].value == 0
    assert streamed.metrics["dsp"].high > 0


def test_unknown_silicon_widens_the_interval() -> None:
    known, versal = predict([query_of_row(ROW), query_of_row(ROW | {"part": "xcvc1902-vsva2197-2MP-e-S"})])
    assert known.in_domain
    assert not versal.in_domain

    def ratio(found: Any) -> float:
        return float(found.metrics["lut"].high / found.metrics["lut"].low)

    assert ratio(versal) > 1.2 * ratio(known)


def test_knowing_more_narrows_the_interval() -> None:
    blind, counted = predict([query_of_row(ROW), query_of_row(ROW | {"n_nonzeros": "1024;2048;1024;160"})])
    assert (blind.knowledge, counted.knowledge) == (0, 1)

    def ratio(found: Any) -> float:
        return float(found.metrics["lut"].high / found.metrics["lut"].low)

    assert ratio(counted) < ratio(blind)


def test_conformal_quantile_weighs_families_alike() -> None:
    scores = [0.1] * 98 + [0.5, 0.9, 1.0, 2.0]
    families = ["many"] * 98 + ["a", "b", "c", "d"]
    # Six shares, one of them the design to come: 80 % needs five, and the fifth is the worst family.
    assert family_quantile(scores, families, 0.8) == 2.0
    assert family_quantile(scores, families, 0.5) == 0.9
    assert family_quantile(scores, families, 0.9) is None


def test_factors_are_shrunken_and_families_weigh_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks" / "predictor"))
    fit_factors = importlib.import_module("factors").fit_factors
    queries = [query_of_row(ROW) for _ in range(11)]
    residuals = {"lut": np.array([0.4] * 10 + [0.0])}
    factors = fit_factors(
        queries,
        ["big"] * 10 + ["small"],
        ["latency"] * 11,
        residuals,
        np.ones(11, bool),
        shrinkage={"lut": 1.0},
    )
    assert factors[Group(Flow.CSYNTH, "latency")]["lut"] == pytest.approx(0.2 * 2 / 3)
    total = sum(
        values.get("lut", 0.0)
        for key, values in factors.items()
        if isinstance(key, Group) and (key.flow, key.strategy) == (Flow.CSYNTH, "latency")
    )
    assert 0.13 < total < 0.2


def test_a_band_of_too_few_families_is_not_calibrated() -> None:
    fine, coarse = Regime(Flow.CSYNTH, "distributed"), Regime(Flow.CSYNTH)
    bands = {fine: {"lut": Band(None, None, 2)}, coarse: {"lut": Band(None, 0.3, 6)}}
    calibration = Calibration("t", {}, {}, bands, {}, {})
    assert calibration.band((fine, coarse), "lut").coverage == 0.8
    assert calibration.band((fine,), "lut").coverage is None
    assert min(half_widths(Band(None, 0.3, 6), "lut", 1.0)) > 0.3


def test_keys_of_a_calibration_are_written_and_read_back() -> None:
    shipped = json.loads((data_folder("hw_targets") / "calibration" / "hls_model.json").read_text())
    assert [str(parse_factor_key(key)) for key in shipped["factors"]] == list(shipped["factors"])
    assert [str(parse_band_key(key)) for key in shipped["bands"]] == list(shipped["bands"])
    site = groups("csynth", "latency", "vitis", "ultrascale+", 2023.1)[-1]
    network = NetworkGroup.of(site, query_of_row(ROW), 2)
    assert parse_factor_key(str(network)) == network
    own = SiteRegime(site, "post_route", "latency-rf1", 0)
    assert parse_band_key(str(own)) == own
    for text in ("", "csynth", "moon|latency", "network|csynth|latency|8-4|x|0", "a|b|c|d|e|f"):
        with refused(ErrorKind.INVALID, found=text):
            parse_factor_key(text)
    for text in ("", "moon", "csynth|latency|3", "csynth|latency|1|near", "own|csynth|latency|0"):
        with refused(ErrorKind.INVALID, found=text):
            parse_band_key(text)


def test_shipped_calibration_names_its_data() -> None:
    calibration = read_calibration()
    assert calibration.provenance["designs"] > 700
    assert calibration.provenance["date"]
    assert len(calibration.provenance["families"]) >= 10


def test_an_altered_calibration_is_refused(tmp_path: Path) -> None:
    data = read_calibration().to_json()
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data))
    assert read_calibration(path).name == data["name"]
    data["laws"]["tree_lut_per_bit"] = 0.5
    other = tmp_path / "d.json"
    other.write_text(json.dumps(data))
    with refused(ErrorKind.DAMAGED, where=str(other)):
        read_calibration(other)


# The command


def test_command_fits_eighty_columns_and_states_its_base() -> None:
    result = run(
        "--layers", "16-64-32-32-5", "--precision", "ap_fixed<8,3>", "--target", "xcvu9p", "--clock", "200MHz"
    )
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    for word in ("xcvu9p", "5 ns", "LUT", "calibration", "in domain: yes", "16 x 64 relu", "80 %"):
        assert word in result.output


def test_command_json_sums_its_layers() -> None:
    result = run("--layers", "16-32-5", "--target", "xcu250", "--json", "--tool", "vivado_hls 2019.2")
    data = json.loads(result.output)
    assert data["tool"] == "vivado_hls 2019.2"
    shares = sum(layer["lut"] for layer in data["shares"])
    assert shares == pytest.approx(data["metrics"]["lut"]["value"], rel=0.01)


def test_command_compares_tools() -> None:
    result = run("--layers", "16-32-5", "--compare", "vitis,vivado", "--json")
    found = json.loads(result.output)
    assert [entry["tool"] for entry in found] == ["vitis_hls 2023.2", "vivado_hls 2020.1"]
    text = run("--layers", "16-32-5", "--compare", "vitis,vivado").output
    assert max(len(line) for line in text.splitlines()) <= 80


def test_command_writes_a_csv(tmp_path: Path) -> None:
    source, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ROW, "lut"])
        writer.writeheader()
        writer.writerows([ROW | {"lut": "1"}, ROW | {"row_id": "R2", "layers": "4-2", "lut": ""}])
    result = run(str(source), "--output", str(output))
    assert result.exit_code == 0, result.output
    with output.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row_id"] for line in lines] == ["R1", "R2"]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "nothing"),
        (b"a,b\n1,2\n", "a, b"),
        (b"row_id,layers\nA,\x00\n", ""),
        (b"row_id,layers\nA,\xff\xfe\x80\n", "byte 16"),
        (b"\xff\xferow", "byte 4"),
        (b'row_id,layers\nA,"' + b"1" * 2_000_000 + b'"\n', "line 2"),
    ],
)
def test_hostile_csv_is_a_typed_error(tmp_path: Path, content: bytes, named: str) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes(content)
    result = run(str(source), "--output", str(tmp_path / "out.csv"))
    expect_refusal(result.exception, ErrorKind.WRONG_FORMAT, mentions=[source, named])
    assert not (tmp_path / "out.csv").exists()


def test_other_encodings_of_good_rows(tmp_path: Path) -> None:
    text = "row_id,layers\nA,16-5\n"
    for name, encoding in (("bom.csv", "utf-8-sig"), ("wide.csv", "utf-16")):
        (tmp_path / name).write_text(text, encoding=encoding)
        result = run(str(tmp_path / name))
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[1].startswith("A,")


@pytest.mark.parametrize(
    ("arguments", "kind", "values"),
    [
        ((), ErrorKind.MISSING, {"where": "predict"}),
        (("--layers", "16"), ErrorKind.INVALID, {"where": "--layers", "found": "16"}),
        (("--layers", "16x5"), ErrorKind.INVALID, {"where": "--layers", "found": "16x5"}),
        (("--layers", "16-5", "--precision", "eight"), ErrorKind.INVALID, {"found": "eight"}),
        (("--layers", "16-5", "--precision", "int8"), ErrorKind.INVALID, {"found": "int8"}),
        (
            ("--layers", "16-5", "--hls-strategy", "Unrolled"),
            ErrorKind.UNKNOWN_NAME,
            {"where": "--hls-strategy"},
        ),
        (
            ("--layers", "16-5", "--strategy", "Resource"),
            ErrorKind.INVALID,
            {
                "where": "--strategy",
                "remedy": "give the hls4ml strategy of the layers: --hls-strategy Resource",
            },
        ),
        (
            ("--layers", "16-5", "--strategy", "grid"),
            ErrorKind.INVALID,
            {
                "found": "grid",
                "remedy": "--hls-strategy sets hls4ml's strategy of the layers: Latency, Resource, "
                "distributed_arithmetic",
            },
        ),
        (("--layers", "16-5", "--target", "xcvu9"), ErrorKind.UNKNOWN_NAME, {"found": "xcvu9"}),
        (("--layers", "16-5", "--clock", "0ns"), ErrorKind.INVALID, {"where": "--clock", "found": "0ns"}),
        (("--layers", "16-5", "--stage", "moon"), ErrorKind.UNKNOWN_NAME, {"found": "moon"}),
        (("--layers", "16-5", "--tool", "quartus"), ErrorKind.UNKNOWN_NAME, {"found": "quartus"}),
        (("--layers", "16-5", "--activations", "swish"), ErrorKind.UNKNOWN_NAME, {"found": "swish"}),
        (("--layers", "16-5", "--reuse-factor", "two"), ErrorKind.INVALID, {"found": "two"}),
        (
            ("--layers", "16-5", "--nonzeros", "5;5"),
            ErrorKind.INVALID,
            {"where": "--nonzeros", "found": "5;5"},
        ),
        (("nowhere", "--layers", "16-5"), ErrorKind.CONFLICT, {"found": "nowhere, 16-5"}),
        (("nowhere",), ErrorKind.MISSING, {"found": "nowhere"}),
        (("nowhere.csv",), ErrorKind.NOT_ACCESSIBLE, {"where": "nowhere.csv"}),
    ],
)
def test_command_refuses_with_a_reason(
    arguments: tuple[str, ...], kind: ErrorKind, values: dict[str, str]
) -> None:
    expect_refusal(run(*arguments).exception, kind, **values)


def test_a_model_file_is_predicted_for_the_default_part(tmp_path: Path) -> None:
    """hls4ml's converter would take another one (xcvu13p)."""
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 2)), tmp_path / "m.pt")
    found = json.loads(run(str(tmp_path / "m.pt"), "--json").stdout)
    assert found["part"] == json.loads(run("--layers", "4-2", "--json").stdout)["part"]


def test_refused_flag_names_no_substitute() -> None:
    refused = run("--layers", "16-5", "--reuse-factor", "0").exception
    expect_refusal(
        refused, ErrorKind.INVALID, where="--reuse-factor", what="a reuse factor is at least 1, not 0"
    )


def test_one_design_needs_no_heavy_import() -> None:
    code = (
        "import sys\n"
        "from hwnas_hls_plugins.estimators.hls_model.command import predict_command\n"
        "predict_command(['--layers', '16-64-5', '--precision', 'ap_fixed<8,3>'], standalone_mode=False)\n"
        "heavy = {'torch', 'hls4ml', 'pandas', 'sklearn', 'da4ml', 'optuna', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr


# The estimator


def architecture(reuse: int = 1, strategy: str = "Latency") -> Architecture:
    first = Dense(
        16,
        32,
        "relu",
        P("ap_fixed<6,1>"),
        P("ap_fixed<8,2>"),
        None,
        P("ap_ufixed<7,3,AP_RND,AP_SAT>"),
        reuse,
        strategy,
    )
    return Architecture(P("ap_fixed<12,4>"), (first, Dense(32, 5, "linear", P("ap_fixed<6,1>"), None)), None)


def context(**more: Any) -> Any:
    base = {
        "architecture": lambda candidate: architecture(candidate.values.get("reuse", 1)),
        "space": None,
        "target": shipped_targets().find("xcvu9p"),
        "clock_ns": 5.0,
        "designs": {},
    }
    return SimpleNamespace(**(base | more))


def test_estimator_is_one_and_judges_batches() -> None:
    estimator = HlsModelEstimator()
    assert isinstance(estimator, Estimator)
    candidates = [Candidate("mlp", {"reuse": reuse}) for reuse in (1, 4)]
    found = estimator.estimate(candidates, context())
    assert len(found) == 2
    for estimates in found:
        assert set(estimates.values) == set(estimator.provides)
        for estimate in estimates.values.values():
            assert estimate.source == "predicted"
            assert estimate.low <= estimate.value <= estimate.high
            assert "calibration" in estimate.evidence
        assert estimates.values["latency_ns"].value == 5.0 * estimates.values["latency_cycles"].value
    assert found[0].values["lut"].in_domain


def test_candidates_without_sparsity_are_known_not_to_be_pruned() -> None:
    plan = architecture()
    pruned = dataclasses.replace(
        plan, layers=(dataclasses.replace(plan.layers[0], sparsity=0.5), *plan.layers[1:])
    )
    found = [[layer.unpruned for layer in query_of(one, "xcvu9p").layers] for one in (plan, pruned)]
    assert found == [[True, True], [False, True]]


def test_estimator_uses_weights_of_trained_designs() -> None:
    plan = architecture()
    rng = np.random.default_rng(2)
    weights = tuple(rng.integers(-1, 2, (layer.n_in, layer.n_out)) for layer in plan.layers)
    design = Design(plan, weights, (np.zeros(32, np.int64), None))
    candidate = Candidate("mlp", {"reuse": 1})
    blind = HlsModelEstimator().estimate([candidate], context())[0]
    known = HlsModelEstimator().estimate([candidate], context(designs={candidate.key: design}))[0]
    assert known.values["dsp"].value == 0
    assert known.values["lut"].value < blind.values["lut"].value
    assert "weights known" in known.values["lut"].evidence


def test_estimator_splits_the_numbers_of_trained_designs_by_layer() -> None:
    plan = architecture()
    weights = tuple(np.ones((layer.n_in, layer.n_out), np.int64) for layer in plan.layers)
    design = Design(plan, weights, (np.zeros(32, np.int64), None))
    candidates = [Candidate("mlp", {"reuse": 1}), Candidate("mlp", {"reuse": 4})]
    trained, blind = HlsModelEstimator().estimate(candidates, context(designs={candidates[0].key: design}))
    assert len(trained.layers) == len(plan.layers)
    total = sum(layer["ff"].value for layer in trained.layers)
    assert total == pytest.approx(trained.values["ff"].value, rel=1e-3)
    assert blind.layers == ()


def test_estimator_turns_a_bad_architecture_into_a_failure() -> None:
    def broken(_: Candidate) -> Architecture:
        raise UserError("no such architecture")

    found = HlsModelEstimator().estimate([Candidate("mlp", {})], context(architecture=broken))[0]
    assert found.failure_kind is ErrorKind.INVALID
    expect_mentioned(found.failure, ["no such architecture"])


def test_predict_lists_resources_of_both_stages() -> None:
    arguments = ("--layers", "16-32-5", "--precision", "ap_fixed<8,3>", "--json")
    found, report = (
        json.loads(run(*arguments, *more).stdout)["metrics"] for more in ((), ("--stage", "csynth"))
    )
    search = HlsModelEstimator().estimate([Candidate("mlp", {"reuse": 1})], context())[0].values
    assert set(found) == set(search)
    assert found["lut"]["value"] < found["lut_csynth"]["value"]
    for name in CSYNTH_OF.values():
        assert report[name] == found[name]
    assert not {"lut", "ff", "dsp"} & set(report), "of this stage they have names of their own"
    for name in ("latency_cycles", "latency_ns", "ii_cycles"):
        assert report[name] == found[name]


def test_estimator_config_is_checked() -> None:
    with refused(ErrorKind.UNKNOWN_NAME, found="moon"):
        HlsModelEstimator.Config(stage="moon")
    with refused(ErrorKind.INVALID, found="csynth"):
        HlsModelEstimator.Config(stage="csynth")
    assert HlsModelEstimator.Config().stage == RESOURCE_STAGE


def test_resources_after_logic_synthesis_and_scheduled_cycles() -> None:
    plan = architecture()
    (found,) = HlsModelEstimator().estimate([Candidate("mlp", {"reuse": 1})], context())
    by_stage = {
        stage: predict([query_of(plan, context().target.part, 5.0, stage=stage, softmax="stable")])[0].metrics
        for stage in ("csynth", "logic_synth")
    }
    for metric, name in CSYNTH_OF.items():
        assert found.values[metric].value == by_stage["logic_synth"][metric].value
        assert found.values[name].value == by_stage["csynth"][metric].value
        assert "logic_synth" in found.values[metric].evidence
        assert "csynth" in found.values[name].evidence
    assert found.values["lut"].value < found.values["lut_csynth"].value
    cycles = found.values["latency_cycles"]
    assert (cycles.low, cycles.value, cycles.high) == tuple(
        getattr(by_stage["csynth"]["latency_cycles"], end) for end in ("low", "value", "high")
    )


def test_the_query_of_a_graph_has_its_layers_with_weights_and_a_note() -> None:
    whole = architecture()
    first = whole.chain[0]
    kind = first.output_type(whole.input)
    joined = Merge("concatenate", (first.n_out, first.n_out), (0, 0))
    last = Dense(2 * first.n_out, 3, "linear", first.weight, None, inputs=(1,))
    graph = dataclasses.replace(whole, layers=(first, joined, last))
    query = query_of(graph, "xcvu9p")
    assert [(layer.n_in, layer.n_out) for layer in query.layers] == [
        (first.n_in, first.n_out),
        (2 * first.n_out, 3),
    ]
    assert query.layers[1].input == joined.output_type(kind, kind)
    assert query.warnings == (NO_CHAIN,)
    assert NO_CHAIN in predict([query])[0].warnings
    assert query_of(whole, "xcvu9p").warnings == ()


def test_query_of_takes_exact_accumulators() -> None:
    query = query_of(architecture(), "xcvu9p")
    assert query.layers[0].accum == architecture().layers[0].exact_accum(P("ap_fixed<12,4>"))
    assert query.layers[1].input == P("ap_ufixed<7,3,AP_RND,AP_SAT>")
    found = predict([query])[0]
    assert found.in_domain, found.reasons
    assert all(math.isfinite(interval.value) for interval in found.metrics.values())


# Against real reports, where they are at hand


@pytest.mark.skipif(
    "HWNAS_CALIBRATION_DIR" not in os.environ, reason="HWNAS_CALIBRATION_DIR names no folder of designs"
)
def test_calibration_rows_are_predicted_as_stated() -> None:
    folder = Path(os.environ["HWNAS_CALIBRATION_DIR"])
    with (folder / "designs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = written(rows, folder / "weights")
    assert len(lines) == len(rows)
    errors, exact, hits = [], [], []
    for row, line in zip(rows, lines, strict=True):
        if row["family"] == "dend_single_resource" and row["reuse_factor"] != "1":
            errors.append(abs(float(line["lut"]) / float(row["lut"]) - 1))
            exact.append(line["latency_cycles"] == row["latency_cycles_max"] and line["ii"] == row["ii_min"])
        hits.append(float(line["lut_low"]) <= float(row["lut"]) <= float(line["lut_high"]))
    assert np.median(errors) < 0.01
    assert np.mean(exact) > 0.99
    assert np.mean(hits) > 0.85
