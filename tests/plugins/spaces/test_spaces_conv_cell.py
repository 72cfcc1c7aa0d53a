"""The space of convolutional cells: its contract, what hls4ml builds of it, and whose inputs it takes."""

from __future__ import annotations

import math
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import raises_naming, refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Conv2D, Dense, Merge, Pool2D
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.plugin.transfer import dataset_from_json, dataset_to_json
from hwnas_hls.protocols.space import Space
from hwnas_hls.testing import SpaceContract, sample_dataset
from hwnas_hls_plugins.spaces.conv_cell import ConvCellSpace
from hwnas_hls_plugins.spaces.conv_cell_config import ConvCellConfig
from hwnas_hls_plugins.tasks.digits import Digits16Task, DigitsTask
from hwnas_hls_plugins.tasks.file_task import FileConfig, FileTask

ALL_STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")


def conv_space(shape: tuple[int, int, int] = (8, 8, 1), n_out: int = 10, **changed: Any) -> ConvCellSpace:
    task: Any = types.SimpleNamespace(n_in=math.prod(shape), n_out=n_out, input_shape=shape)
    return ConvCellSpace(ConvCellConfig(**{"strategies": ALL_STRATEGIES, **changed}), task)


class TestConvCell(SpaceContract):
    def space(self) -> Space:
        return conv_space()


class TestConvCellOfColours(SpaceContract):
    def space(self) -> Space:
        return conv_space((32, 32, 3), strategies=("Latency",))


class TestConvCellOfSeries(SpaceContract):
    def space(self) -> Space:
        return conv_space((1, 16, 2), 3, operations=("conv3", "max", "identity"), head_widths=(8,))


def architectures(space: ConvCellSpace, count: int = 200) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.architecture(space.sample(rng)) for _ in range(count)]


SHAPES = [(8, 8, 1), (28, 28, 1), (1, 16, 2), (5, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strategies", [ALL_STRATEGIES, ("distributed_arithmetic",)])
def test_hls4ml_builds_every_layer_unchanged(shape: Any, strategies: tuple[str, ...]) -> None:
    for architecture in architectures(conv_space(shape, strategies=strategies)):
        assert (architecture.n_in, architecture.n_out) == (math.prod(shape), 10)
        kinds = architecture.output_types()
        for number, layer in enumerate(architecture.layers):
            assert kinds[number].fraction >= 0
            if isinstance(layer, Conv2D):
                # hls4ml's front end takes no depthwise ones: they are built with zeros in between.
                window = layer.kernel_height * layer.kernel_width * layer.in_channels
                assert window * layer.filters < UNROLL_LIMIT
                assert (layer.strategy != "Resource", layer.reuse_factor) == (True, 1)
                assert (layer.kernel_height == 1) == (layer.in_height == 1)
            elif isinstance(layer, Dense):
                assert layer.strategy == "Resource" or layer.n_products < UNROLL_LIMIT
            elif isinstance(layer, Merge):
                assert len(set(architecture.sources(number))) == 2


def test_samples_hold_every_kind_of_layer() -> None:
    found = [layer for one in architectures(conv_space(), 400) for layer in one.layers]
    convolutions = [layer for layer in found if isinstance(layer, Conv2D)]
    kinds = {(layer.kernel_height, layer.depthwise) for layer in convolutions}
    assert kinds >= {(3, False), (5, False), (3, True)}
    assert {layer.pooling for layer in found if isinstance(layer, Pool2D)} == {"max", "average"}
    assert {layer.merge for layer in found if isinstance(layer, Merge)} == {"add", "concatenate"}


def test_images_are_joined_only_where_they_have_one_size() -> None:
    space = conv_space()
    values = {knob.name: knob.choices[0] for knob in space.knobs}
    values |= {
        "operations": 2,
        "op_1": "max",
        "op_2": "conv3",
        "back_2": 2,
        "skip_2": "add",
        "skip_back_2": 1,
    }
    # The convolution takes the whole image, the other is pooled: nothing is added, the pooling is dead.
    joined = space.candidate(values)
    assert [layer.kind for layer in space.architecture(joined).layers] == ["conv2d", "dense"]
    assert joined.values["operations"] == 1
    values |= {"op_1": "conv5", "filters": 4, "skip_back_2": 2}
    assert space.architecture(space.candidate({**values, "back_2": 1})).shape == "64-conv256-conv64-add64-10"


def test_a_task_without_an_image_is_refused_with_what_to_say() -> None:
    task: Any = types.SimpleNamespace(n_in=16, n_out=5, input_shape=None)
    with refused(
        ErrorKind.MISSING, where="space conv-cell", mentions=[16, "image = [height, width, channels]"]
    ):
        ConvCellSpace(ConvCellConfig(), task)
    assert ConvCellSpace(ConvCellConfig(image=(1, 16, 1)), task).image == (1, 16, 1)
    with refused(ErrorKind.MISMATCH, found="3 x 3 x 1 = 9, 16 inputs"):
        ConvCellSpace(ConvCellConfig(image=(3, 3, 1)), task)


def test_task_shape_is_declared_and_transferred() -> None:
    assert DigitsTask(DigitsTask.Config()).load().input_shape == (8, 8, 1)
    assert Digits16Task(Digits16Task.Config()).load().input_shape == (4, 4, 1)
    data = sample_dataset()
    parts: dict[str, bytes] = {}
    assert dataset_from_json(dataset_to_json(data, parts), parts).input_shape == data.input_shape


def test_a_file_task_takes_an_image_of_as_many_values_as_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "series.npz"
    np.savez(path, X=rng.normal(size=(60, 12)), y=np.arange(60) % 3)
    assert FileTask(FileConfig(str(path))).load().input_shape is None
    assert FileTask(FileConfig(str(path), image=(1, 6, 2))).load().input_shape == (1, 6, 2)
    with refused(ErrorKind.MISMATCH, found="1 x 6 x 3 = 18, 12 features"):
        FileTask(FileConfig(str(path), image=(1, 6, 3))).load()
    with refused(ErrorKind.INVALID, where="task.image", found=[6, 2]):
        FileConfig(str(path), image=(6, 2))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"image": (8, 8)}, ("image", [8, 8], "[height, width, channels]")),
        ({"operations": ("max", "identity")}, ("operations", "conv3, conv5, depthwise3")),
        ({"operations": ("conv7",)}, ("operations", "conv7", "conv3")),
        ({"head_pools": (3,)}, ("head_pools", 3, "1, 2, 4, 8")),
        ({"strategies": ("Resource",)}, ("strategies", "Resource")),
    ],
)
def test_settings_out_of_range_name_key_value_and_choices(changed: Any, named: tuple[Any, ...]) -> None:
    with raises_naming(*named):
        ConvCellConfig(**changed)
