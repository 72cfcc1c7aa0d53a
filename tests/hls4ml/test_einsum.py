"""``einsum_dense``, as hls4ml writes HGQ2's ``QEinsumDense``, is read where it is one dense layer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from old_projects import edited, listed
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.folder import read_folder

TRANSPOSITIONS = """
struct config2_tpose_inp {
    static const unsigned dims = 1;
    static const unsigned N = 3;
};
struct config2_tpose_out {
    static const unsigned dims = 1;
    static const unsigned N = 4;
};
"""
EINSUM = """
struct config2 {{
    typedef config2_tpose_inp tpose_inp_conf;
    typedef config2_tpose_out tpose_out_conf;
    typedef ap_fixed<20,8> accum_t;
    typedef bias2_t bias_t;
    {kernel}
    static const unsigned n_free_data = 1;
    static const unsigned n_free_kernel = 4;
    static const unsigned n_contract = 3;
    static const unsigned n_inplace = 1;
    static const unsigned io_type = nnet::io_parallel;
    static const unsigned reuse_factor = 1;
}};
"""
GRAPH = """
template <typename inp_t, typename out_t>
void einsum_2_da_0_of_1(inp_t model_inp[3], out_t model_out[4]) {
    ap_fixed<16,6> v0 = model_inp[0]; // 0.0
    ap_fixed<16,6> v1 = model_inp[1]; // 0.0
    ap_fixed<16,6> v2 = model_inp[2]; // 0.0
    ap_fixed<17,7> v3 = v0 - v1; // 1.0
    model_out[0] = ap_fixed<17,7>(v3);
    model_out[1] = ap_fixed<17,7>(bit_shift<1>(v3));
    model_out[2] = ap_fixed<16,6>(v2);
    model_out[3] = ap_fixed<16,6>(-v2);
}

template <typename inp_t, typename out_t>
void einsum_dense2_da_kernel(
    inp_t inp_tpose[3],
    out_t out_tpose[4],
    int l0
) {
    einsum_2_da_0_of_1(&inp_tpose[(0 * 1 + l0) * 3], &out_tpose[(0 * 1 + l0) * 4]);
}
"""


def _einsum(folder: Path, kernel: str, arguments: str = "w2, b2") -> Path:
    """The project whose first layer is an einsum: the same layer, with its configuration inside another."""
    call = "nnet::dense<input_t, layer2_t, config2>(fc1_input, layer2_out, w2, b2);"
    edited(folder, call, call.replace("dense<", "einsum_dense<").replace("w2, b2", arguments))
    path = folder / "firmware" / "parameters.h"
    text = path.read_text().replace("struct config2 :", "struct config2_dense :")
    path.write_text(text + TRANSPOSITIONS + EINSUM.format(kernel=kernel))
    return folder


def test_an_einsum_of_one_vector_is_its_dense_layer(tmp_path: Path) -> None:
    dense = read_folder(edited(tmp_path / "dense", "config2>", "config2>"))
    einsum = read_folder(_einsum(tmp_path / "einsum", "typedef config2_dense dense_conf;"))
    for field in dataclasses.fields(dense.layers[0]):
        ours, its = (getattr(query.layers[0], field.name) for query in (einsum, dense))
        assert np.array_equal(ours, its) if isinstance(its, np.ndarray) else ours == its, field.name


def test_adder_graphs_of_an_einsum_are_followed(tmp_path: Path) -> None:
    kernel = "constexpr static auto da_kernel = nnet::einsum_dense2_da_kernel<input_t, accum_t>;"
    folder = _einsum(tmp_path, kernel, "b2")
    (folder / "firmware" / "nnet_utils").mkdir()
    (folder / "firmware" / "nnet_utils" / "nnet_code_gen.h").write_text(GRAPH)
    layer = read_folder(folder).layers[0]
    assert layer.strategy == "distributed_arithmetic"
    assert layer.weights is not None
    real = layer.weights * 2.0**-layer.weight.fraction
    assert real.tolist() == [[1, 2, 0, 0], [-1, -2, 0, 0], [0, 0, 1, -1]]
    assert layer.biases is not None
    assert layer.bias is not None
    written = [float(text) for text in listed(np.arange(4)).split(", ")]
    assert (layer.biases * 2.0**-layer.bias.fraction).tolist() == written


@pytest.mark.parametrize(
    ("old", "new"),
    [("n_free_data = 1", "n_free_data = 6"), ("n_inplace = 1", "n_inplace = 2"), ("dims = 1", "dims = 2")],
)
def test_an_einsum_of_more_is_refused(tmp_path: Path, old: str, new: str) -> None:
    folder = _einsum(tmp_path, "typedef config2_dense dense_conf;")
    path = folder / "firmware" / "parameters.h"
    path.write_text(path.read_text().replace(old, new))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["fc1"]):
        read_folder(folder)
