"""Projects in the dress of older hls4ml versions, written by hand, and what strangers do to them."""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from old_projects import WEIGHTS1, WEIGHTS2, edited, fifth_release, first_release, write
from refusal import refused

from hwnas_hls.errors import EXIT_USER, ErrorKind, HwnasError, ReportError, Unsupported, UserError
from hwnas_hls.hls4ml.folder import read_config, read_folder
from hwnas_hls.hls4ml.folder.adder_graph import read_graph
from hwnas_hls.hls4ml.folder.expressions import evaluate
from hwnas_hls.hls4ml.folder.preprocessor import holds
from hwnas_hls.hls4ml.lint import lint_config, lint_folder
from hwnas_hls.hls4ml.models import read_model
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.network.precision import FixedType


def test_the_first_releases(tmp_path: Path) -> None:
    query = read_folder(first_release(tmp_path))
    first, second = query.layers
    assert (query.shape, query.part, query.clock_ns) == ("3-4-2", "xcku115-flvf1924-2-i", 5.0)
    assert query.tool.startswith("vivado_hls")
    assert (first.activation, first.reuse_factor, first.strategy) == ("relu", 2, "Latency")
    assert (first.weight, first.accum) == (FixedType(8, 3), FixedType(18, 8))
    np.testing.assert_array_equal(first.weights, WEIGHTS1)
    np.testing.assert_array_equal(first.biases, np.arange(4))
    np.testing.assert_array_equal(second.weights, WEIGHTS2)
    assert (first.n_nonzeros, second.activation, query.softmax) == (7, "softmax", "legacy")


@pytest.mark.parametrize("style", ["latency", "resource", "compressed"])
def test_the_releases_of_2021(tmp_path: Path, style: str) -> None:
    folder = fifth_release(tmp_path, resource=style != "latency", compressed=style == "compressed")
    query = read_folder(folder)
    first, second = query.layers
    np.testing.assert_array_equal(first.weights, WEIGHTS1)
    np.testing.assert_array_equal(second.weights, WEIGHTS2)
    assert first.strategy.lower() == style
    # its DATAFLOW is hls4ml's own, except above an unrolled layer
    assert [note.about for note in query.reasons] == (["pragma"] if style == "latency" else [])
    assert first.dense_out == FixedType(14, 5, rounding="RND", overflow="SAT")
    assert first.result == FixedType(7, 2, signed=False, rounding="RND_CONV", overflow="SAT")
    assert second.input == first.result
    assert (query.clock_uncertainty, query.clock_ns, query.backend, query.name) == (
        0.125,
        10.0,
        "Vivado",
        "tagger",
    )
    assert query.part == "xc7z020clg400-1"
    assert NoteKind.CONFLICT not in {note.kind for note in query.warnings}  # both spellings are one part


PIPELINE = "#pragma HLS PIPELINE"


@pytest.mark.parametrize(
    ("new", "outside"),
    [
        (PIPELINE, 0),
        (f"{PIPELINE} II=2", 0),  # the reuse factor of both layers
        (f"{PIPELINE} II = 8", 1),
        ("#pragma hls pipeline ii=8", 1),
        (f"{PIPELINE} II=NET_II", 1),  # a name that nothing defines
        (f"{PIPELINE} II=4*N_LAYER_5", 1),
        ("#pragma HLS DATAFLOW", 1),
        ("", 1),  # layers wait for each other
        (f"{PIPELINE}\n#pragma HLS INTERFACE s_axilite port=fc1_input bundle=control", 1),
        (f"{PIPELINE}\n#pragma HLS INTERFACE mode=s_axilite port=return bundle=control", 1),
        (f"{PIPELINE}\n#pragma HLS interface m_axi port=fc1_input offset=slave", 1),
        (f"{PIPELINE}\n#pragma HLS INTERFACE ap_memory port=fc1_input", 1),
        (f"{PIPELINE}\n#pragma HLS INTERFACE ap_vld port=fc1_input", 0),
        (f"{PIPELINE}\n#pragma HLS INTERFACE mode=ap_ctrl_none port=return", 0),
        ("#pragma HLS PIPELINE off", 1),
        (f"{PIPELINE}\n#pragma HLS ALLOCATION operation instances=mul limit=4", 1),
        (f"{PIPELINE}\n#pragma HLS LATENCY min=20", 1),
        (f"{PIPELINE}\n#pragma HLS INLINE recursive", 1),
        (f"{PIPELINE} \\\n    II=8", 1),
        (f"{PIPELINE} \\\r\n    II=8", 1),
        ('_Pragma("HLS PIPELINE II=8")', 1),
        (f"{PIPELINE} rewind", 1),
        (f"{PIPELINE} II=1 style=frp", 1),
    ],
)
def test_pragmas_of_the_top_function_are_judged(tmp_path: Path, new: str, outside: int) -> None:
    query = read_folder(edited(tmp_path, PIPELINE, new))
    assert [note.about for note in query.reasons] == ["pragma"] * outside
    assert query.pipeline_ii == (8 if "8" in new or "4*" in new else None)


@pytest.mark.parametrize(
    "line",
    [
        'set_directive_pipeline -II 8 "tagger"',
        "set_directive_dataflow tagger",
        'set_directive_interface -mode s_axilite "tagger" fc1_input',
        'set_directive_unroll "tagger/dense_latency/Product1"',
    ],
)
@pytest.mark.parametrize("file", ["build_prj.tcl", "directives.tcl", "tagger_prj/solution1/directives.tcl"])
def test_directives_of_scripts_are_judged_as_pragmas(tmp_path: Path, line: str, file: str) -> None:
    folder = edited(tmp_path, PIPELINE, PIPELINE)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    before = (folder / file).read_text() if (folder / file).exists() else ""
    (folder / file).write_text(f"{before}\n# {line}\n")
    assert read_folder(folder).reasons == ()
    (folder / file).write_text(f"{before}\n{line}\n")
    assert [note.about for note in read_folder(folder).reasons] == ["pragma"]


def test_pragmas_of_other_functions_are_not_those_of_the_top_function(tmp_path: Path) -> None:
    other = "#pragma HLS PIPELINE II=16\n#pragma HLS DATAFLOW\n    for (int i = 0; i < 4; i++) a[i] = 0;"
    query = read_folder(
        edited(tmp_path, "void tagger(", f"void zero(int a[4]) {{\n{other}\n}}\nvoid tagger(")
    )
    assert (query.reasons, query.pipeline_ii) == ((), None)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("    auto& layer9_out", "    mask(layer4_out);\n    auto& layer9_out", "layer4_out"),
        ("// fc2\n", "// fc2\n    layer5_out[0] = layer5_out[1];\n", "layer5_out"),
    ],
)
def test_code_that_hls4ml_did_not_write_is_not_counted(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    query = read_folder(edited(tmp_path, old, new))
    assert [note.kind for note in query.reasons] == [NoteKind.UNCOUNTED]
    assert named in query.reasons[0].text


def test_another_top_function_of_the_script_is_not_counted(tmp_path: Path) -> None:
    folder = edited(tmp_path, PIPELINE, PIPELINE)
    path = folder / "build_prj.tcl"
    path.write_text(path.read_text().replace("set_top tagger", "set_top kernel"))
    assert [note.kind for note in read_folder(folder).reasons] == [NoteKind.NO_DATA]  # there is none such
    write(folder, {"firmware/kernel.cpp": "void kernel(input_t x[3], result_t y[2]) { tagger(x, y); }\n"})
    assert [note.kind for note in read_folder(folder).reasons] == [NoteKind.UNCOUNTED]


def test_a_pipeline_above_resource_layers_is_outside(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path)
    path = folder / "firmware" / "tagger.cpp"
    path.write_text(path.read_text().replace("HLS DATAFLOW", "HLS PIPELINE"))
    assert [note.about for note in read_folder(folder).reasons] == ["pragma"]


def test_stream_that_nothing_writes_is_refused(tmp_path: Path) -> None:
    folder = edited(tmp_path, "config2>(fc1_input,", "config2>(layer1_out,")
    path = folder / "firmware" / "tagger.cpp"
    text = path.read_text()
    path.write_text(
        text.replace("    layer2_t layer2_out[", "    input_t layer1_out[3];\n    layer2_t layer2_out[", 1)
    )
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["layer1_out"]):
        read_folder(folder)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("config5>(layer9_out, layer5_out,", "config5>(layer9_out, lost_out,", "lost_out"),
        ("fc1_input[N_INPUT_1_1]", "fc1_input[2]", "fc1_input"),
        ("fc1_input[N_INPUT_1_1]", "fc1_input[7]", "fc1_input"),
        ("layer2_out[N_LAYER_2]", "layer2_out[3]", "layer2_out"),
        ("layer5_out[N_LAYER_5]\n", "layer5_out[1]\n", "layer5_out"),
        ("config2>(fc1_input,", "config2>(nowhere,", "nowhere"),
    ],
    ids=[
        "result that no port gives",
        "port smaller than the layer",
        "port larger than the layer",
        "array smaller than its layer",
        "port smaller than the result",
        "input that is not declared",
    ],
)
def test_ports_that_do_not_fit_are_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    folder = edited(tmp_path, old, new)
    path = folder / "firmware" / "tagger.cpp"
    call = "    auto& layer9_out = layer4_out;"
    path.write_text(path.read_text().replace(call, f"    result_t lost_out[N_LAYER_5];\n{call}"))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[named]):
        read_folder(folder)


@pytest.mark.parametrize(
    ("guard", "hidden"),
    [
        ("#ifdef LOAD_WEIGHTS_FROM_TXT", True),
        ("#ifndef LOAD_WEIGHTS_FROM_TXT", False),
        ("#ifdef N_LAYER_2", False),
        ("#if 0", True),
        ("#if defined(LOAD_WEIGHTS)", True),
        ("#if defined(N_LAYER_2)", False),
    ],
)
def test_code_behind_an_undefined_name_is_not_there(tmp_path: Path, guard: str, hidden: bool) -> None:
    call = "    auto& layer9_out = layer4_out;"
    other = "nnet::conv_2d_cl<layer4_t, layer4_t, config5>(layer4_out, layer4_out, w5, b5); // c"
    folder = edited(tmp_path, call, f"{guard}\n    {other}\n#endif\n{call}")
    if hidden:
        assert read_folder(folder).shape == "3-4-2"
    else:
        with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["conv_2d_cl"]):
            read_folder(folder)


LOADING = "#ifndef __SYNTHESIS__\n    static bool loaded_weights"


@pytest.mark.parametrize(
    "guard",
    [
        "#ifdef LOAD_WEIGHTS_FROM_TXT",
        "#if LOAD_WEIGHTS",
        "#if defined(LOAD_TXT) && defined(SIM)",
        "#if defined(LOAD_TXT) || !defined(__SYNTHESIS__)",
        "#if LOAD_LEVEL > 1",
        "#if !(defined(__SYNTHESIS__))",
        "#ifdef __SYNTHESIS__\n#else",
        "#if 0",
        "#if 1",  # it is compiled, and loads nothing in hardware
        "#ifndef WEIGHTS_IN_HEADERS",
    ],
)
def test_loading_weights_builds_nothing(tmp_path: Path, guard: str) -> None:
    folder = edited(tmp_path, LOADING, f"{guard}\n    static bool loaded_weights")
    query = read_folder(folder)
    assert (query.shape, query.reasons) == ("3-4-2", ())


@pytest.mark.parametrize(
    ("first", "shape"),
    [
        ("#ifdef WIDE", "3-4-2"),
        ("#if WIDE", "3-4-2"),
        ("#if defined(WIDE)\n#define N_LAYER_2 9\n#elif defined(WIDER)", "3-4-2"),
        ("#define WIDE\n#ifndef WIDE", "3-4-2"),
        ("#define WIDE 0\n#if WIDE", "3-4-2"),
        ("#define WIDE 2\n#undef WIDE\n#if WIDE >= 2", "3-4-2"),
    ],
)
def test_branches_of_headers_are_those_of_the_compiler(tmp_path: Path, first: str, shape: str) -> None:
    line = "#define N_LAYER_2 4"
    folder = edited(
        tmp_path, line, f"{first}\n#define N_LAYER_2 64\n#else\n{line}\n#endif", "firmware/defines.h"
    )
    assert read_folder(folder).shape == shape


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("A == 1", True),
        ("defined(A) && A > 1", False),
        ("A && !MISSING", True),
        ("MISSING || __SYNTHESIS__", True),
        ("defined __SYNTHESIS__ && (A >= 1 || MISSING)", True),
        ("!(defined(A) || defined(EMPTY))", False),
        ("0x10 == 16 && 4UL > 3", True),
        ("__VITIS_HLS__ && 0", False),
        ("__VITIS_HLS__ || A", True),
        ("__VITIS_HLS__", None),  # which compiler it is, no file says
        ("!__cplusplus", None),
        ("EMPTY", None),
        ("F(3) > 2", None),
        ("A ==", None),
        ("(A", None),
        ("(" * 5000, None),
    ],
)
def test_conditions_are_decided_as_the_compiler_does(condition: str, value: bool | None) -> None:
    assert holds("if", condition, {"A": "1", "EMPTY": "", "F": ""}) is value


def test_flags_of_the_build_script_define_names(tmp_path: Path) -> None:
    line = "#define N_LAYER_2 4"
    folder = edited(
        tmp_path, line, f"#ifdef SMALL\n{line}\n#else\n#define N_LAYER_2 64\n#endif", "firmware/defines.h"
    )
    with refused(ErrorKind.MISMATCH, ReportError, mentions=["w2.txt"]):
        read_folder(folder)
    script = folder / "build_prj.tcl"
    text = script.read_text()
    script.write_text(f'{text}add_files -tb tb.cpp -cflags "-DSMALL"\n')
    with refused(ErrorKind.MISMATCH, ReportError, mentions=["w2.txt"]):
        read_folder(folder)
    script.write_text(f'{text}add_files firmware/tagger.cpp -cflags "-std=c++0x -DSMALL"\n')
    assert read_folder(folder).shape == "3-4-2"


def test_names_of_an_included_header_count(tmp_path: Path) -> None:
    call = "    auto& layer9_out = layer4_out;"
    other = "nnet::conv_2d_cl<layer4_t, layer4_t, config5>(layer4_out, layer4_out, w5, b5); // c"
    folder = edited(tmp_path, call, f"#ifdef WITH_CONV\n    {other}\n#endif\n{call}")
    source = folder / "firmware" / "tagger.cpp"
    source.write_text(f'#include "tagger.h"\n{source.read_text()}')
    write(folder, {"firmware/tagger.h": "#define TAGGER_H\n"})
    assert read_folder(folder).shape == "3-4-2"
    write(folder, {"firmware/tagger.h": "#define WITH_CONV\n"})
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["conv_2d_cl"]):
        read_folder(folder)


@pytest.mark.parametrize("size", ["1", "2", "4"])
def test_streams_have_whole_words(tmp_path: Path, size: str) -> None:
    folder = edited(tmp_path, "layer2_t layer2_out[N_LAYER_2];", "hls::stream<word_t> layer2_out;")
    path = folder / "firmware" / "defines.h"
    text = path.read_text()
    path.write_text(f"{text}typedef nnet::array<ap_fixed<8,3>, {size}*1> word_t;\n")
    assert read_folder(folder).shape == "3-4-2"
    path.write_text(f"{text}typedef nnet::array<ap_fixed<8,3>, {size}+{size}+1> word_t;\n")
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["layer2_out"]):
        read_folder(folder)


CASTS = """namespace nnet {
template<typename input_t, typename output_t>
void fc1_iq(input_t *inp, output_t *out) {
    #pragma HLS INLINE

    out[0] = ap_fixed<5,3,AP_RND,AP_WRAP>(inp[0]);
    out[1] = 0;
    out[2] = ap_ufixed<4,2,AP_TRN,AP_WRAP>(inp[2]);
}
}
"""


def test_quantisers_of_single_values_under_latency(tmp_path: Path) -> None:
    """HGQ2 without distributed arithmetic: a function casts each value to a type of its own."""
    call = "    input_t cast[3];\n    nnet::fc1_iq<input_t, input_t>(fc1_input, cast); // fc1_iq\n"
    folder = edited(tmp_path, "    layer2_t layer2_out[N", f"{call}    layer2_t layer2_out[N")
    source = folder / "firmware" / "tagger.cpp"
    source.write_text(source.read_text().replace("config2>(fc1_input,", "config2>(cast,"))
    code = (
        write(folder, {"firmware/nnet_utils/nnet_code_gen.h": CASTS}) / "firmware/nnet_utils/nnet_code_gen.h"
    )
    query = read_folder(folder)
    assert query.layers[0].features == (FixedType(5, 3, rounding="RND"), None, FixedType(4, 2, signed=False))
    assert NoteKind.UNCOUNTED in {note.kind for note in query.warnings}  # one of them rounds
    for other in ("inp[1]);", "inp[0]) + 1;"):
        code.write_text(CASTS.replace("inp[0]);", other))
        with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["fc1_iq"]):
            read_folder(folder)


@pytest.mark.parametrize(
    ("wide", "once"),
    [
        ("ap_ufixed<13,4>", True),  # every bit of the sums
        ("ap_ufixed<10,4>", True),  # with the bit that rounds, by truncation
        ("ap_ufixed<6,4>", False),  # without it
        ("ap_ufixed<12,3>", False),  # wraps before it saturates
        ("ap_ufixed<12,4,AP_RND>", False),  # rounds before it rounds
    ],
)
def test_casts_between_layers_are_types_of_neurons_if_nothing_is_cast_twice(
    wide: str, once: bool, tmp_path: Path
) -> None:
    call = "nnet::fc2_iq<layer4_t, layer4_t>(layer4_out, layer9_out); // fc2_iq\n"
    name = "    auto& layer9_out = layer4_out;\n"
    folder = edited(tmp_path, name, f"    layer4_t layer9_out[N_LAYER_2];\n    {call}")
    defines = folder / "firmware" / "defines.h"
    defines.write_text(defines.read_text().replace("ap_ufixed<7,2,(ap_q_mode)4,(ap_o_mode)0>", wide))
    casts = CASTS.replace("fc1_iq", "fc2_iq").replace(
        "ap_fixed<5,3,AP_RND,AP_WRAP>", "ap_ufixed<4,2,AP_RND,AP_SAT>"
    )
    casts = casts.replace("ap_ufixed<4,2,AP_TRN,AP_WRAP>", "ap_ufixed<2,1,AP_RND,AP_SAT>")
    last = "    out[3] = ap_ufixed<5,2,AP_RND,AP_SAT>(inp[3]);\n}\n}\n"
    write(folder, {"firmware/nnet_utils/nnet_code_gen.h": casts.removesuffix("}\n}\n") + last})
    query = read_folder(folder)
    first, second = query.layers
    assert [note.kind for note in query.reasons].count(NoteKind.UNCOUNTED) == (not once)
    if once:
        assert first.result == second.input == FixedType(5, 2, False, "RND", "SAT")
        own = (FixedType(4, 2, False), None, FixedType(2, 1, False), FixedType(5, 2, False))
        assert second.features == query.neurons[0] == own
    else:
        assert first.result == FixedType.parse(wide)


def test_inputs_quantised_one_by_one_are_followed() -> None:
    code = """void dense_da_7(inp_t model_inp[2], out_t model_out[2]) {
    ap_fixed<5,3,AP_RND,AP_WRAP> model_inp_q_0 = model_inp[1];
    ap_fixed<4,2,AP_RND,AP_WRAP> model_inp_q_1 = model_inp[0];
    ap_fixed<5,3> v0 = model_inp_q_0; // 0.0
    ap_fixed<4,2> v1 = model_inp_q_1; // 0.0
    ap_fixed<7,5> v2 = v0 + bit_shift<1>(v1); // 1.0
    model_out[0] = v2;
    model_out[1] = -v0;
}
"""
    graph = read_graph(code, "dense_da_7", 2, 2)
    assert graph is not None
    values = graph.weights * 2.0**-graph.weight.fraction
    np.testing.assert_array_equal(values, [[2.0, 0.0], [1.0, -1.0]])
    assert graph.features == (FixedType.parse("fixed<4,2,RND,WRAP>"), FixedType.parse("fixed<5,3,RND,WRAP>"))
    assert read_graph(code.replace("model_inp_q_1 =", "other ="), "dense_da_7", 2, 2) is None
    unread = read_graph(code.replace("model_inp_q_1 = model_inp[0]", "model_inp_q_0 = 0"), "dense_da_7", 2, 2)
    assert unread is None  # v1 takes an input that nothing defines
    code = code.replace(
        "ap_fixed<4,2,AP_RND,AP_WRAP> model_inp_q_1 = model_inp[0]", "ap_ufixed<1, 0> model_inp_q_1 = 0"
    )
    unread = read_graph(code.replace("model_inp[1]", "model_inp[0]"), "dense_da_7", 2, 2)
    assert unread is not None
    assert unread.features == (FixedType.parse("fixed<5,3,RND,WRAP>"), None)
    np.testing.assert_array_equal(unread.weights * 2.0**-unread.weight.fraction, [[1.0, -1.0], [0.0, 0.0]])


def test_weights_that_are_missing_leave_the_counts(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path)
    (folder / "firmware/weights/w2.txt").unlink()
    layer = read_folder(folder).layers[0]
    assert (layer.weights, layer.n_nonzeros) == (None, 7)


def test_binary_weights_are_signs(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path, resource=False)
    defines = folder / "firmware/defines.h"
    defines.write_text(
        defines.read_text().replace("typedef ap_fixed<8,3> weight2_t", "typedef ap_uint<1> weight2_t")
    )
    (folder / "firmware/weights/w2.txt").write_text(", ".join("011010011101"))
    zeros = read_folder(folder)  # hls4ml multiplies by 0 and 1 if the configuration says so
    assert (zeros.layers[0].weight, len(zeros.reasons)) == (FixedType(1, 1, signed=False), 2)
    assert zeros.layers[0].n_nonzeros == 7
    parameters = folder / "firmware/parameters.h"
    parameters.write_text(parameters.read_text().replace("product::mult", "product::weight_binary"))
    query = read_folder(folder)
    assert query.layers[0].weight == FixedType(2, 2)
    np.testing.assert_array_equal(query.layers[0].weights.ravel(), [-1, 1, 1, -1, 1, -1, -1, 1, 1, 1, -1, 1])
    assert NoteKind.NO_DATA in {note.kind for note in query.reasons}


def test_directives_that_bind_multipliers(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path)
    assert read_folder(folder).layers[0].multipliers is None
    directive = "#pragma HLS BIND_OP variable=mult op=mul impl=dsp\n"
    write(folder, {"firmware/nnet_utils/nnet_dense_latency.h": directive})
    assert read_folder(folder).layers[0].multipliers is None  # its layers use another header
    write(folder, {"firmware/nnet_utils/nnet_dense_resource.h": f"// {directive}"})
    assert read_folder(folder).layers[0].multipliers is None
    write(folder, {"firmware/nnet_utils/nnet_dense_resource.h": directive})
    assert read_folder(folder).layers[0].multipliers == "dsp"
    write(folder, {"firmware/nnet_utils/nnet_dense_resource.h": directive.replace("dsp", "fabric")})
    assert read_folder(folder).layers[0].multipliers == "fabric"


@pytest.mark.parametrize(
    ("name", "old", "new", "error", "named"),
    [
        ("tagger.cpp", "nnet::relu<", "nnet::conv_1d_cl<", Unsupported, "nnet::conv_1d_cl"),
        ("tagger.cpp", "(layer9_out, ", "(fc1_input, ", Unsupported, "fc1_input"),
        ("tagger.cpp", "void tagger(", "int tagger(", ReportError, "firmware/*.cpp"),
        ("tagger.cpp", "config5>(", "config6>(", ReportError, "config6"),
        ("tagger.cpp", "nnet::relu<layer2_t, ", "nnet::relu<layer7_t, ", Unsupported, "layer7_t"),
        ("defines.h", "ap_fixed<14,5,AP_RND,AP_SAT>", "float", Unsupported, "float"),
        ("defines.h", "ap_fixed<14,5,AP_RND,AP_SAT>", "layer2_t", Unsupported, "layer2_t"),
        ("defines.h", "ap_fixed<14,5,AP_RND,AP_SAT>", "ap_fixed<999,5>", Unsupported, "ap_fixed<999,5>"),
        ("defines.h", "#define N_LAYER_2 4", "#define N_LAYER_2 N_LAYER_2", ReportError, "n_out"),
        ("defines.h", "#define N_LAYER_2 4", "#define N_LAYER_2 99999999999", ReportError, "n_out"),
        ("defines.h", "#define N_LAYER_2 4", "#define N_LAYER_2 system(1)", ReportError, "n_out"),
        (
            "defines.h",
            "#define N_LAYER_2 4",
            "#define N_LAYER_2 6",
            ReportError,
            "18",
        ),
        ("weights/w2.txt", "0.", "nan, ", ReportError, "w2.txt"),
        ("weights/w2.txt", "0.", "x", ReportError, "w2.txt"),
        ("parameters.h", "typedef ap_fixed<20,8> accum_t;", "", ReportError, "accum_t"),
    ],
)
def test_unreadable_constructs_are_named(
    tmp_path: Path, name: str, old: str, new: str, error: type[HwnasError], named: str
) -> None:
    path = fifth_release(tmp_path) / "firmware" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    kind = ErrorKind.MISMATCH if named == "18" else error.kind
    with refused(kind, error, mentions=[named]):
        read_folder(tmp_path)


def test_folders_without_project_are_refused(tmp_path: Path) -> None:
    with refused(ErrorKind.MISSING, found=tmp_path / "absent"):
        read_folder(tmp_path / "absent")
    with refused(ErrorKind.WRONG_FORMAT, where=str(tmp_path)):
        read_folder(tmp_path)
    fifth_release(tmp_path / "one")
    assert read_folder(tmp_path).name == "tagger"
    assert read_folder(tmp_path / "one" / "firmware").name == "tagger"
    first_release(tmp_path / "two")
    with refused(ErrorKind.AMBIGUOUS, choices=["one", "two"]):
        read_folder(tmp_path)


def test_links_out_of_the_project_are_not_followed(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path / "project")
    outside = tmp_path / "w2.txt"
    weights = folder / "firmware/weights/w2.txt"
    outside.write_text(weights.read_text())
    weights.unlink()
    weights.symlink_to(outside)
    with refused(ErrorKind.NOT_ACCESSIBLE, ReportError, mentions=[weights]):
        read_folder(folder)


def test_names_in_the_configuration_are_not_opened(tmp_path: Path) -> None:
    """A model named by an absolute or climbing path is looked for beside the configuration only."""
    secret = tmp_path / "secret.json"
    layers = [{"class_name": "Dense", "config": {"name": "d", "units": 3, "batch_input_shape": [None, 2]}}]
    secret.write_text(json.dumps({"config": {"layers": layers}}))
    inner = tmp_path / "inner"
    inner.mkdir()
    config = inner / "hls4ml_config.yml"
    for name in (str(secret), "../secret.json"):
        config.write_text(
            f"Backend: Vitis\nKerasJson: {name}\nHLSConfig: {{Model: {{Precision: 'ap_fixed<8,3>'}}}}\n"
        )
        with refused(ErrorKind.MISSING, where=str(config)):
            read_config(config)
    (inner / "secret.json").write_text(secret.read_text())
    assert read_config(config).shape == "2-3"


def _config(folder: Path, hls: str, layers: list[dict[str, object]] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "hls4ml_config.yml"
    path.write_text(
        "Backend: Vitis\nPart: xcvu9p-flga2104-2L-e\nKerasModel: !keras_model keras_model.keras\n"
        f"HLSConfig:\n{hls}"
    )
    if layers is not None:
        with zipfile.ZipFile(folder / "keras_model.keras", "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    return path


def _dense(name: str, units: int, activation: str = "linear") -> dict[str, object]:
    return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": activation}}


INPUT: dict[str, object] = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 10]}}


def test_a_configuration_with_a_keras_file(tmp_path: Path) -> None:
    hls = """
  Model: {Precision: {default: 'fixed<12,4>'}, ReuseFactor: 3, Strategy: Resource}
  LayerType:
    Dense: {Precision: {weight: 'fixed<7,2>'}}
  LayerName:
    fc1: {Precision: {weight: 'fixed<6,1>', accum: auto, result: 'fixed<14,6>'}, ReuseFactor: 5}
    fc1_relu: {Precision: {result: 'ufixed<8,3>'}}
"""
    query = read_config(_config(tmp_path, hls, [INPUT, _dense("fc1", 8, "relu"), _dense("fc2", 4)]))
    first, second = query.layers
    assert query.shape == "10-8-4"
    assert (first.weight, first.bias, first.dense_out) == (
        FixedType(6, 1),
        FixedType(12, 4),
        FixedType(14, 6),
    )
    # 8 + 5 fraction bits, 4 + 1 integer bits of a product, 4 for the sum of 10, 1 for the bias
    assert first.accum == FixedType(23, 10)
    assert first.result == FixedType(8, 3, signed=False)
    assert (second.weight, second.accum, second.reuse_factor) == (FixedType(7, 2), FixedType(12, 4), 2)
    assert first.reuse_factor == 5
    assert NoteKind.CHANGED in {note.kind for note in query.warnings}


def _reading(layer: dict[str, object], *sources: str, keras: int = 3) -> dict[str, object]:
    """A layer of a functional Keras model with a call for each source."""
    if keras == 2:
        return layer | {"inbound_nodes": [[[source, 0, 0, {}]] for source in sources]}
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in sources
    ]
    return layer | {"inbound_nodes": [{"args": [tensor], "kwargs": {"mask": None}} for tensor in tensors]}


@pytest.mark.parametrize("keras", [2, 3])
@pytest.mark.parametrize(
    ("head", "shape"),
    [(("fc1",), "10-8-4"), (("x",), ""), (("fc1", "fc1"), "")],
    ids=["chain", "two branches of the input", "called twice"],
)
def test_functional_keras_models_are_chains_or_refused(
    tmp_path: Path, keras: int, head: tuple[str, ...], shape: str
) -> None:
    layers = [INPUT, _reading(_dense("fc1", 8, "relu"), "x", keras=keras)]
    layers.append(_reading(_dense("fc2", 4), *head, keras=keras))
    path = _config(tmp_path, "  Model: {Precision: 'fixed<12,4>'}\n", layers)
    if shape:
        assert read_config(path).shape == shape
    else:
        with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["fc2", head[0]]):
            read_config(path)


def _torch_config(folder: Path, modules: list[tuple[str, str, int, int]]) -> Path:
    """A configuration with a torch model, its modules sorted by name as PyYAML writes them."""
    lines = ["PytorchModel: !!python/object:torch.nn.modules.container.Sequential", "  _modules:"]
    for name, kind, n_in, n_out in sorted(modules):
        lines.append(f"    '{name}': !!python/object:torch.nn.modules.x.{kind}")
        lines += [f"      in_features: {n_in}", f"      out_features: {n_out}"] if kind == "Linear" else []
    path = folder / "hls4ml_config.yml"
    head = "Backend: Vitis\nPart: xcvu9p-flga2104-2L-e\nHLSConfig:\n  Model: {Precision: 'ap_fixed<8,3>'}\n"
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def test_numbered_modules_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    widths = range(3, 16)
    modules = [(str(n), "Linear", a, a + 1) for n, a in enumerate(widths)]
    query = read_config(_torch_config(tmp_path, modules))
    assert query.shape == "-".join(map(str, range(3, 17)))
    assert query.reasons == ()


@pytest.mark.parametrize(
    "modules",
    [
        [("act", "ReLU", 0, 0), ("fc1", "Linear", 8, 8), ("fc2", "Linear", 8, 8)],
        [("stem", "Linear", 16, 40), ("body", "Linear", 40, 20), ("head", "Linear", 20, 5)],
        [("0", "Linear", 8, 8), ("head", "Linear", 8, 2)],
    ],
    ids=["an activation used twice", "widths of one order", "numbers and names"],
)
def test_named_modules_have_no_order(tmp_path: Path, modules: list[tuple[str, str, int, int]]) -> None:
    with refused(ErrorKind.MISSING, mentions=["order", modules[-1][0]]):
        read_config(_torch_config(tmp_path, modules))


def test_user_defined_module_has_no_order(tmp_path: Path) -> None:
    path = _torch_config(tmp_path, [("0", "Linear", 8, 8), ("1", "ReLU", 0, 0), ("2", "Linear", 8, 2)])
    assert read_config(path).shape == "8-8-2"
    path.write_text(path.read_text().replace("torch.nn.modules.container.Sequential", "__main__.Net"))
    with refused(ErrorKind.MISSING, mentions=["order"]):
        read_config(path)


def test_shared_module_is_read_twice(tmp_path: Path) -> None:
    sizes = [("0", "Linear", 9, 6), ("1", "ReLU", 0, 0), ("2", "Linear", 6, 6), ("4", "Linear", 6, 2)]
    path = _torch_config(tmp_path, sizes)
    text = path.read_text().replace("'1': !!", "'1': &id001 !!").replace("'2': !!", "'2': &id002 !!")
    aliases = "    '3': *id001\n    '5': *id001\n"
    path.write_text(text.replace("    '4': ", f"{aliases}    '4': "))
    query = read_config(path)
    assert query.shape == "9-6-6-2"
    assert [layer.activation for layer in query.layers] == ["relu", "relu", "relu"]


def test_the_backend_is_named_before_the_layers_are_looked_for(tmp_path: Path) -> None:
    path = _torch_config(tmp_path, [("act", "ReLU", 0, 0), ("fc1", "Linear", 8, 8)])
    path.write_text(path.read_text().replace("Backend: Vitis", "Backend: oneAPI"))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["oneAPI"]):
        read_config(path)


def test_a_configuration_with_convolutions_is_refused(tmp_path: Path) -> None:
    layers: list[dict[str, object]] = [
        INPUT,
        {"class_name": "Conv2D", "config": {"name": "conv", "filters": 3}},
    ]
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["'conv'", "Conv2D"]):
        read_config(_config(tmp_path, "  Model: {Precision: 'ap_fixed<8,3>'}\n", layers))


@pytest.mark.parametrize(
    "text",
    [
        "HLSConfig: !!python/object/apply:os.system ['touch PWNED']\n",
        "HLSConfig: {Model: {Precision: !!python/object/new:os.system ['touch PWNED']}}\n",
        "PytorchModel: !!python/object/apply:os.system ['touch PWNED']\nHLSConfig: {Model: {}}\n",
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{k}: &{k} [{','.join(['*' + chr(ord(k) - 1)] * 9)}]\n" for k in "bcdefghij")
        + "HLSConfig: *j\n",
        "a: &a {x: 1}\n"
        + "".join(f"{k}: &{k} {{<<: [{','.join(['*' + chr(ord(k) - 1)] * 9)}]}}\n" for k in "bcdefghij")
        + "HLSConfig: *j\n",
        "HLSConfig: " + "[" * 20000 + "\n",
        "HLSConfig: " + "{a: " * 3000 + "\n",
        "HLSConfig: 1\n",
        "HLSConfig: {Model: {Precision: [1, 2]}}\nClockPeriod: .nan\n",
        "- 1\n",
        "\t:\n",
        "HLSConfig: {Model: {Precision: 'ap_fixed<8,3>'}}\nPart: {a: b}\nClockPeriod: -5\n",
        "HLSConfig: {LayerName: {? [1, 2] : 3}}\n",
    ],
)
def test_hostile_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hls4ml_config.yml"
    path.write_text(text)
    with pytest.raises((ReportError, UserError)):
        read_config(path)
    with contextlib.suppress(ReportError):
        lint_config(path)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("hls", "rules"),
    [
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: Resource, ReuseFactor: 2}\n", []),
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: Unrolled}\n", ["strategy-spelling"]),
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: RESOURCE}\n", ["strategy-spelling"]),
        ("  Model: {Precision: 'ap_fixed<8,3>', Part: xcvu9p-flga2104-2L-e}\n", ["misplaced-key"]),
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: Resource, ReuseFactor: 3}\n", ["reuse-factor"] * 2),
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: ResourceUnrolled, ReuseFactor: 1}\n",
         ["unrolled-reuse-factor"] * 2),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n"
         "  LayerName: {fc1: {Strategy: distributed_arithmetic, ReuseFactor: 2}}\n", ["da-reuse-factor"]),
        ("  Model: {Precision: 'ap_fixed<8,3>', Strategy: distributed_arithmetic, ReuseFactor: 1}\n", []),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName:"
         " {act: {Precision: {result: 'ap_fixed<6,3>'}, Strategy: distributed_arithmetic}}\n",
         ["da-without-weights"]),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName: {softmax: {Strategy: Stable}}\n", []),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName: {fc1: {Strategy: Stable}}\n",
         ["strategy-spelling"]),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName: {fc1: {Precision: 'ap_fixed<6,3>'},"
         " fc2: {Precision: 'ap_fixed<7,3>'}}\n", ["model-precision"]),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName: {fc1: {Precision: 'ap_fixed<6,3>'}}\n", []),
        ("  Model: {Precision: 'ap_fixed<8,3>'}\n  LayerName: {fc1: {Precision: {weight: auto}},"
         " fc2: {Precision: 'ap_fixed<7,3>'}}\n", []),
    ],
)  # fmt: skip
def test_lint_rules(tmp_path: Path, hls: str, rules: list[str]) -> None:
    found = lint_config(_config(tmp_path, hls, [INPUT, _dense("fc1", 8, "relu"), _dense("fc2", 4)]))
    assert [finding.rule for finding in found] == rules
    assert all(finding.where and finding.what and finding.remedy for finding in found)


def test_lint_of_large_layers_and_missing_parts() -> None:
    config = {"HLSConfig": {"Model": {"Precision": "ap_fixed<8,3>", "ReuseFactor": 1, "Strategy": "Latency"}}}
    found = lint_config(config, {"fc1": (64, 64), "fc2": (65, 64)})
    assert [(finding.rule, finding.where) for finding in found] == [
        ("unroll-limit", "layer fc2"),
        ("part-missing", "Part"),
    ]


def test_lint_of_a_folder_without_a_configuration(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path, resource=True)
    (folder / "hls4ml_config.yml").unlink()
    # 2 divides neither 3 inputs nor is it a multiple of them
    assert [(finding.rule, finding.where) for finding in lint_folder(folder)] == [
        ("reuse-factor", "layer fc1")
    ]


@pytest.mark.parametrize(
    ("model", "interval", "outside"),
    [
        ("PipelineStyle: auto", None, 0),
        ("PipelineStyle: pipeline, PipelineInterval: 1", None, 0),
        ("PipelineStyle: pipeline, PipelineInterval: 4", 4, 1),
        ("PipelineInterval: 4", 4, 1),
        ("PipelineStyle: dataflow", None, 1),
        ("PipelineStyle: Dataflow", None, 0),  # hls4ml compares the case, and takes auto
        ("PipelineStyle: pipeline, Strategy: Resource, ReuseFactor: 4", None, 1),
        ("PipelineStyle: dataflow, Strategy: Resource, ReuseFactor: 4", None, 0),
        ("Strategy: Resource, ReuseFactor: 4", None, 0),
        ("Strategy: ResourceUnrolled, ReuseFactor: 4", None, 0),
    ],
)
def test_pipelines_of_a_lone_configuration_are_judged(
    tmp_path: Path, model: str, interval: int | None, outside: int
) -> None:
    hls = f"  Model: {{Precision: 'ap_fixed<8,3>', {model}}}\n"
    query = read_config(_config(tmp_path, hls, [INPUT, _dense("fc1", 8, "relu"), _dense("fc2", 4)]))
    assert [note.about for note in query.reasons] == ["pragma"] * outside
    assert query.pipeline_ii == interval


OLDER = """void tagger_v1(input_t fc1_input[3], layer2_t layer2_out[4]) {
    #pragma HLS PIPELINE II=9
    nnet::dense<input_t, layer2_t, config2>(fc1_input, layer2_out, w2, b2); // old
}
"""


def test_the_named_function_is_read_among_several(tmp_path: Path) -> None:
    folder = edited(tmp_path, "void tagger(", f"{OLDER}void tagger(")
    query = read_folder(folder)
    assert (query.shape, query.reasons) == ("3-4-2", ())
    path = folder / "firmware" / "tagger.cpp"
    path.write_text(path.read_text().replace("void tagger(", "void tagger_v2("))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["tagger_v1", "tagger_v2"]):
        read_folder(folder)
    path.write_text(path.read_text().replace(OLDER, ""))
    assert read_folder(folder).shape == "3-4-2"  # the only one, whatever its name
    (path.parent / "older.cpp").write_text(OLDER)
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["tagger_v1", "older.cpp"]):
        read_folder(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("parameters.h", "reuse_factor = 2", "reuse_factor = FACTOR", "FACTOR"),
        ("parameters.h", "nnet::latency", "nnet::systolic", "systolic"),
        ("tagger.cpp", "nnet::dense<layer4_t", "nnet::dense_systolic<layer4_t", "dense_systolic"),
    ],
)
def test_what_is_not_known_of_a_layer_is_refused(
    tmp_path: Path, file: str, old: str, new: str, named: str
) -> None:
    with pytest.raises(HwnasError, match=named):
        read_folder(edited(tmp_path, old, new, f"firmware/{file}"))


def test_the_model_beside_a_configuration_has_its_shapes(tmp_path: Path) -> None:
    hls = "  Model: {Precision: 'ap_fixed<8,3>'}\n"
    path = _config(tmp_path, hls, [INPUT, _dense("fc1", 8, "relu"), _dense("fc2", 4)])
    text = path.read_text()
    path.write_text(f"{text}InputShapes:\n  x:\n  - 10\nOutputShapes:\n  y:\n  - 4\n")
    assert read_config(path).shape == "10-8-4"
    for shapes in ("InputShapes:\n  x:\n  - 16\n", "OutputShapes:\n  y:\n  - 5\n"):
        path.write_text(text + shapes)
        with refused(ErrorKind.CONFLICT, mentions=["values"]):
            read_config(path)


def test_a_softmax_of_a_lone_configuration(tmp_path: Path) -> None:
    layers = [INPUT, _dense("fc1", 8, "softmax")]
    for written, activation, outside in (
        ("Implementation: latency", "softmax", 0),
        ("skip: true", "linear", 0),
        ("TableSize: 4096", "softmax", 1),
    ):
        hls = f"  Model: {{Precision: 'ap_fixed<8,3>'}}\n  LayerName: {{fc1_softmax: {{{written}}}}}\n"
        query = read_config(_config(tmp_path, hls, layers))
        assert query.layers[0].activation == activation
        assert [note.kind for note in query.reasons] == [NoteKind.NO_DATA] * outside


def test_a_board_without_a_part_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "hls4ml_config.yml"
    _config(tmp_path, "  Model: {Precision: 'ap_fixed<8,3>'}\n", [INPUT, _dense("fc1", 8)])
    path.write_text(path.read_text().replace("Part: xcvu9p-flga2104-2L-e", "Board: pynq-z2"))
    assert read_config(path).part == "xc7z020clg400-1"


@pytest.mark.parametrize(
    ("constants", "outside"),
    [
        ("table_size = 1024", 0),
        ("table_size = 4096", 1),
        ("table_size = 4096; static const unsigned exp_table_size = 1024", 0),
        ("exp_table_size = 1024; static const unsigned inv_table_size = 256", 1),
    ],
)
def test_tables_of_other_sizes_are_outside_the_domain(tmp_path: Path, constants: str, outside: int) -> None:
    call = "nnet::relu<layer2_t, layer4_t, relu_config4>"
    folder = edited(tmp_path, call, "nnet::softmax<layer2_t, layer4_t, relu_config4>")
    path = folder / "firmware" / "parameters.h"
    old = "struct relu_config4 : nnet::activ_config {"
    path.write_text(path.read_text().replace(old, f"{old}\n    static const unsigned {constants};"))
    assert [note.kind for note in read_folder(folder).reasons] == [NoteKind.NO_DATA] * outside


def test_weights_from_outside_are_outside_the_domain(tmp_path: Path) -> None:
    port = "result_t layer5_out[N_LAYER_5]"
    query = read_folder(edited(tmp_path / "folder", port, f"{port},\n    weight2_t w2[12]"))
    assert [note.kind for note in query.reasons] == [NoteKind.NO_DATA]
    layers = [INPUT, _dense("fc1", 8, "relu"), _dense("fc2", 4)]
    for factor, outside in ((1_000_000_000, 0), (50, 1), (10, 2)):
        hls = f"  Model: {{Precision: 'ap_fixed<8,3>', BramFactor: {factor}}}\n"
        query = read_config(_config(tmp_path / f"lone{factor}", hls, layers))
        assert [note.kind for note in query.reasons] == [NoteKind.NO_DATA] * outside


def test_types_that_quantisers_decide_are_not_in_a_lone_configuration(tmp_path: Path) -> None:
    layer = {**_dense("fc1", 8, "relu"), "class_name": "QDense", "module": "hgq.layers.core.dense"}
    path = _config(tmp_path, "  Model: {Precision: 'ap_fixed<16,6>'}\n", [INPUT, layer])
    with refused(ErrorKind.MISSING, mentions=["fc1"]):
        read_config(path)


@pytest.mark.parametrize(
    ("asks", "configured", "backend"),
    [
        (False, "Vitis", "Vitis"),  # up to 1.0, the script names Vivado for both
        (False, "Vivado", "Vivado"),
        (True, "Vitis", "Vivado"),  # the configuration is stale
    ],
)
def test_backend_of_releases_that_wrote_vivado_for_vitis(
    tmp_path: Path, asks: bool, configured: str, backend: str
) -> None:
    folder = edited(tmp_path, PIPELINE, PIPELINE)
    (folder / "project.tcl").write_text('set project_name "tagger"\nset backend "vivado"\n')
    script, config = folder / "build_prj.tcl", folder / "hls4ml_config.yml"
    question = '    if {[string equal "$backend" "vivado"]} {\n    }\n' if asks else ""
    script.write_text(script.read_text() + question)
    config.write_text(config.read_text().replace("Backend: Vivado", f"Backend: {configured}"))
    query = read_folder(folder)
    assert query.backend == backend
    assert query.tool.startswith(backend.lower())


@pytest.mark.parametrize(
    ("release", "strategy", "rules"),
    [
        ("latency, resource", "distributed_arithmetic", ["strategy-spelling"]),  # up to 0.8
        ("latency, resource", "ResourceUnrolled", ["strategy-spelling"]),
        ("latency, resource", "LATENCY", []),  # compared in lower case
        ("latency, resource, resource_unrolled", "LATENCY", ["strategy-spelling"]),
        ("latency, resource, resource_unrolled", "distributed_arithmetic", ["strategy-spelling"]),  # 1.0, 1.1
        ("latency, resource, resource_unrolled, distributed_arithmetic", "distributed_arithmetic",
         ["da-reuse-factor"] * 2 + ["stale-config"] * 2),
        ("latency, resource", "Latency", []),
    ],
)  # fmt: skip
def test_lint_judges_a_strategy_by_the_release_of_the_firmware(
    tmp_path: Path, release: str, strategy: str, rules: list[str]
) -> None:
    folder = edited(tmp_path, PIPELINE, PIPELINE)
    (folder / "firmware" / "nnet_utils").mkdir(exist_ok=True)
    (folder / "firmware" / "nnet_utils" / "nnet_common.h").write_text(f"enum strategy {{ {release} }};")
    path = folder / "hls4ml_config.yml"
    settings = f"{{Strategy: {strategy}, ReuseFactor: 2}}"
    path.write_text(path.read_text() + f"  LayerName:\n    fc1: {settings}\n    fc2: {settings}\n")
    found = [finding.rule for finding in lint_folder(folder)]
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(rules))


def test_unrolled_at_reuse_factor_1_is_resource_as_hls4ml_builds_it(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path, resource=True)
    path = folder / "firmware" / "parameters.h"
    path.write_text(path.read_text().replace("reuse_factor = 2", "reuse_factor = 1"))
    path = folder / "hls4ml_config.yml"
    layers = "  LayerName: {fc1: {Strategy: ResourceUnrolled, ReuseFactor: 1}}\n"
    path.write_text(path.read_text() + layers)
    assert [finding.rule for finding in lint_folder(folder)] == ["unrolled-reuse-factor"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("2u", 2), ("N*2 + (4 - 1)", 23), ("7/2", 3), ("-7/2", -3), ("2**70", None), ("f(2)", None),
        ("M", None), ("1/0", None), ("9" * 60, None), ("'a'*3", None), ("((((((3))))))", 3), ("True", None),
    ],
)  # fmt: skip
def test_constant_expressions(text: str, value: int | None) -> None:
    assert evaluate(text, {"N": "10", "M": "M"}) == value


FILES = (
    "parameters.h",
    "defines.h",
    "tagger.cpp",
    "weights/w2.txt",
    "../hls4ml_config.yml",
    "../build_prj.tcl",
)
PIECES = (
    "<",
    ">",
    "{",
    "}",
    "(",
    ")",
    ";",
    ",",
    "*/",
    "/*",
    '"',
    "\0",
    "\n",
    "nnet::",
    "#if 0\n",
    "-1",
    "9" * 30,
    "é",
)


@given(
    name=st.sampled_from(FILES),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=4
    ),
)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_damaged_projects(tmp_path: Path, name: str, edits: list[tuple[float, int, str]]) -> None:
    """A description or a typed error, never another exception."""
    folder = fifth_release(tmp_path)
    path = folder / "firmware" / name
    text = path.read_text()
    for share, length, piece in edits:
        at = int(share * len(text))
        text = text[:at] + piece + text[at + length :]
    path.write_text(text)
    try:
        query = read_folder(folder)
        lint_folder(folder)
    except HwnasError:
        return
    assert query.layers
    for layer in query.layers:
        if layer.weights is not None:
            assert layer.weights.shape == (layer.n_in, layer.n_out)
            assert layer.weights.min() >= layer.weight.lowest
            assert layer.weights.max() <= layer.weight.highest


@pytest.mark.parametrize(
    "piece", ["struct a : b {", "void f(", "typedef struct ", '"', "/*", "\n", "#if\n", "#a\\\n"]
)
def test_long_files_take_no_quadratic_time(tmp_path: Path, piece: str) -> None:
    """Each of these once took minutes; the limit is a guard against a hang, no measure of speed."""
    folder = fifth_release(tmp_path)
    for name in ("firmware/parameters.h", "firmware/tagger.cpp", "build_prj.tcl"):
        path = folder / name
        path.write_text(piece * (300_000 // len(piece)) + path.read_text())
    start = time.process_time()
    with contextlib.suppress(HwnasError):
        read_folder(folder)
    assert time.process_time() - start < 60


@pytest.mark.parametrize(
    ("backend", "code"),
    [
        ("oneAPI", "void Net::operator()() const { auto x = InPipe::read(); nnet::dense<a, b, c>(x, y); }"),
        ("Quartus", "component out_t net(in_t x) { hls_register out_t y[2]; nnet::dense<a, b, c>(x, y); }"),
        ("Catapult", "void CCS_BLOCK(net)(ac_channel<in_t> &x) { nnet::dense<a, b, c>(x, y); }"),
        ("Libero", "void net(in_t x[2]) {\n#pragma HLS function top\nnnet::dense<a, b, c>(x, y); }"),
        ("ac_fixed", "void net(ac_fixed<8, 3> x[2]) { nnet::dense<a, b, c>(x, y); }"),
    ],
)
def test_code_of_other_makers_is_refused_by_its_backend(tmp_path: Path, backend: str, code: str) -> None:
    firmware = tmp_path / "firmware"
    firmware.mkdir()
    (firmware / "net.cpp").write_text(code)
    for name in ("parameters.h", "defines.h"):
        (firmware / name).write_text("#define N 1\n")
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[backend]):
        read_folder(tmp_path)


@pytest.mark.parametrize("kind", ["unwritten input", "another maker"])
def test_projects_that_cannot_be_judged_are_bad_input(tmp_path: Path, kind: str) -> None:
    if kind == "another maker":
        folder = edited(tmp_path, "void tagger(", "hls_register int x;\nvoid tagger(")
    else:
        folder = edited(tmp_path, "config2>(fc1_input,", "config2>(nowhere,")
    with refused(ErrorKind.UNSUPPORTED, UserError) as raised:
        read_model(folder)
    assert raised.value.exit_code == EXIT_USER


def test_a_configuration_above_the_firmware_names_the_backend(tmp_path: Path) -> None:
    firmware = tmp_path / "src" / "firmware"
    firmware.mkdir(parents=True)
    (firmware / "parameters.h").write_text("#define N 1\n")
    (tmp_path / "hls4ml_config.yml").write_text("Backend: oneAPI\nPart: Agilex7\n")
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["oneAPI"]):
        read_folder(tmp_path)
