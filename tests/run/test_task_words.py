"""Raw words of a task: their types, their checks, and a search on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import toy
from refusal import refused
from synthetic_front import make_dataset

from hwnas_hls import hookimpl
from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.transfer import dataset_from_json, dataset_to_json
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.lifecycle import Observer
from hwnas_hls.run.task_words import with_words
from hwnas_hls.spec.spec import Spec

WHERE = "spec.toml: task.input_words"


def whole(*columns: tuple[int, int]) -> Dataset:
    """Random whole numbers between two ends each, both in the training rows."""
    rng = np.random.default_rng(0)
    given = make_dataset()

    def split(old: Split) -> Split:
        x = np.stack([rng.integers(low, high + 1, len(old)) for low, high in columns], axis=1).astype(float)
        x[:2] = np.array(columns).T
        return Split(x, old.y)

    return dataclasses.replace(
        given,
        train=split(given.train),
        validation=split(given.validation),
        test=split(given.test),
        features=tuple("abcdef"[: len(columns)]),
    )


def words(dataset: Dataset) -> list[str]:
    assert dataset.scaling is not None
    return [str(word) for word in dataset.scaling.words]


def test_integers_get_the_narrowest_words() -> None:
    found = with_words(whole((0, 1), (0, 4095), (-128, 5), (0, 0)), "integers", WHERE)
    assert words(found) == ["ap_ufixed<1,1>", "ap_ufixed<12,12>", "ap_fixed<8,8>", "ap_ufixed<1,1>"]
    assert with_words(found, "", WHERE) is found


def test_types_are_of_all_features_or_of_each() -> None:
    data = whole((0, 100), (-4, 4))
    assert words(with_words(data, "ap_fixed<12,10>", WHERE)) == ["ap_fixed<12,10>"] * 2
    table = {"b": "ap_int<6>", "others": "integers"}
    assert words(with_words(data, table, WHERE)) == ["ap_ufixed<7,7>", "ap_fixed<6,6>"]


@pytest.mark.parametrize(
    ("wanted", "kind", "shown"),
    [
        ("ap_uint<6>", ErrorKind.MISMATCH, "0 to 63"),
        ({"a": "integers"}, ErrorKind.MISSING, "b"),
        ({"c": "integers", "others": "integers"}, ErrorKind.UNKNOWN_NAME, "others"),
        ("twelve bits", ErrorKind.INVALID, "twelve bits"),
        ("ap_uint<40>", ErrorKind.TOO_LARGE, 32),
    ],
)
def test_unusable_words_are_refused(wanted: str | Mapping[str, str], kind: ErrorKind, shown: object) -> None:
    with refused(kind, mentions=[shown]):
        with_words(whole((0, 100), (-4, 4)), wanted, WHERE)


def test_a_value_that_is_not_whole_is_named() -> None:
    data = whole((0, 9))
    data.validation.x[3, 0] = 2.5
    with refused(ErrorKind.MISMATCH, mentions=["2.5", "row 4 of validation", "ap_fixed"]):
        with_words(data, "integers", WHERE)


def test_standardised_features_are_what_the_circuit_computes() -> None:
    data = with_words(whole((0, 4000), (-9, 9)), "integers", WHERE)
    assert data.scaling is not None
    values = data.standardised(data.test)
    shifts = np.array(data.scaling.shifts)
    assert np.array_equal(values * 2.0**shifts + np.array(data.scaling.offsets), data.test.x)
    assert (np.abs(values.std(axis=0)) < 1.5).all()


def test_worker_receives_input_scaling() -> None:
    data = with_words(whole((0, 4000), (-9, 9)), "integers", WHERE)
    parts: dict[str, bytes] = {}
    assert dataset_from_json(dataset_to_json(data, parts), parts).scaling == data.scaling


class Whole(toy.ToyTask):
    """The toy's clouds in steps of 1/16, as signed words of 12 bits with 4 behind the point."""

    name = "toy-whole"
    Config = toy.ToyTask.Config

    def load(self) -> Dataset:
        data = super().load()
        splits = {
            name: dataclasses.replace(part, x=np.round(part.x * 16) / 16)
            for name in ("train", "validation", "test")
            for part in [getattr(data, name)]
        }
        return dataclasses.replace(data, **splits)


class WholePlugin:
    @hookimpl
    def hwnas_register_tasks(self) -> list[type]:
        return [Whole]


def test_a_search_trains_behind_the_scaling_and_exports_it(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    registry.register(WholePlugin(), "whole")
    spec = toy_spec(
        task={"name": "toy-whole", "input_words": "ap_fixed<12,8>"}, run={"trials": 20, "batch": 10}
    )
    outcome = runs.start(spec, registry, tmp_path / "run", Observer())
    assert outcome.front.members
    for member in outcome.front.members:
        design = Design.load(tmp_path / "run" / "designs" / member.key)
        layers = member.candidate.values["layers"]
        assert len(design.architecture.layers) == layers + 1
        assert design.architecture.scaling is not None
        assert design.architecture.input == FixedType(12, 8)
        # The cost of the search includes the scaling.
        lut = sum(layer.n_products * layer.weight.width for layer in design.architecture.layers)
        assert member.record.estimates["lut"].value == lut
