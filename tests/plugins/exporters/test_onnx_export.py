"""The exporter onnx: its files compute what the hardware does, in ONNX Runtime, qonnx and hls4ml."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from feature_types import RESULTS, featured
from numpy.typing import NDArray
from refusal import refused

from hwnas_hls.errors import ErrorKind, ToolMissing, Unsupported
from hwnas_hls.network.architecture import Architecture, Conv2D, Dense, Layer, Merge, Pool2D
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.emulator import input_integers, outputs
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.testing import ExporterContract, sample_front
from hwnas_hls_plugins.exporters.onnx_export import OnnxExporter
from hwnas_hls_plugins.exporters.onnx_export.exact import exact_model
from hwnas_hls_plugins.exporters.onnx_export.quantised import quantised_model

EIGHT, FIVE = FixedType(8, 3), FixedType(5, 2)
ROWS = 200


class TestContract(ExporterContract):
    def exporter(self) -> OnnxExporter:
        return OnnxExporter()


def rectified(rounding: str = "RND", overflow: str = "SAT") -> FixedType:
    return FixedType(6, 2, False, rounding, overflow)


def chain(*results: FixedType | None, accum: FixedType | None = None) -> Architecture:
    """8-12-6-4: two hidden layers and a last one with these result types."""
    widths = (8, 12, 6, 4)
    layers = [
        Dense(*widths[k : k + 2], "relu" if k < 2 else "linear", FIVE, EIGHT, accum=accum, result=results[k])
        for k in range(3)
    ]
    return Architecture(EIGHT, tuple(layers))


RESIDUAL = Architecture(
    EIGHT,
    (
        Dense(16, 16, "leaky_relu", FIVE, EIGHT, result=FixedType(7, 3, True, "RND", "SAT")),
        Dense(16, 16, "linear", FIVE, None, result=FixedType(6, 2, True, "TRN", "SAT")),
        Merge("add", (16, 16), (0, 1), "relu", result=rectified()),
        Merge("concatenate", (16, 16), (2, 0)),
        Dense(32, 5, "linear", FIVE, EIGHT, inputs=(3,)),
    ),
)
_SMALL = {"weight": FIVE, "bias": EIGHT, "result": rectified()}
IMAGE = Architecture(
    EIGHT,
    (
        Conv2D(8, 8, 2, 4, 3, 3, "relu", **_SMALL),
        Conv2D(8, 8, 4, 4, 3, 3, "relu", depthwise=True, **_SMALL),
        Pool2D(8, 8, 4, 2, 2, "max"),
        Pool2D(4, 4, 4, 2, 2, "average"),
        Conv2D(2, 2, 4, 3, 1, 1, "relu", inputs=(3,), **_SMALL),
        Merge("concatenate", (16, 12), (3, 4), channels=(4, 3)),
        Dense(28, 10, "linear", FIVE, EIGHT, inputs=(5,)),
    ),
)


def random_design(architecture: Architecture, seed: int = 0) -> Design:
    rng = np.random.default_rng(seed)

    def drawn(kind: FixedType, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return rng.integers(kind.lowest, kind.highest + 1, shape)

    weights: list[NDArray[np.int64] | None] = []
    biases: list[NDArray[np.int64] | None] = []
    for layer in architecture.layers:
        weights.append(drawn(layer.weight, layer.weight_shape) if isinstance(layer, Dense | Conv2D) else None)
        has_bias = isinstance(layer, Dense | Conv2D) and layer.bias is not None
        biases.append(drawn(layer.bias, layer.weight_shape[-1:]) if has_bias else None)
    raw = Preprocessing(rng.normal(size=architecture.n_in), rng.uniform(0.5, 2.0, architecture.n_in))
    return Design(architecture, tuple(weights), tuple(biases), raw)


def features(design: Design, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(ROWS, design.architecture.n_in)) * 4.0


def by_onnxruntime(design: Design, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    session = onnxruntime.InferenceSession(exact_model(design).SerializeToString())
    return np.asarray(session.run(None, {"features": raw})[0])


def by_qonnx(design: Design, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    inputs = (input_integers(design, raw) * 2.0**-design.architecture.input.fraction).astype(np.float32)
    cleaned = cleanup_model(ModelWrapper(of_rows(quantised_model(design), len(raw))))
    return np.asarray(execute_onnx(cleaned, {"global_in": inputs})["global_out"], np.float64)


def of_rows(model: onnx.ModelProto, rows: int) -> onnx.ModelProto:
    """qonnx and hls4ml want to know the number of rows."""
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = rows
    return model


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_onnxruntime_computes_every_type_as_the_hardware_does(rounding: str, overflow: str) -> None:
    last = FixedType(7, 4, True, rounding, overflow)
    design = random_design(
        chain(rectified(rounding, overflow), FixedType(6, 3, True, rounding, overflow), last)
    )
    raw = features(design)
    found = by_onnxruntime(design, raw)
    assert np.array_equal(found, outputs(design, raw))
    assert len(np.unique(found)) > 20  # a network that says the same of everything proves nothing


@pytest.mark.parametrize(("results", "activation"), RESULTS)
def test_onnxruntime_knows_types_of_single_neurons(results: str, activation: str) -> None:
    design = featured(results=results, activation=activation, seed=1, neurons=True)
    raw = features(design)
    assert np.array_equal(by_onnxruntime(design, raw), outputs(design, raw))


def test_qonnx_knows_types_of_single_neurons() -> None:
    design = featured(seed=1)
    kind = FixedType(4, 2, False)
    own = tuple(kind if k % 3 == 0 else FixedType(3, 2 - k % 3 + 1, False) for k in range(9))
    design = dataclasses.replace(design, features=(), neurons=(own[:5], own[5:]))
    raw = features(design)
    assert np.array_equal(by_qonnx(design, raw), outputs(design, raw))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["layer 0"]):
        quantised_model(dataclasses.replace(design, neurons=((None, *own[1:5]), own[5:])))


@pytest.mark.parametrize("architecture", [RESIDUAL, IMAGE], ids=lambda found: found.shape)
def test_onnxruntime_computes_graphs_and_images_as_the_hardware_does(architecture: Architecture) -> None:
    design = random_design(architecture)
    raw = features(design)
    assert np.array_equal(by_onnxruntime(design, raw), outputs(design, raw))


def test_wrapping_accumulator_wraps_in_onnxruntime() -> None:
    design = random_design(chain(rectified(), rectified(), None, accum=FixedType(14, 4)))
    raw = features(design)
    assert np.array_equal(by_onnxruntime(design, raw), outputs(design, raw))


@pytest.mark.parametrize(
    "architecture",
    [
        chain(rectified(), rectified(), None),
        chain(rectified("TRN"), rectified("RND_CONV", "SAT_SYM"), FixedType(7, 4, True, "RND", "SAT")),
        chain(rectified("RND_INF"), rectified("TRN_ZERO"), FixedType(7, 4, True, "RND_ZERO", "SAT_SYM")),
        RESIDUAL,
    ],
    ids=["default", "floors", "symmetric", "residual"],
)
def test_qonnx_computes_the_same(architecture: Architecture) -> None:
    design = random_design(architecture)
    raw = features(design)
    assert np.array_equal(by_qonnx(design, raw), outputs(design, raw))


def test_hls4ml_builds_the_same_network_from_the_qonnx_file(tmp_path: Path) -> None:
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    design = random_design(chain(rectified(), rectified(), None))
    raw = features(design)
    model = cleanup_model(ModelWrapper(of_rows(quantised_model(design), 1)))
    config = hls4ml.utils.config_from_onnx_model(model, granularity="name", backend="Vitis")
    built = hls4ml.converters.convert_from_onnx_model(
        model, hls_config=config, output_dir=str(tmp_path / "project"), backend="Vitis"
    )
    built.compile()
    inputs = input_integers(design, raw) * 2.0**-design.architecture.input.fraction
    found = built.predict(np.ascontiguousarray(inputs.astype(np.float32)))
    wanted = outputs(design, raw)
    assert np.array_equal(found.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        (chain(rectified(overflow="WRAP"), rectified(), None), "WRAP"),
        (chain(rectified("RND_MIN_INF"), rectified(), None), "RND_MIN_INF"),
        (chain(rectified(), rectified(), None, accum=FixedType(16, 5)), "accumulator"),
        (IMAGE, "conv2d"),
    ],
)
def test_design_beyond_qonnx_is_refused(architecture: Architecture, named: str) -> None:
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[named]):
        quantised_model(random_design(architecture))


def test_tables_and_cut_products_are_refused() -> None:
    architecture = chain(rectified(), rectified(), None)
    last: Layer = dataclasses.replace(architecture.chain[-1], activation="softmax")
    softmax = dataclasses.replace(architecture, layers=(*architecture.layers[:-1], last))
    with refused(ErrorKind.INEXACT, Unsupported, mentions=["softmax"]):
        exact_model(random_design(softmax))
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["accumulator"]):
        exact_model(random_design(chain(rectified(), rectified(), None, accum=FixedType(12, 8))))


def test_each_design_gets_its_files_and_missing_ones_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    front = sample_front()
    with caplog.at_level(logging.WARNING):
        written = OnnxExporter().export(front, tmp_path)
    for member in front.members:
        path = tmp_path / "designs" / member.key / "model.onnx"
        assert path in written
        raw = features(member.design)
        session = onnxruntime.InferenceSession(path.read_bytes())
        assert np.array_equal(session.run(None, {"features": raw})[0], outputs(member.design, raw))
        sibling = path.with_name("model.qonnx.onnx")
        assert (sibling in written) == sibling.exists()
        assert sibling.exists() or member.key in caplog.text
    only = OnnxExporter(OnnxExporter.Config(qonnx=False)).export(front, tmp_path / "only")
    assert {path.name for path in only} == {"model.onnx"}


def test_the_files_are_the_same_bytes_each_time() -> None:
    design = random_design(RESIDUAL)
    for build in (exact_model, quantised_model):
        first, second = (build(design).SerializeToString(deterministic=True) for _ in range(2))
        assert first == second


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["hwnas-hls[onnx]"]):
        OnnxExporter().export(sample_front(), tmp_path)


def test_sums_wider_than_float64_are_refused_however_narrow_their_accumulator() -> None:
    wide = FixedType(24, 12)
    layer = Dense(700, 3, "linear", wide, None, accum=FixedType(30, 6))
    design = random_design(Architecture(wide, (layer,)))
    with refused(ErrorKind.INEXACT, Unsupported, mentions=["layer 0"]):
        exact_model(design)
