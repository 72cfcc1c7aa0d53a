"""What people change in projects that hls4ml wrote, so that the tool builds something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from old_projects import edited
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.folder import read_folder
from hwnas_hls.hls4ml.lint import lint_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query import Query

PIPELINE = "#pragma HLS PIPELINE"


def _scripted(folder: Path, project: str, build: str) -> Query:
    """A project of both scripts, as newer releases write them."""
    edited(folder, PIPELINE, PIPELINE)
    (folder / "project.tcl").write_text(f'set project_name "tagger"\n{project}')
    (folder / "build_prj.tcl").write_text(f"source project.tcl\nset_top $project_name\n{build}")
    return read_folder(folder)


def _conflicts(query: Query, what: str) -> int:
    return sum(note.kind == NoteKind.CONFLICT and note.text.startswith(what) for note in query.warnings)


PROJECT = 'set part "xc7z020clg400-1"\nset clock_period 10\nset clock_uncertainty 12.5%\n'
BUILD = (
    "set_part $part\ncreate_clock -period $clock_period\nset_clock_uncertainty $clock_uncertainty default\n"
)


def test_a_value_in_the_script_that_the_tool_runs_wins(tmp_path: Path) -> None:
    plain = _scripted(tmp_path / "plain", PROJECT, BUILD)
    assert (plain.part, plain.clock_ns, plain.clock_uncertainty) == ("xc7z020clg400-1", 10.0, 0.125)
    assert {note.kind for note in plain.warnings} <= {NoteKind.ASSUMED, NoteKind.UNREAD}

    build = BUILD.replace("$part", "{xcku115-flvf1924-2-i}").replace("$clock_period", '"2"')
    literal = _scripted(tmp_path / "literal", PROJECT, build.replace("$clock_uncertainty", "0.5"))
    assert (literal.part, literal.clock_ns, literal.clock_uncertainty) == ("xcku115-flvf1924-2-i", 2.0, 0.25)
    for what in ("part", "clock period", "clock uncertainty"):
        assert _conflicts(literal, what)


def test_a_command_in_a_comment_is_no_setting(tmp_path: Path) -> None:
    commented = "# create_clock -period 2\n# set_clock_uncertainty 0.5\n"
    query = _scripted(tmp_path, PROJECT, commented + BUILD)
    assert (query.clock_ns, query.clock_uncertainty) == (10.0, 0.125)


@pytest.mark.parametrize("part", ["xcfoo", "z7"])
def test_an_unknown_part_is_not_exchanged_for_that_of_the_configuration(tmp_path: Path, part: str) -> None:
    query = _scripted(tmp_path, PROJECT.replace("xc7z020clg400-1", part), BUILD)
    assert query.part == part
    assert _conflicts(query, "part")


KERNELS = ("DenseLatency", "DenseResource_rf_leq_nin")
PRODUCT = "    template<class x_T, class y_T, class res_T>"
LIMIT = "DIV_ROUNDUP(n_in * n_out, reuse_factor) - n_zeros / reuse_factor"


def _configured(folder: Path, old: str, new: str) -> Query:
    """A project with one text of its configurations changed."""
    return read_folder(edited(folder, old, new, "firmware/parameters.h"))


@pytest.mark.parametrize(
    ("kernel", "strategy", "outside"),
    [
        ("DenseLatency", "Latency", 0),
        ("DenseResource_rf_leq_nin", "Resource", 2),
        ("DenseResource_rf_gt_nin_rem0", "Resource", 2),
        ("MyDense", "Latency", 2),
    ],
)
def test_the_kernel_decides_and_not_the_strategy_beside_it(
    tmp_path: Path, kernel: str, strategy: str, outside: int
) -> None:
    header = "    template<class data_T, class res_T, class C>\n"
    using = f"{header}    using kernel = nnet::{kernel}<data_T, res_T, C>;\n"
    query = _configured(tmp_path, PRODUCT, using + PRODUCT)
    assert {layer.strategy for layer in query.layers} == {strategy}
    assert sum(kernel in note.text for note in query.reasons) == outside


@pytest.mark.parametrize("product", ["weight_binary", "weight_ternary", "weight_exponential", "my_product"])
def test_another_product_is_outside_the_domain(tmp_path: Path, product: str) -> None:
    reasons = _configured(tmp_path, "product::mult<", f"product::{product}<").reasons
    assert [note.kind for note in reasons] == [NoteKind.NO_DATA] * 2
    assert all(product in note.text for note in reasons)


@pytest.mark.parametrize(
    ("limit", "outside"),
    [(LIMIT, 0), (LIMIT.replace(" ", ""), 0), ("4", 0), ("n_in * n_out", 0), ("2", 1), ("1", 2), ("MANY", 2)],
)  # the layers have 6 - 2 and 4 - 2 products at once
def test_a_limit_below_the_products_is_outside_the_domain(tmp_path: Path, limit: str, outside: int) -> None:
    line = f"    static const unsigned multiplier_limit = {limit};\n"
    assert len(_configured(tmp_path, PRODUCT, line + PRODUCT).reasons) == outside


def test_an_activation_of_another_size_is_refused(tmp_path: Path) -> None:
    old = "activ_config {\n    static const unsigned n_in = N_LAYER_2;"
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["fc1_relu", "8"]):
        _configured(tmp_path, old, old.replace("N_LAYER_2", "8"))


def test_lint_of_one_bit_weights_sees_no_stale_configuration(tmp_path: Path) -> None:
    for name, product in (("zeros", "mult"), ("signs", "weight_binary")):
        folder = edited(tmp_path / name, "product::mult<", f"product::{product}<", "firmware/parameters.h")
        defines = folder / "firmware" / "defines.h"
        text = defines.read_text()
        defines.write_text(text.replace("typedef ap_fixed<8,3> weight2_t", "typedef ap_uint<1> weight2_t"))
        (folder / "firmware" / "weights" / "w2.txt").write_text(", ".join("011010011101"))
        config = folder / "hls4ml_config.yml"
        named = "  LayerName: {fc1: {Precision: {weight: 'ap_uint<1>'}, ReuseFactor: 2}}\n"
        config.write_text(config.read_text() + named)
        assert "stale-config" not in {finding.rule for finding in lint_folder(folder)}


@pytest.mark.parametrize(
    ("pragma", "outside"),
    [
        ("ARRAY_PARTITION variable=layer2_out complete dim=0", 0),
        ("ARRAY_RESHAPE variable=fc1_input type=complete dim=1", 0),
        ("ARRAY_PARTITION variable=layer2_out cyclic factor=4 dim=0", 1),
        ("array_reshape variable=fc1_input type = block factor = 2", 1),
        ("BIND_STORAGE variable=w2 type=rom_1p impl=bram", 1),
        ("BIND_OP variable=layer2_out op=mul impl=fabric", 1),
        ("RESOURCE variable=layer2_out core=Mul_LUT", 1),
    ],
)
def test_pragmas_that_hls4ml_does_not_write_are_outside_the_domain(
    tmp_path: Path, pragma: str, outside: int
) -> None:
    query = read_folder(edited(tmp_path, PIPELINE, f"{PIPELINE}\n    #pragma HLS {pragma}"))
    assert [note.about for note in query.reasons] == ["pragma"] * outside
    assert {layer.multipliers for layer in query.layers} == {None}  # one array is not every layer


@pytest.mark.parametrize(
    ("line", "outside", "multipliers"),
    [
        ("set_directive_array_partition -type cyclic -factor 4 tagger layer2_out", 1, None),
        ("set_directive_bind_op -op mul -impl fabric tagger layer2_out", 1, None),
        ("config_op mul -impl fabric", 0, "fabric"),
        ("# config_op mul -impl fabric", 0, None),
        ("config_op add -impl dsp", 1, None),
        ("config_op mul -impl fabric\nconfig_op mul -impl dsp", 1, "fabric"),
    ],
)
def test_directives_of_operations_and_arrays(
    tmp_path: Path, line: str, outside: int, multipliers: str | None
) -> None:
    query = _scripted(tmp_path, PROJECT, f"{BUILD}{line}\n")
    assert [note.about for note in query.reasons] == ["pragma"] * outside
    assert {layer.multipliers for layer in query.layers} == {multipliers}


def test_small_products_in_dsps_are_outside_the_domain(tmp_path: Path) -> None:
    folder = edited(tmp_path, "ap_fixed<16,6> input_t", "ap_fixed<6,3> input_t", "firmware/defines.h")
    assert read_folder(folder).reasons == ()
    script = folder / "build_prj.tcl"
    script.write_text(f"{script.read_text()}config_op mul -impl dsp\n")
    assert len(read_folder(folder).reasons) == 2  # 6 and 7 bits


def test_a_top_function_that_no_source_has_is_said(tmp_path: Path) -> None:
    query = _scripted(tmp_path / "plain", PROJECT, BUILD)
    assert query.reasons == ()
    folder = tmp_path / "plain"
    source = folder / "firmware" / "tagger.cpp"
    source.write_text(source.read_text().replace("void tagger(", "void trigger("))
    (reason,) = read_folder(folder).reasons
    assert "tagger" in reason.text
    assert "trigger" in reason.text


@pytest.mark.parametrize(
    ("interval", "outside"), [("CONFIG_T::reuse_factor", 0), ("1 rewind", 0), ("2", 1), ("16", 1)]
)
def test_an_interval_in_a_header_is_outside_the_domain(tmp_path: Path, interval: str, outside: int) -> None:
    folder = edited(tmp_path, PIPELINE, PIPELINE)
    (folder / "firmware" / "nnet_utils").mkdir()
    header = folder / "firmware" / "nnet_utils" / "nnet_dense_latency.h"
    header.write_text(f"void dense_latency() {{\n    #pragma HLS PIPELINE II={interval}\n}}\n")
    assert [note.about for note in read_folder(folder).reasons] == ["pragma"] * outside
