"""The MLP space: its contract, what hls4ml builds of it, and its documentation."""

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
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.protocols.space import Space, assemble, lattice, settings
from hwnas_hls.spec.configuration import from_table
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.testing import MixedSpace, SpaceContract, TinySpace, check
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig

PAGE = ROOT / "docs" / "spaces-and-strategies.md"
ALL_STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")

EVERY_KIND: dict[str, Any] = {
    "layer_kinds": ("dense", "residual", "concatenate"),
    "activations": ("relu", "leaky_relu", "linear", "hard_tanh"),
    "activation_per_layer": True,
    "dropouts": (0.0, 0.1),
}


def mlp_space(n_in: int = 16, n_out: int = 5, rows: int = 9000, **changed: Any) -> MlpSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out, train=range(rows))
    changed.setdefault("strategies", ALL_STRATEGIES)
    return MlpSpace(MlpConfig(**changed), task)


def architectures(space: MlpSpace, count: int = 300) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.architecture(space.sample(rng)) for _ in range(count)]


class TestMlp(SpaceContract):
    def space(self) -> Space:
        return mlp_space()


class TestMlpOfAdders(SpaceContract):
    def space(self) -> Space:
        return mlp_space(strategies=("distributed_arithmetic",))


def test_a_search_for_adders_starts_with_generous_networks() -> None:
    space = mlp_space(strategies=("distributed_arithmetic",))
    starts = [space.architecture(candidate) for candidate in space.starts()]
    assert len(starts) == 10
    assert all(architecture.kept_adders == 1.0 for architecture in starts)
    assert max(len(architecture.chain) for architecture in starts) > 3
    products = [sum(layer.n_in * layer.n_out for layer in architecture.chain) for architecture in starts]
    assert max(products) > 8000
    assert not mlp_space().starts()
    few = mlp_space(rows=450, strategies=("distributed_arithmetic",))
    assert few.starts() == [
        candidate for candidate, count in zip(space.starts(), products, strict=True) if count <= 900
    ]
    assert 1 <= len(few.starts()) < 9


def test_samples_of_adders_have_at_most_two_weights_per_training_row() -> None:
    def most_weights(rows: int, **settings: Any) -> int:
        space = mlp_space(rows=rows, **settings)
        rng = np.random.default_rng(3)
        chains = [space.architecture(space.sample(rng)).chain for _ in range(40)]
        return max(sum(layer.n_in * layer.n_out for layer in chain) for chain in chains)

    assert most_weights(450, strategies=("distributed_arithmetic",)) <= 900
    assert most_weights(20_000, strategies=("distributed_arithmetic",)) > 4096
    assert most_weights(450) > 900
    # No network is small enough.
    assert most_weights(2, strategies=("distributed_arithmetic",)) > 4


def test_distributed_arithmetic_unrolls_layers_of_any_size() -> None:
    def widest(**settings: Any) -> list[tuple[int, str]]:
        space = mlp_space(widths=(128,), min_depth=2, max_depth=2, **settings)
        chain = space.architecture(space.sample(np.random.default_rng(0))).chain
        return [(layer.n_in * layer.n_out, layer.strategy) for layer in chain][1:2]

    assert widest(strategies=("distributed_arithmetic",)) == [(128 * 128, "distributed_arithmetic")]
    assert widest(strategies=("Latency", "distributed_arithmetic")) == [(128 * 128, "distributed_arithmetic")]
    assert widest(strategies=("Latency", "Resource")) == [(128 * 128, "Resource")]


def test_starts_keep_to_the_settings() -> None:
    settings: dict[str, Any] = {"max_depth": 2, "widths": (4, 8), "weight_bits": (3,), "input_bits": (5, 6)}
    space = mlp_space(strategies=("distributed_arithmetic",), **settings)
    starts = space.starts()
    assert len({candidate.key for candidate in starts}) == len(starts) > 1
    for candidate in starts:
        *hidden, _ = chain = space.architecture(candidate).chain
        assert len(hidden) <= 2
        assert {layer.n_out for layer in hidden} <= {4, 8}
        assert {layer.weight.width for layer in chain} == {3}


class TestMlpOfManyInputs(SpaceContract):
    def space(self) -> Space:
        return mlp_space(784, 10)


class TestMlpUnrolledOnly(SpaceContract):
    def space(self) -> Space:
        return mlp_space(60, 26, strategies=("Latency",), widths=(16, 64, 128, 256))


class TestMlpFromLinearModelUp(SpaceContract):
    def space(self) -> Space:
        return mlp_space(
            3,
            2,
            min_depth=0,
            max_depth=2,
            activations=("relu", "linear"),
            dropouts=(0.0, 0.1),
            clock_periods_ns=(3.0, 5.0),
        )


class TestMlpOfEveryKind(SpaceContract):
    def space(self) -> Space:
        return mlp_space(16, 10, **EVERY_KIND)


class TestMlpSharedOnly(SpaceContract):
    def space(self) -> Space:
        return mlp_space(strategies=("Resource",), reuse_factors=(2, 3, 5, 64))


class TestTiny(SpaceContract):
    def space(self) -> Space:
        return TinySpace()


class TestMixed(SpaceContract):
    def space(self) -> Space:
        return MixedSpace()


@pytest.mark.parametrize(("n_in", "n_out"), [(16, 5), (64, 10), (784, 10), (7, 3), (1, 1)])
def test_hls4ml_builds_every_layer_unchanged(n_in: int, n_out: int) -> None:
    for architecture in architectures(mlp_space(n_in, n_out)):
        assert (architecture.n_in, architecture.n_out) == (n_in, n_out)
        for source, layer in architecture.layer_inputs():
            assert layer.reuse_factor in legal_reuse_factors(layer.n_in, layer.n_out, layer.strategy)
            assert source.fraction >= 0
            assert layer.weight.fraction >= 0
            if layer.strategy == "Resource":
                assert layer.reuse_factor > 1 or layer.n_products == 1
                assert layer.sparsity == 0
            else:
                assert layer.reuse_factor == 1
                # Distributed arithmetic has no arrays of products.
                assert layer.strategy != "Latency" or layer.n_products < UNROLL_LIMIT


@pytest.mark.parametrize("strategies", [("Latency",), ALL_STRATEGIES])
def test_residual_and_concatenating_layers_fit_together_and_stay_small(strategies: tuple[str, ...]) -> None:
    found = architectures(mlp_space(48, 10, strategies=strategies, **EVERY_KIND), 400)
    merges = {layer.merge for one in found for layer in one.layers if isinstance(layer, Merge)}
    assert merges == {"add", "concatenate"}
    assert sum(one.is_chain for one in found) > 20
    for one in found:
        types = one.output_types()
        for number, layer in enumerate(one.layers):
            if isinstance(layer, Dense):
                assert layer.strategy != "Latency" or layer.n_products < UNROLL_LIMIT
            elif layer.merge == "add" and layer.result is not None:
                # What is added has the grid of the result and room for a sum.
                inner = types[one.sources(number)[0]]
                assert inner.fraction == layer.result.fraction
                assert inner.integer > layer.result.integer


def test_a_hard_tanh_is_a_linear_layer_that_saturates_at_one() -> None:
    space = mlp_space(activations=("hard_tanh",), max_depth=1)
    for one in architectures(space, 50):
        hidden = one.chain[0]
        assert hidden.activation == "linear"
        assert hidden.result is not None
        assert (hidden.result.integer, hidden.result.overflow) == (1, "SAT")
    # Integer bits make no difference to it: they are spelt in one way.
    assert (
        len({space.sample(np.random.default_rng(k)).values["activation_integer_1"] for k in range(20)}) == 1
    )


def test_large_layers_shrink_where_they_cannot_be_shared() -> None:
    space = mlp_space(60, 26, strategies=("Latency",), widths=(16, 64, 128, 256), max_depth=3)
    found = architectures(space)
    assert all(layer.n_products < UNROLL_LIMIT for one in found for layer in one.layers)
    # 60 x 64 = 3840 fits, 64 x 64 = 4096 does not.
    assert {one.layers[0].n_out for one in found} == {16, 64}
    assert all((layer.n_in, layer.n_out) != (64, 64) for one in found for layer in one.layers)


@pytest.mark.parametrize(
    ("n_in", "n_out", "changed"),
    [
        (2000, 5, {}),
        (16, 2000, {}),
        (16, 5, {"widths": (64,), "max_depth": 2}),
        (100, 50, {"min_depth": 0, "max_depth": 1}),
    ],
)
def test_a_space_that_cannot_be_unrolled_is_refused_at_once(n_in: int, n_out: int, changed: Any) -> None:
    with refused(ErrorKind.TOO_LARGE, mentions=["Resource", UNROLL_LIMIT]):
        mlp_space(n_in, n_out, strategies=("Latency",), **changed)
    assert architectures(mlp_space(n_in, n_out, **changed), 3)


def test_reuse_factors_that_are_built_alike_are_one_candidate() -> None:
    space = mlp_space(max_depth=1, widths=(8,), strategies=("Resource",), reuse_factors=(5, 6, 8, 16, 100))
    base = dict(space.sample(np.random.default_rng(0)).values)
    keys: dict[int, set[str]] = {}
    for wanted in (5, 6, 8, 16, 100):
        candidate = space.candidate({**base, "reuse_factor_1": wanted})
        built = space.architecture(candidate).layers[0].reuse_factor
        keys.setdefault(built, set()).add(candidate.key)
    # hls4ml builds 1 2 4 8 16 32 64 128 for 16 x 8; 6 is as near to 4 as to 8 and goes down.
    assert sorted(keys) == [4, 8, 16, 128]
    assert all(len(same) == 1 for same in keys.values())


def test_strategies_are_those_that_the_synthesizer_measures() -> None:
    task: Any = types.SimpleNamespace(n_in=16, n_out=5)
    measures = types.SimpleNamespace(hls_strategies=("distributed_arithmetic",))
    assert MlpSpace(MlpConfig(), task).strategies == ("Latency", "Resource")
    assert MlpSpace(MlpConfig(), task, measures).strategies == ("distributed_arithmetic",)
    any_strategy = types.SimpleNamespace(hls_strategies=())
    assert MlpSpace(MlpConfig(), task, any_strategy).strategies == ("Latency", "Resource")
    assert MlpSpace(MlpConfig(strategies=("Resource",)), task, measures).strategies == ("Resource",)


def test_samples_hold_small_unrolled_and_shared_networks() -> None:
    found = architectures(mlp_space(), 1000)
    shares = {
        name: np.mean([all(layer.strategy == name for layer in one.layers) for one in found])
        for name in ALL_STRATEGIES
    }
    assert min(shares.values()) > 0.1
    products = np.array([sum(layer.n_products for layer in one.layers) for one in found])
    assert np.mean(products < 500) > 0.2
    assert np.mean(products > 4000) > 0.05
    assert len({one.shape for one in found}) > 300


def test_per_layer_settings_differ_within_a_network() -> None:
    space = mlp_space(min_depth=3, max_depth=3, uniform_samples=0.0)
    found = architectures(space)
    assert np.mean([len({layer.weight.width for layer in one.layers}) > 1 for one in found]) > 0.9
    agreeing = architectures(mlp_space(min_depth=3, max_depth=3, uniform_samples=1.0))
    assert all(len({layer.weight.width for layer in one.layers}) == 1 for one in agreeing)


def test_types_are_those_of_the_knobs() -> None:
    space = mlp_space(
        activations=("relu", "linear"), normalisations=("none", "batch"), use_bias=(True, False)
    )
    values = {
        **{knob.name: knob.choices[0] for knob in space.knobs},
        "depth": 1,
        "activation": "linear",
        "normalisation": "batch",
        "use_bias": False,
        "input_bits": 8,
        "input_integer": 3,
        "width_1": 12,
        "weight_bits_1": 6,
        "weight_integer_1": 1,
        "activation_bits_1": 7,
        "activation_integer_1": 2,
        "weight_bits_out": 5,
        "weight_integer_out": 0,
        "strategy_1": "Latency",
        "sparsity_1": 0.5,
    }
    hidden, last = space.architecture(space.candidate(values)).layers
    assert str(hidden.weight) == "ap_fixed<6,1>"
    assert str(hidden.result) == "ap_fixed<7,3,AP_RND,AP_SAT>"
    assert (hidden.sparsity, hidden.normalisation, last.normalisation) == (0.5, "batch", "none")
    # Batch normalisation folds into a bias, so the hidden layer has one although biases are off.
    assert hidden.bias is not None
    assert last.bias is None
    assert str(last.weight) == "ap_fixed<5,0>"
    assert last.result is None
    relu = space.architecture(space.candidate({**values, "activation": "relu"})).layers[0]
    assert str(relu.result) == "ap_ufixed<7,2,AP_RND,AP_SAT>"


def test_biases_reach_past_the_results_and_add_no_bits_to_the_accumulator() -> None:
    for architecture in architectures(mlp_space(use_bias=(True,))):
        for source, layer in architecture.layer_inputs():
            assert layer.bias is not None
            without = dataclasses.replace(layer, bias=None).exact_accum(source)
            # One more integer bit for the sum itself, none for a finer grid or a wider bias.
            assert layer.exact_accum(source).fraction == without.fraction
            assert layer.exact_accum(source).integer <= max(without.integer, 1) + 1
            assert layer.bias.fraction >= min(layer.weight.fraction, without.fraction)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"min_depth": 3, "max_depth": 2}, ("min_depth", "max_depth", 3, 2)),
        ({"max_depth": 40}, ("max_depth", 16, 40)),
        ({"widths": (8, 8)}, ("widths", "8, 8")),
        ({"widths": (0, 8)}, ("widths", 0, 1)),
        ({"activations": ("tanh",)}, ("activations", "tanh", "relu, leaky_relu, linear, hard_tanh")),
        ({"layer_kinds": ("residual",)}, ("layer_kinds", "dense")),
        ({"layer_kinds": ("dense", "lstm")}, ("layer_kinds", "lstm", "dense, residual, concatenate")),
        ({"strategies": ("latency",)}, ("strategies", "latency", "Latency, Resource")),
        ({"sparsities": (0.5, 1.0)}, ("sparsities", 1.0)),
        ({"weight_bits": (1,)}, ("weight_bits", 1, 2, 24)),
        ({"reuse_factors": (1, 2)}, ("reuse_factors", 1, 2)),
        ({"clock_periods_ns": (0.0,)}, ("clock_periods_ns", 0.0)),
        ({"result_rounding": "ROUND"}, ("result_rounding", "ROUND", "TRN")),
        ({"uniform_samples": 1.5}, ("uniform_samples", 1.5, 0, 1)),
    ],
)
def test_settings_out_of_range_name_key_value_and_choices(
    changed: dict[str, Any], named: tuple[Any, ...]
) -> None:
    with raises_naming(*named):
        MlpConfig(**changed)


def test_the_clock_is_left_to_the_run_unless_periods_are_offered() -> None:
    assert {one.clock_ns for one in architectures(mlp_space(), 20)} == {None}
    assert {one.clock_ns for one in architectures(mlp_space(clock_periods_ns=(3.0,)), 20)} == {3.0}
    assert {one.clock_ns for one in architectures(mlp_space(clock_periods_ns=(2.5, 4.0)))} == {2.5, 4.0}


# Knobs and lattices


def test_the_lattice_holds_every_candidate_once() -> None:
    assert len(list(lattice(TinySpace()))) == 3 * 2 * 2
    space = mlp_space(
        max_depth=2,
        widths=(4, 8),
        use_bias=(True,),
        normalisations=("none",),
        input_bits=(8,),
        input_integer_bits=(3,),
        weight_bits=(4,),
        weight_integer_bits=(1,),
        activation_bits=(6,),
        activation_integer_bits=(2,),
        strategies=("Latency", "Resource"),
        reuse_factors=(2, 3),
        sparsities=(0.0,),
    )
    # A layer is Latency, or Resource with one of two asked factors; one hidden layer, or two.
    assert len(list(settings(space))) == (2 * 3) * 3 + (2 * 3) * (2 * 3) * 3
    walked = {candidate.key for candidate in lattice(space)}
    # 3 is built as 2 (as 4 at 3 inputs, which there are none of), so a layer has two ways left.
    assert len(walked) == (2 * 2) * 2 + (2 * 2) * (2 * 2) * 2
    rng = np.random.default_rng(0)
    assert {space.sample(rng).key for _ in range(2000)} == walked


def test_a_continuous_knob_cannot_be_enumerated() -> None:
    with refused(ErrorKind.UNSUPPORTED, where="space mixed", found="sparsity"):
        next(lattice(MixedSpace()))


def test_a_value_has_one_spelling() -> None:
    space = MixedSpace()
    values = {
        "depth": 1,
        "width_1": 8,
        "weight_bits": 4,
        "strategy": "Latency",
        "sparsity": 0.3,
        "dropout": 0.1,
    }
    assert space.candidate({**values, "width_1": 8.0}) == space.candidate(values)
    assert space.candidate({**values, "sparsity": 0.1 + 0.2}) == space.candidate(values)


def test_missing_and_foreign_values_are_refused_by_name() -> None:
    space = TinySpace()
    values = {"shape": "wide", "use_bias": True, "strategy": "Latency"}
    with refused(ErrorKind.MISSING, where="space tiny", found="strategy"):
        space.candidate({name: value for name, value in values.items() if name != "strategy"})
    with refused(ErrorKind.UNKNOWN_NAME, where="shape", found="wider", near="wide"):
        space.candidate({**values, "shape": "wider"})
    mixed = MixedSpace()
    wide = {**{knob.name: knob.at(0) for knob in mixed.knobs}, "strategy": "Latency", "sparsity": 2}
    with refused(ErrorKind.INVALID, found=2, mentions=["sparsity", "[0.0, 0.9]"]):
        mixed.candidate(wide)


@pytest.mark.parametrize(
    "wrong",
    [
        {"choices": ()},
        {"choices": (1, 2), "low": 0.0, "high": 1.0},
        {"choices": (1, 2, 1)},
        {"low": 0.0, "high": 1.0, "log": True},
    ],
)
def test_impossible_knobs_are_refused(wrong: dict[str, Any]) -> None:
    with raises_naming("odd"):
        Knob("odd", **wrong)


def test_spaces_without_the_base_class_are_assembled_through_their_vectors() -> None:
    inner = MixedSpace()

    class Foreign(Space):
        """A Space that is no KnobSpace."""

        name = "mixed"
        knobs = inner.knobs
        sample, mutate, crossover = inner.sample, inner.mutate, inner.crossover
        encode, decode, architecture = inner.encode, inner.decode, inner.architecture

    candidate = inner.sample(np.random.default_rng(3))
    spare = {knob.name: knob.draw(np.random.default_rng(4)) for knob in inner.knobs}
    assert assemble(Foreign(), {**spare, **candidate.values}) == candidate


# The contract itself


def test_the_contract_finds_a_space_that_breaks_it() -> None:
    class Forgetful(TinySpace):
        """Draws from numpy's global generator and never mutates."""

        def sample(self, rng: np.random.Generator) -> Any:
            return self.candidate({knob.name: knob.at(np.random.random()) for knob in self.knobs})

        def mutate(self, candidate: Any, rng: np.random.Generator) -> Any:
            return candidate

    class ForgetfulContract(SpaceContract):
        def space(self) -> Space:
            return Forgetful()

        def fresh_transcript(self) -> Any:
            return self.transcript()

    problems = {finding.test: finding.problem for finding in check(ForgetfulContract()) if finding.problem}
    assert "numpy" in problems["test_does_not_change_global_random_state"]
    assert "test_mutants_differ_from_their_parent_and_do_not_change_it" in problems
    assert "test_equal_seeds_give_equal_samples" in problems
    assert "test_vectors_have_a_fixed_length_and_decode_to_the_candidate" not in problems


# Documentation


def test_the_page_shows_the_knob_table_as_it_is() -> None:
    """With HWNAS_REGENERATE_DOCS=1 the page is rewritten instead."""
    first, rest = PAGE.read_text().split("<!-- knobs of the mlp space -->\n")
    shown, last = rest.split("<!-- end of the knobs -->\n")
    table = knob_table(mlp_space(clock_periods_ns=(4.0, 5.0), activations=("relu", "linear")).knobs)
    if os.environ.get("HWNAS_REGENERATE_DOCS"):
        marks = ("<!-- knobs of the mlp space -->\n", "<!-- end of the knobs -->\n")
        PAGE.write_text(first + marks[0] + table + marks[1] + last)
        return
    assert shown == table, "run the tests with HWNAS_REGENERATE_DOCS=1"


def test_the_worked_example_is_a_spec_that_the_space_takes() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    spec = spec_from_tables(tomllib.loads(text), "the page")
    config = from_table(MlpConfig, spec.space.config, "the page")
    assert spec.space.name == "mlp"
    assert spec.limits.max["latency_ns"] == 1000
    found = architectures(mlp_space(**dataclasses.asdict(config)))
    assert max(layer.reuse_factor for one in found for layer in one.layers) <= 26
    assert max(len(one.layers) for one in found) == 4


def test_the_page_names_every_setting_of_space_and_strategies() -> None:
    from hwnas_hls_plugins.strategies.bayesian import BayesianStrategy
    from hwnas_hls_plugins.strategies.evolution import EvolutionStrategy
    from hwnas_hls_plugins.strategies.grid import GridStrategy
    from hwnas_hls_plugins.strategies.optuna_samplers import GeneticConfig, TpeConfig
    from hwnas_hls_plugins.strategies.reinforce import ReinforceStrategy

    page = PAGE.read_text()
    configs = [
        MlpConfig,
        GeneticConfig,
        TpeConfig,
        EvolutionStrategy.Config,
        GridStrategy.Config,
        ReinforceStrategy.Config,
        BayesianStrategy.Config,
    ]
    for config in configs:
        for field in dataclasses.fields(config):
            default = field.default
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            wanted = f"`{field.name}`" if isinstance(default, tuple) else f"`{field.name} = {shown}`"
            assert wanted in page, f"{config.__qualname__}: {wanted} is not on the page"


def test_results_of_one_bit_need_a_relu() -> None:
    config = MlpSpace.Config(strategies=("distributed_arithmetic",), activation_bits=(1, 2))
    assert config.activation_bits == (1, 2)
    for activations in (("hard_tanh",), ("relu", "leaky_relu")):
        with pytest.raises(ValueError, match="activation_bits"):
            MlpSpace.Config(activations=activations, activation_bits=(1, 2))
