"""hls4ml projects in the dress of older releases, written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WEIGHTS1 = np.array([[1, 0, -3, 2], [0, 0, 5, -8], [7, 1, 0, 0]])  # integers on ap_fixed<8,3>: 1/32
WEIGHTS2 = np.array([[4, -1], [0, 2], [-6, 0], [3, 3]])


def listed(values: np.ndarray, scale: float = 32.0) -> str:
    return ", ".join(f"{value / scale:.12f}" for value in values.ravel())


def _header(kind: str, name: str, values: np.ndarray, body: str | None = None) -> str:
    return (
        f"//Numpy array shape {list(values.shape)}\n//Number of zeros 0\n\n#ifndef {name.upper()}_H_\n"
        f"#define {name.upper()}_H_\n\n{kind} {name}[{values.size}] = {{{body or listed(values)}}};\n\n"
        "#endif\n"
    )


def write(folder: Path, files: dict[str, str]) -> Path:
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
    nested = ", ".join("{" + listed(row) + "}" for row in WEIGHTS1)
    return write(
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
        "firmware/weights/b2.txt": listed(np.arange(4)),
        "firmware/weights/b5.txt": listed(np.ones(2)),
    }
    for name, values in (("w2", WEIGHTS1), ("w5", WEIGHTS2)):
        if compressed:
            rows, columns = np.nonzero(values)
            triples = [f"{{{r}, {c}, {values[r, c] / 32:.5f}}}" for r, c in zip(rows, columns, strict=True)]
            files[f"firmware/weights/{name}.txt"] = ", ".join([*triples, "{0, 1, 0.00000}"])
        else:
            files[f"firmware/weights/{name}.txt"] = listed(values.T if resource else values)
    return write(folder, files)


def edited(folder: Path, old: str, new: str, file: str = "firmware/tagger.cpp") -> Path:
    """A release of 2021, unrolled in one pipeline, with one text of its top function or ``file`` changed."""
    source = fifth_release(folder, resource=False) / "firmware" / "tagger.cpp"
    source.write_text(source.read_text().replace("HLS DATAFLOW", "HLS PIPELINE"))
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return folder
