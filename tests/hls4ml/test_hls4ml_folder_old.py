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
from refusal import refused

from hwnas_hls.errors import ErrorKind, HwnasError, ReportError, Unsupported, UserError
from hwnas_hls.hls4ml.folder import read_config, read_folder
from hwnas_hls.hls4ml.folder.adder_graph import read_graph
from hwnas_hls.hls4ml.folder.expressions import evaluate
from hwnas_hls.hls4ml.lint import lint_config, lint_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.network.precision import FixedType

WEIGHTS1 = np.array([[1, 0, -3, 2], [0, 0, 5, -8], [7, 1, 0, 0]])  # integers on ap_fixed<8,3>: 1/32
WEIGHTS2 = np.array([[4, -1], [0, 2], [-6, 0], [3, 3]])


def _text(values: np.ndarray, scale: float = 32.0) -> str:
    return ", ".join(f"{value / scale:.12f}" for value in values.ravel())


def _header(kind: str, name: str, values: np.ndarray, body: str | None = None) -> str:
    return (
        f"//Numpy array shape {list(values.shape)}\n//Number of zeros 0\n\n#ifndef {name.upper()}_H_\n"
        f"#define {name.upper()}_H_\n\n{kind} {name}[{values.size}] = {{{body or _text(values)}}};\n\n"
        "#endif\n"
    )


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def first_release(folder: Path) -> Path:
    """As in 2018: everything in parameters.h, compute_layer, logits, no configuration beside it."""
    parameters = """
#ifndef PARAMETERS_H_
#define PARAMETERS_H_
#include "ap_int.h"
//hls-fpga-machine-learning insert numbers
typedef ap_fixed<18,8> accum_default_t;
typedef ap_fixed<8,3> weight_default_t;
typedef ap_fixed<8,3> bias_default_t;
typedef ap_fixed<18,8> input_t;
typedef ap_fixed<18,8> result_t;
#define N_INPUTS 3
#define N_LAYER_1 4
#define N_OUTPUTS 2
//hls-fpga-machine-learning insert layer-precision
typedef ap_fixed<18,8> layer1_t;
//hls-fpga-machine-learning insert layer-config
struct config1 : nnet::layer_config {
        static const unsigned n_in = N_INPUTS;
        static const unsigned n_out = N_LAYER_1;
        static const unsigned io_type = nnet::io_parallel;
        static const unsigned reuse_factor = 2;
        static const unsigned n_zeros = 5;
        static const bool store_weights_in_bram = false;
        typedef accum_default_t accum_t;
        typedef bias_default_t bias_t;
        typedef weight_default_t weight_t;
        };
struct relu_config1 : nnet::activ_config {
        static const unsigned n_in = N_LAYER_1;
        static const unsigned table_size = 1024;
        static const unsigned io_type = nnet::io_parallel;
        };
struct config2 : nnet::layer_config {
        static const unsigned n_in = N_LAYER_1;
        static const unsigned n_out = N_OUTPUTS;
        static const unsigned io_type = nnet::io_parallel;
        static const unsigned reuse_factor = 1;
        static const unsigned n_zeros = 0;
        static const bool store_weights_in_bram = false;
        typedef accum_default_t accum_t;
        typedef bias_default_t bias_t;
        typedef weight_default_t weight_t;
        };
struct softmax_config2 : nnet::activ_config {
        static const unsigned n_in = N_OUTPUTS;
        static const unsigned table_size = 1024;
        static const unsigned io_type = nnet::io_parallel;
        };
#endif
"""
    source = """
#include "parameters.h"
#include "myproject.h"
//hls-fpga-machine-learning insert weights
#include "weights/w1.h"
void myproject(
    input_t data[N_INPUTS],
    result_t res[N_OUTPUTS],
    unsigned short &const_size_in,
    unsigned short &const_size_out)
{
    #pragma HLS ARRAY_RESHAPE variable=data complete dim=0
    #pragma HLS PIPELINE
    const_size_in   = N_INPUTS;
    // NETWORK INSTANTIATION
    layer1_t layer1_out[N_LAYER_1];
    #pragma HLS ARRAY_PARTITION variable=layer1_out complete dim=0
    layer1_t logits1[N_LAYER_1];
    nnet::compute_layer<input_t, layer1_t, config1>(data, logits1, w1, b1);
    nnet::relu<layer1_t, layer1_t, relu_config1>(logits1, layer1_out);
    result_t logits2[N_OUTPUTS];
    nnet::compute_layer<layer1_t, result_t, config2>(layer1_out, logits2, w2, b2);
    nnet::softmax<result_t, result_t, softmax_config2>(logits2, res);
}
"""
    nested = ", ".join("{" + _text(row) + "}" for row in WEIGHTS1)
    return _write(
        folder,
        {
            "firmware/parameters.h": parameters,
            "firmware/myproject.cpp": source,
            "firmware/weights/w1.h": _header("weight_default_t", "w1", WEIGHTS1, nested),
            "firmware/weights/b1.h": _header("bias_default_t", "b1", np.arange(4)),
            "firmware/weights/w2.h": _header("weight_default_t", "w2", WEIGHTS2),
            "firmware/weights/b2.h": _header("bias_default_t", "b2", np.zeros(2)),
            "build_prj.tcl": "set_top myproject\nset_part {xcku115-flvf1924-2-i}\n"
            "create_clock -period 5 -name default\n",
        },
    )


def fifth_release(folder: Path, *, resource: bool = True, compressed: bool = False) -> Path:
    """As in 2021: defines.h, a strategy a layer, names behind the calls, weights as text too."""
    strategy = "compressed" if compressed else "resource" if resource else "latency"
    kind = "compressed_type2" if compressed else "weight2_t"
    defines = """
#define N_INPUT_1_1 3
#define N_LAYER_2 4
#define N_LAYER_5 2
typedef ap_fixed<16,6> model_default_t;
typedef ap_fixed<16,6> input_t;
typedef ap_fixed<14,5,AP_RND,AP_SAT> layer2_t;
typedef ap_fixed<8,3> weight2_t;
typedef struct compressed_type2 {
  ap_uint<2> row_index; ap_uint<2> col_index; ap_fixed<8,3> weight; } compressed_type2;
typedef ap_fixed<9,3> bias2_t;
typedef ap_ufixed<7,2,(ap_q_mode)4,(ap_o_mode)0> layer4_t;
typedef ap_fixed<16,6> result_t;
"""

    def dense(index: int, n_in: str, n_out: str, weight: str, bias: str) -> str:
        return f"""
struct config{index} : nnet::dense_config {{
    static const unsigned n_in = {n_in};
    static const unsigned n_out = {n_out};
    static const unsigned io_type = nnet::io_parallel;
    static const unsigned strategy = nnet::{strategy};
    static const unsigned reuse_factor = 2;
    static const unsigned n_zeros = 5;
    static const unsigned n_nonzeros = 7;
    static const bool store_weights_in_bram = false;
    typedef ap_fixed<20,8> accum_t;
    typedef {bias} bias_t;
    typedef {weight} weight_t;
    typedef ap_uint<1> index_t;
    template<class x_T, class y_T, class res_T>
    using product = nnet::product::mult<x_T, y_T, res_T>;
}};
"""

    parameters = (
        dense(2, "N_INPUT_1_1", "N_LAYER_2", kind, "bias2_t")
        + "struct relu_config4 : nnet::activ_config {\n    static const unsigned n_in = N_LAYER_2;\n};\n"
        + dense(5, "N_LAYER_2", "N_LAYER_5", "ap_fixed<8,3>" if not compressed else kind, "model_default_t")
    )
    source = """
/* comment with nnet::conv_2d_cl<a, b, c>(d, e); that is none */
void tagger(
    input_t fc1_input[N_INPUT_1_1],
    result_t layer5_out[N_LAYER_5]
) {
    #pragma HLS DATAFLOW
#ifndef __SYNTHESIS__
    static bool loaded_weights = false;
    if (!loaded_weights) {
        nnet::load_weights_from_txt<weight2_t, 12>(w2, "w2.txt");
        loaded_weights = true;
    }
#endif
    layer2_t layer2_out[N_LAYER_2];
    nnet::dense<input_t, layer2_t, config2>(fc1_input, layer2_out, w2, b2); // fc1

    layer4_t layer4_out[N_LAYER_2];
    nnet::relu<layer2_t, layer4_t, relu_config4>(layer2_out, layer4_out); // fc1_relu
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer4_t>(layer4_out, "fc1_relu", N_LAYER_2);
#endif
    auto& layer9_out = layer4_out;
    nnet::dense<layer4_t, result_t, config5>(layer9_out, layer5_out, w5, b5); // fc2
}
"""
    files = {
        "firmware/defines.h": defines,
        "firmware/parameters.h": parameters,
        "firmware/tagger.cpp": source,
        "build_prj.tcl": "set_top tagger\nset_part {xc7z020clg400-1}\ncreate_clock -period 10 -name default\n"
        "set_clock_uncertainty 12.5% default\n",
        "hls4ml_config.yml": "Backend: Vivado\nXilinxPart: xc7z020-clg400-1\nClockPeriod: 10\n"
        "ProjectName: tagger\nKerasModel: !keras_model /nowhere/keras_model.h5\n"
        "HLSConfig:\n  Model: {Precision: 'ap_fixed<16,6>', ReuseFactor: 2}\n",
        "firmware/weights/b2.txt": _text(np.arange(4)),
        "firmware/weights/b5.txt": _text(np.ones(2)),
    }
    for name, values in (("w2", WEIGHTS1), ("w5", WEIGHTS2)):
        if compressed:
            rows, columns = np.nonzero(values)
            triples = [f"{{{r}, {c}, {values[r, c] / 32:.5f}}}" for r, c in zip(rows, columns, strict=True)]
            files[f"firmware/weights/{name}.txt"] = ", ".join([*triples, "{0, 1, 0.00000}"])
        else:
            files[f"firmware/weights/{name}.txt"] = _text(values.T if resource else values)
    return _write(folder, files)


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


def _edited(folder: Path, old: str, new: str) -> Path:
    """A release of 2021, unrolled in one pipeline, with one line of its top function changed."""
    path = fifth_release(folder, resource=False) / "firmware" / "tagger.cpp"
    text = path.read_text().replace("HLS DATAFLOW", "HLS PIPELINE")
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize(
    ("new", "outside"),
    [
        ("HLS PIPELINE", 0),
        ("HLS PIPELINE II=2", 0),  # the reuse factor of both layers
        ("HLS PIPELINE II = 8", 1),
        ("HLS DATAFLOW", 1),
        ("HLS INTERFACE s_axilite port=fc1_input bundle=control", 1),
        ("HLS INTERFACE mode=s_axilite port=return bundle=control", 1),
        ("HLS INTERFACE ap_vld port=fc1_input", 0),
        ("HLS PIPELINE off", 1),
        ("HLS ALLOCATION operation instances=mul limit=4", 1),
        ("HLS LATENCY min=20", 1),
    ],
)
def test_pragmas_of_the_top_function_are_judged(tmp_path: Path, new: str, outside: int) -> None:
    query = read_folder(_edited(tmp_path, "HLS PIPELINE", new))
    assert [note.about for note in query.reasons] == ["pragma"] * outside
    assert query.pipeline_ii == (8 if "8" in new else None)


def test_stream_that_nothing_writes_is_refused(tmp_path: Path) -> None:
    folder = _edited(tmp_path, "config2>(fc1_input,", "config2>(layer1_out,")
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
    ],
    ids=["result that no port gives", "port smaller than the layer"],
)
def test_ports_that_do_not_fit_are_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    folder = _edited(tmp_path, old, new)
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
    folder = _edited(tmp_path, call, f"{guard}\n    {other}\n#endif\n{call}")
    if hidden:
        assert read_folder(folder).shape == "3-4-2"
    else:
        with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["conv_2d_cl"]):
            read_folder(folder)


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
    query = read_folder(folder)
    assert query.layers[0].weight == FixedType(2, 2)
    np.testing.assert_array_equal(query.layers[0].weights.ravel(), [-1, 1, 1, -1, 1, -1, -1, 1, 1, 1, -1, 1])
    assert NoteKind.NO_DATA in {note.kind for note in query.reasons}


def test_directives_that_bind_multipliers(tmp_path: Path) -> None:
    folder = fifth_release(tmp_path)
    assert read_folder(folder).layers[0].multipliers is None
    directive = "#pragma HLS BIND_OP variable=mult op=mul impl=dsp\n"
    _write(folder, {"firmware/nnet_utils/nnet_dense_latency.h": directive})
    assert read_folder(folder).layers[0].multipliers == "dsp"
    _write(folder, {"firmware/nnet_utils/nnet_dense_latency.h": directive.replace("dsp", "fabric")})
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
def test_what_cannot_be_judged_is_named(
    tmp_path: Path, name: str, old: str, new: str, error: type[HwnasError], named: str
) -> None:
    path = fifth_release(tmp_path) / "firmware" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    kind = ErrorKind.MISMATCH if named == "18" else error.kind
    with refused(kind, error, mentions=[named]):
        read_folder(tmp_path)


def test_folders_that_are_no_project(tmp_path: Path) -> None:
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


def test_named_modules_are_outside_the_domain(tmp_path: Path) -> None:
    modules = [("act", "ReLU", 0, 0), ("fc1", "Linear", 8, 8), ("fc2", "Linear", 8, 8)]
    query = read_config(_torch_config(tmp_path, modules))
    assert NoteKind.ASSUMED in {note.kind for note in query.reasons}


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


@pytest.mark.parametrize("piece", ["struct a : b {", "void f(", "typedef struct ", '"', "/*", "\n", "#if\n"])
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


def test_a_configuration_above_the_firmware_names_the_backend(tmp_path: Path) -> None:
    firmware = tmp_path / "src" / "firmware"
    firmware.mkdir(parents=True)
    (firmware / "parameters.h").write_text("#define N 1\n")
    (tmp_path / "hls4ml_config.yml").write_text("Backend: oneAPI\nPart: Agilex7\n")
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["oneAPI"]):
        read_folder(tmp_path)
