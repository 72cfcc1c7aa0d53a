"""The spaces of cells: their contracts, what hls4ml builds of them, one spelling for one network."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
import types
from typing import Any

import numpy as np
import pytest
from generated_docs import knob_table
from places import ROOT
from refusal import raises_naming, refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.network.reuse import legal_reuse_factors
from hwnas_hls.protocols.space import KnobSpace, Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.spec.configuration import from_table
from hwnas_hls.testing import SpaceContract, StrategyContract
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls_plugins.spaces.cell import CellSpace
from hwnas_hls_plugins.spaces.cell_config import CellConfig, CellLayers
from hwnas_hls_plugins.spaces.conv_cell import ConvCellSpace
from hwnas_hls_plugins.spaces.conv_cell_config import ConvCellConfig
from hwnas_hls_plugins.spaces.hierarchical import HierarchicalConfig, HierarchicalSpace
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig
from hwnas_hls_plugins.strategies.evolution import EvolutionStrategy
from hwnas_hls_plugins.strategies.optuna_samplers import GeneticConfig, Nsga2Strategy, TpeConfig, TpeStrategy
from hwnas_hls_plugins.strategies.random_search import RandomStrategy
from hwnas_hls_plugins.strategies.reinforce import ReinforceStrategy

ALL_STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")


def cell_space(n_in: int = 16, n_out: int = 5, **changed: Any) -> CellSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out)
    return CellSpace(CellConfig(**{"strategies": ALL_STRATEGIES, **changed}), task)


def hierarchical_space(n_in: int = 16, n_out: int = 5, **changed: Any) -> HierarchicalSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out)
    return HierarchicalSpace(HierarchicalConfig(**{"strategies": ALL_STRATEGIES, **changed}), task)


class TestCell(SpaceContract):
    def space(self) -> Space:
        return cell_space()


class TestCellUnrolledOnly(SpaceContract):
    def space(self) -> Space:
        return cell_space(60, 26, strategies=("Latency",), widths=(16, 64, 128), max_operations=4)


class TestCellOfLittleChoice(SpaceContract):
    def space(self) -> Space:
        return cell_space(
            3,
            2,
            max_cells=1,
            max_operations=1,
            stems=(True,),
            strategies=("distributed_arithmetic",),
            activations=("relu", "linear"),
            dropouts=(0.0, 0.1),
            clock_periods_ns=(3.0, 5.0),
        )


class TestHierarchical(SpaceContract):
    def space(self) -> Space:
        return hierarchical_space()


class TestHierarchicalOfThreeCells(SpaceContract):
    def space(self) -> Space:
        return hierarchical_space(64, 10, kinds=3, max_operations=3, strategies=("Latency",))


def drawn(space: KnobSpace, count: int = 300) -> list[Candidate]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


def architectures(space: KnobSpace, count: int = 300) -> list[Architecture]:
    return [space.architecture(candidate) for candidate in drawn(space, count)]


SPACES = {
    "cell": lambda: cell_space(),
    "cell of many inputs": lambda: cell_space(200, 10),
    "cell unrolled": lambda: cell_space(64, 10, strategies=("Latency",)),
    "hierarchical": lambda: hierarchical_space(),
    "hierarchical unrolled": lambda: hierarchical_space(64, 10, strategies=("distributed_arithmetic",)),
}


@pytest.mark.parametrize("name", SPACES)
def test_hls4ml_builds_every_layer_unchanged(name: str) -> None:
    space = SPACES[name]()
    for architecture in architectures(space):
        assert (architecture.n_in, architecture.n_out) == (space.n_in, space.n_out)
        kinds = architecture.output_types()
        for number, layer in enumerate(architecture.layers):
            given = [
                architecture.input if source < 0 else kinds[source] for source in architecture.sources(number)
            ]
            assert min(kind.fraction for kind in given) >= 0
            if isinstance(layer, Dense):
                assert layer.weight.fraction >= 0
                assert layer.reuse_factor in legal_reuse_factors(layer.n_in, layer.n_out, layer.strategy)
                if layer.strategy != "Resource":
                    assert layer.reuse_factor == 1
                    assert layer.n_products < UNROLL_LIMIT
            else:
                assert isinstance(layer, Merge)
                # hls4ml's front end for torch drops one of two equal inputs.
                assert len(set(architecture.sources(number))) == 2


@pytest.mark.parametrize("space", [cell_space(), hierarchical_space()], ids=["cell", "hierarchical"])
def test_samples_hold_chains_residuals_and_concatenations(space: KnobSpace) -> None:
    found = architectures(space, 400)
    merges = [{layer.merge for layer in one.layers if isinstance(layer, Merge)} for one in found]
    assert sum("add" in kinds for kinds in merges) > 60
    assert sum("concatenate" in kinds for kinds in merges) > 60
    assert sum(one.is_chain for one in found) > 60
    assert len({one.shape for one in found}) > 150
    activations = {layer.activation for one in found for layer in one.layers}
    assert activations == {"relu", "leaky_relu", "linear"}


def plain(space: KnobSpace, **chosen: Any) -> dict[str, Any]:
    """The first value of every knob, except those that are given."""
    return {knob.name: knob.choices[0] for knob in space.knobs} | chosen


def test_identities_and_dead_nodes_are_removed() -> None:
    space = cell_space()
    one = space.candidate(plain(space, operations=1, op_1="dense", skip_1="none", weight_bits_1=5))
    padded = [
        # an identity behind it, before it, and another layer that nobody takes
        {"operations": 2, "op_1": "dense", "op_2": "identity", "weight_bits_1": 5},
        {"operations": 2, "op_1": "identity", "op_2": "dense", "weight_bits_2": 5},
        {
            "operations": 2,
            "op_1": "dense",
            "op_2": "dense",
            "back_2": 2,
            "weight_bits_1": 7,
            "weight_bits_2": 5,
        },
        {
            "operations": 3,
            "op_1": "identity",
            "op_2": "identity",
            "skip_2": "add",
            "skip_back_2": 1,
            "op_3": "dense",
            "weight_bits_3": 5,
        },
    ]
    for more in padded:
        assert space.candidate(plain(space, **more)).key == one.key, more
    empty = space.candidate(plain(space, operations=2, op_1="identity", op_2="identity"))
    assert [layer.kind for layer in space.architecture(empty).layers] == ["dense", "dense"]


def test_settings_without_effect_are_spelt_in_one_way() -> None:
    space = cell_space()
    joined = plain(space, operations=2, op_1="dense", op_2="identity", skip_2="concatenate", skip_back_2=2)
    keys = {
        space.candidate({**joined, "activation_2": activation, "activation_bits_2": bits}).key
        for activation in ("relu", "leaky_relu", "hard_tanh")
        for bits in (3, 8)
    }
    assert len(keys) == 1
    hard = plain(space, op_1="dense", activation_1="hard_tanh")
    assert len({space.candidate({**hard, "activation_integer_1": bits}).key for bits in (0, 1, 3)}) == 1


def test_added_tensor_takes_width_of_other() -> None:
    space = cell_space()
    values = plain(
        space, cells=2, width=8, stem=False, operations=1, op_1="dense", skip_1="add", skip_back_1=1
    )
    architecture = space.architecture(space.candidate(values))
    assert architecture.shape == "16-16-add16-16-add16-5"
    with_stem = space.architecture(space.candidate({**values, "stem": True}))
    assert with_stem.shape == "16-8-8-add8-8-add8-5"
    inner, merge = with_stem.layers[1:3]
    # The activation stands behind the addition.
    assert (inner.activation, merge.activation) == ("linear", "relu")


def test_unused_cells_are_reset_and_names_follow_order() -> None:
    space = hierarchical_space()
    base = plain(space, positions=2, cell_1="a", cell_2="a", weight_bits_a1=6)
    keys = {
        space.candidate({**base, "weight_bits_b1": bits, "operations_b": count}).key
        for bits in (2, 7)
        for count in (1, 2)
    }
    assert len(keys) == 1
    mixed = {**base, "cell_2": "b", "weight_bits_b1": 3}
    turned = {**mixed, "cell_1": "b", "cell_2": "a", "weight_bits_a1": 3, "weight_bits_b1": 6}
    assert space.candidate(mixed).key == space.candidate(turned).key
    bits = [layer.weight.width for layer in space.architecture(space.candidate(turned)).chain]
    assert bits[:2] == [6, 3]


def test_widths_follow_the_resizes() -> None:
    space = hierarchical_space()
    values = plain(
        space, positions=4, width=16, resize_2="double", resize_3="halve", resize_4="halve", cell_3="b"
    )
    assert space.architecture(space.candidate(values)).shape == "16-16-32-16-8-5"


def test_a_space_that_cannot_be_unrolled_is_refused_at_once() -> None:
    for space in (cell_space, hierarchical_space):
        with refused(ErrorKind.TOO_LARGE, mentions=["Resource", UNROLL_LIMIT]):
            space(2000, 5, strategies=("Latency",))
        assert architectures(space(2000, 5), 3)


@pytest.mark.parametrize(
    ("config", "changed", "named"),
    [
        (CellConfig, {"max_operations": 0}, ("max_operations", 0, 1, 8)),
        (CellConfig, {"skips": ("add",)}, ("skips", "none")),
        (CellConfig, {"skips": ("none", "multiply")}, ("skips", "multiply", "none, add, concatenate")),
        (CellConfig, {"activations": ("tanh",)}, ("activations", "tanh")),
        (CellConfig, {"max_cells": 9}, ("max_cells", 9, 1, 8)),
        (CellConfig, {"widths": ()}, ("widths",)),
        (HierarchicalConfig, {"kinds": 5}, ("kinds", 5, 1, 4)),
        (HierarchicalConfig, {"resizes": ("third",)}, ("resizes", "third", "halve, keep, double")),
        (HierarchicalConfig, {"max_width": 10}, ("max_width", 10, 48)),
    ],
)
def test_settings_out_of_range_name_key_value_and_choices(
    config: Any, changed: Any, named: tuple[Any, ...]
) -> None:
    with raises_naming(*named):
        config(**changed)


# Documentation

PAGE = ROOT / "docs" / "spaces.md"


def documented() -> dict[str, KnobSpace]:
    task: Any = types.SimpleNamespace(n_in=64, n_out=10, input_shape=(8, 8, 1))
    images = ConvCellConfig(strategies=("Latency", "Resource"))
    return {
        "cell": cell_space(strategies=("Latency", "Resource")),
        "hierarchical": hierarchical_space(strategies=("Latency", "Resource")),
        "conv-cell": ConvCellSpace(images, task),
    }


@pytest.mark.parametrize("name", ["cell", "hierarchical", "conv-cell"])
def test_the_page_shows_the_knob_table_as_it_is(name: str) -> None:
    """With HWNAS_REGENERATE_DOCS=1 the page is rewritten instead."""
    marks = (f"<!-- knobs of the {name} space -->\n", "<!-- end of the knobs -->\n")
    first, rest = PAGE.read_text().split(marks[0])
    shown, last = rest.split(marks[1], 1)
    table = knob_table(documented()[name].knobs)
    if os.environ.get("HWNAS_REGENERATE_DOCS"):
        PAGE.write_text(first + marks[0] + table + marks[1] + last)
        return
    assert shown == table, "run the tests with HWNAS_REGENERATE_DOCS=1"


@pytest.mark.parametrize("config", [CellConfig, HierarchicalConfig, ConvCellConfig])
def test_the_page_names_every_setting(config: Any) -> None:
    page = PAGE.read_text()
    for field in dataclasses.fields(config):
        default = field.default
        # Settings that all spaces of cells share are named once, with the default of most of them.
        shared = field.name in CellLayers.__dataclass_fields__ and config is not HierarchicalConfig
        wanted = f"`{field.name}`" if isinstance(default, tuple) or shared else f"`{field.name} = {default}`"
        assert wanted in page or f"`{field.name} = {default}`" in page, f"{wanted} is not on the page"


def test_the_specs_on_the_page_are_taken() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    table = tomllib.loads(text)["space"]
    assert table.pop("name") == "mlp"
    task: Any = types.SimpleNamespace(n_in=16, n_out=5)
    space = MlpSpace(from_table(MlpConfig, table, "the page"), task)
    found = architectures(space, 100)
    assert any(isinstance(layer, Merge) for one in found for layer in one.layers)


# Strategies

STRATEGIES: dict[str, Any] = {
    "random": lambda space, goal, seed: RandomStrategy(space, seed),
    "evolution": lambda space, goal, seed: EvolutionStrategy(
        EvolutionStrategy.Config(8, 3), space, goal, seed
    ),
    "nsga2": lambda space, goal, seed: Nsga2Strategy(GeneticConfig(8), space, goal, seed),
    "tpe": lambda space, goal, seed: TpeStrategy(TpeConfig(8), space, goal, seed),
    "reinforce": lambda space, goal, seed: ReinforceStrategy(ReinforceStrategy.Config(), space, goal, seed),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_resume_identically_on_cells(strategy: str) -> None:
    class OnCells(StrategyContract):
        batch_size, batches = 4, 3
        modes = ("pareto",)

        def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
            made: Strategy = STRATEGIES[strategy](space, goal, seed)
            return made

        def spaces(self) -> list[Space]:
            return [documented()[name] for name in ("hierarchical", "conv-cell")]

    OnCells().test_asks_for_candidates_of_the_space()
    OnCells().test_resume_continues_identically()
