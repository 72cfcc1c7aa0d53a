"""One training, one front: digits are taken exactly, alike everywhere, and every design is what it says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from refusal import raises_naming

from hwnas_hls.network import emulator
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.transfer import batch_from_json, batch_to_json, estimates_from_json, estimates_to_json
from hwnas_hls.protocols.estimator import Context, Paused, keep_all, no_siblings
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls_plugins.estimators.feature_bits import digit_price
from hwnas_hls_plugins.estimators.training import TrainingConfig, TrainingEstimator, train
from hwnas_hls_plugins.estimators.training.routing import planned
from hwnas_hls_plugins.estimators.training.schedule import Schedule
from hwnas_hls_plugins.estimators.training.snapshots import Snapshot, worthwhile
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.spaces.mlp_config import LADDER
from hwnas_hls_plugins.tasks.digits import Digits16Task

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.loop import Training

torch = pytest.importorskip("torch")

PART = Target("p", "xc-p", "ultrascale+", 9, 9, 9, 9, 9, 1, "DSP48E2", (27, 18), 5.0, ("made up",))
SHARES = (1.0, 0.5, 0.2)
QUICK = TrainingConfig(
    epochs=3, descent_step=0.8, descent_epochs=1, dense_rows=0, descent_price=0.1, rungs=(0.5,)
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Digits16Task(Digits16Task.Config()).load()


@pytest.fixture(scope="module")
def space(digits: Dataset) -> MlpSpace:
    config = MlpSpace.Config(
        strategies=("distributed_arithmetic",), widths=(4, 8), max_depth=2, kept_adders=SHARES
    )
    return MlpSpace(config, digits)


def some(space: MlpSpace, count: int, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def context(space: MlpSpace, digits: Dataset, *, families: bool = True) -> Context:
    siblings = space.siblings if families else no_siblings
    return Context(space.architecture, digits, PART, 5.0, 7, "cpu", siblings=siblings)


def by_candidate(candidates: Sequence[Candidate], found: Sequence[Estimates]) -> dict[str, Estimates]:
    answers_by_key = {c.key: item for item in found for c, item in item.siblings}
    return answers_by_key | {c.key: item for c, item in zip(candidates, found, strict=True)}


def same(a: Design, b: Design) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True)) and all(
        np.array_equal(x, y) for x, y in zip(a.biases, b.biases, strict=True) if x is not None
    )


def training_of(
    digits: Dataset,
    architecture: Architecture,
    config: TrainingConfig,
    shares: Sequence[float],
    front: Sequence[tuple[float, float]] = (),
) -> Training:
    from hwnas_hls_plugins.estimators.training.loop import Training

    plans = [planned(replace(architecture, kept_adders=1.0), "key", 1, regression=False)]
    return Training(plans, digits, config, 1, "cpu", kept=[shares], front=front)


def csd_digits(number: int) -> int:
    return bin(abs(number) ^ (3 * abs(number))).count("1")


def test_kept_digits_are_the_nearest_of_so_many() -> None:
    from hwnas_hls_plugins.estimators.training.digits import UNLIMITED, count_digits, keep_digits

    numbers = torch.arange(-300, 301, dtype=torch.float32)
    assert count_digits(numbers).tolist() == [csd_digits(int(n)) for n in numbers]
    for most in range(4):
        kept = numbers.clone()
        keep_digits(kept, torch.full_like(kept, float(most)), most)
        sums = {0}
        for _ in range(most):
            sums |= {s + sign * 2**k for s in sums for sign in (1, -1) for k in range(11)}
        for number, got in zip(numbers.tolist(), kept.tolist(), strict=True):
            assert csd_digits(int(got)) <= most
            best = min(abs(number - s) for s in sums)
            # One or two digits are the best there are; the greedy choice of three may miss by a little.
            assert abs(number - got) == best if most < 3 else abs(number - got) <= best + 2
    whole = numbers.clone()
    keep_digits(whole, torch.full_like(whole, UNLIMITED), 2)
    assert torch.equal(whole, numbers)


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_the_compiled_kernels_keep_the_digits_that_torch_keeps(
    digits: Dataset, space: MlpSpace, normalisation: str
) -> None:
    from hwnas_hls_plugins.estimators.training.digits import UNLIMITED
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.network import Network
    from hwnas_hls_plugins.estimators.training.plan import plan

    found = []
    for kernels in ("torch", "native"):
        rng = np.random.default_rng(1)
        members = []
        for number, candidate in enumerate(some(space, 6)):
            built = space.architecture(candidate)
            layers = [replace(layer, normalisation=normalisation, sparsity=0.0) for layer in built.chain[:-1]]
            built = replace(built, layers=(*layers, replace(built.chain[-1], sparsity=0.0)), kept_adders=1.0)
            member = ChainMember(plan(built, str(number), 0), number, 0)
            with torch.inference_mode():
                member.start(torch.float32)
            member.limited = True
            for limits in member.digits:
                drawn = torch.tensor(rng.choice([0, 1, 2, 3, UNLIMITED], limits.shape))
                with torch.inference_mode():
                    limits.copy_(drawn)
            members.append(member)
        with torch.inference_mode():
            network = Network(members, 16, 10, torch.float32, torch.device("cpu"), kernels)
        assert network.kernels == kernels
        layout = network.layout
        for count, low, high, whole in zip(
            layout.digits, layout.low, layout.high, layout.integers, strict=True
        ):
            assert low <= whole <= high
            assert csd_digits(int(whole)) <= count
        found.append(network)
    assert torch.equal(found[0].layout.integers, found[1].layout.integers)
    assert torch.equal(found[0].layout.weights, found[1].layout.weights)


@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_family_result_does_not_depend_on_other_families(
    digits: Dataset, space: MlpSpace, kernels: str
) -> None:
    candidates = some(space, 5)
    estimator = TrainingEstimator(replace(QUICK, kernels=kernels))
    together = by_candidate(candidates, estimator.estimate(candidates, context(space, digits)))
    assert len(together) > len(candidates)
    for candidate in candidates[:2]:
        alone = by_candidate([candidate], estimator.estimate([candidate], context(space, digits)))
        for key, item in alone.items():
            assert item.design is not None
            assert same(item.design, together[key].design)  # type: ignore[arg-type]
            assert item.values["adder_bits"] == together[key].values["adder_bits"]


def test_every_sibling_gets_the_same_design_also_in_the_export(digits: Dataset, space: MlpSpace) -> None:
    estimator = TrainingEstimator(QUICK)
    largest, *_, smallest = sorted(
        space.siblings(some(space, 1, 4)[0]), key=lambda c: -float(str(c.values["kept_adders"]))
    )
    first, last = (estimator.estimate([one], context(space, digits))[0] for one in (largest, smallest))
    held = {candidate.key: item for candidate, item in first.siblings}
    assert same(held[smallest.key].design, last.design)  # type: ignore[arg-type]
    assert {c.key for c, _ in last.siblings} == {c.key for c in space.siblings(largest)} - {smallest.key}
    alone = estimator.estimate([smallest], context(space, digits, families=False))[0]
    assert alone.siblings == ()
    assert same(alone.design, last.design)
    by_name = train([space.architecture(smallest)], digits, seeds=(7,), epochs=3, device="cpu", config=QUICK)
    assert same(by_name[0].design, last.design)  # type: ignore[arg-type]


def test_designs_lose_adders_and_have_the_score_of_the_emulator(digits: Dataset, space: MlpSpace) -> None:
    candidate = some(space, 1, 2)[0]
    # Trained so far that few weights change from epoch to epoch.
    settled = replace(QUICK, epochs=12, descent_rate=0.01)
    found = TrainingEstimator(settled).estimate([candidate], context(space, digits))
    answers_by_key = by_candidate([candidate], found)
    family = sorted(space.siblings(candidate), key=lambda c: -float(str(c.values["kept_adders"])))
    bits = [answers_by_key[one.key].values["adder_bits"].value for one in family]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < 0.4 * bits[0]
    for one in family:
        design = answers_by_key[one.key].design
        assert design is not None
        assert design.architecture.kept_adders == 1.0
        counted = 0.0
        for (source, layer), weights, biases in zip(
            design.architecture.layer_inputs(), design.weights, design.biases, strict=True
        ):
            assert layer.weight.lowest <= weights.min()
            assert weights.max() <= layer.weight.highest
            digits_of = np.vectorize(csd_digits, otypes=[int])(weights)
            prices = np.full(len(weights), source.width + 1.0)
            if weights is design.weights[0] and design.features:
                prices = np.array([digit_price(kind, source) for kind in design.features])
            counted += float((prices[:, None] * digits_of).sum())
            # One adder adds a bias and the offset that rounds the result.
            added = 0.0 if biases is None or layer.bias is None else biases * 2.0**-layer.bias.fraction
            if layer.result is not None:
                assert layer.result.rounding == "RND"
                added = added + np.full(layer.n_out, 2.0 ** -(layer.result.fraction + 1))
            counted += prices.max() * int(np.count_nonzero(added))
        assert counted == answers_by_key[one.key].values["adder_bits"].value
        if not answers_by_key[one.key].stopped:
            answers = emulator.outputs(design, digits.validation.x).argmax(axis=1)
            assert answers_by_key[one.key].values["accuracy"].value == (answers == digits.validation.y).mean()


def test_removed_constants_are_no_adders(digits: Dataset, space: MlpSpace) -> None:
    """A removed bias cancels the offset that rounds its neuron's results."""
    candidate = some(space, 1, 5)[0]
    architecture = space.architecture(candidate)
    training = training_of(digits, architecture, replace(QUICK, descent_price=0.0), (1.0, 0.05))
    snapshots = training.run(lambda indices, scores, share: [True] * len(indices))[0].snapshots
    for one, fewest in zip(snapshots, (0, 1), strict=True):
        cancelled = 0
        for number, layer in enumerate(one.design.architecture.chain[:-1]):
            bias, result = one.design.biases[number], layer.result
            assert bias is not None
            assert layer.bias is not None
            assert result is not None
            half = 1 << (layer.bias.fraction - result.fraction - 1)
            read = (one.design.chain_weights[number + 1] != 0).any(axis=1)
            cancelled += int((bias[read] == -half).sum())
        assert cancelled >= fewest
        answers = emulator.outputs(one.design, digits.validation.x).argmax(axis=1)
        assert one.score == (answers == digits.validation.y).mean()


def test_training_far_behind_known_front_ends(digits: Dataset, space: MlpSpace) -> None:
    wide = MlpSpace(MlpSpace.Config(strategies=("distributed_arithmetic",), widths=(8,), max_depth=1), digits)
    candidate = wide.candidate({**some(wide, 1)[0].values, "kept_adders": min(wide._table.ladder)})
    known = replace(context(wide, digits), front=[(1.0, 1.0)])
    estimates = TrainingEstimator(QUICK).estimate([candidate], known)[0]
    assert "far behind the front" in estimates.stopped
    # The last network had more adders than the candidate: none of its numbers is the candidate's.
    assert not estimates.values
    assert estimates.design is None
    assert len(estimates.siblings) < len(wide.siblings(candidate)) - 1
    assert all(item.stopped for _, item in estimates.siblings)


def test_large_network_first_loses_unneeded_adders(digits: Dataset, space: MlpSpace) -> None:
    """A better front of a third of its adders is no reason to stop it; one of a hundredth is."""
    architecture = space.architecture(some(space, 1)[0])
    shares = tuple(0.9**number for number in range(8))
    config = replace(QUICK, descent_step=0.9, descent_coarse=1, descent_price=0.0, descent_floor=0.0)

    def reached(front: Sequence[tuple[float, float]], most: Sequence[float] = shares) -> list[Snapshot]:
        found = training_of(digits, architecture, config, most, front).run(keep_all)
        return list(found[0].snapshots)

    bits = reached((), shares[:2])[0].adder_bits
    assert [one.kept for one in reached([(1.0, bits / 3)])] == list(shares)
    assert [one.kept for one in reached([(1.0, bits / 100)])] == list(shares[:3])


def test_a_removal_ends_near_chance(digits: Dataset, space: MlpSpace) -> None:
    shares = tuple(0.7**number for number in range(30))
    config = replace(QUICK, epochs=10, descent_step=0.7, descent_price=0.0)
    training = training_of(digits, space.architecture(some(space, 1)[0]), config, shares)
    snapshots = training.run(keep_all)[0].snapshots
    scores = [snapshot.score for snapshot in snapshots]
    floor = training.floor(snapshots)
    assert 0.1 < max(scores[-3:]) < floor <= max(scores)
    assert len(scores) < len(shares)
    assert not any(worthwhile(snapshots, (), floor)[-3:])


def test_requested_design_below_floor_keeps_its_numbers(digits: Dataset, space: MlpSpace) -> None:
    values = {**some(space, 1)[0].values, "kept_adders": 1.0}
    here = replace(context(space, digits), front=((1.0, 1e9),))
    config = replace(QUICK, epochs=1, learning_rate=1e-6, descent_price=0.0)
    (found,) = TrainingEstimator(config).estimate([space.candidate(values)], here)
    assert found.stopped
    assert found.values["accuracy"].value < 0.5
    assert found.values["adder_bits"].value > 0


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_the_number_of_cores_changes_no_bit(digits: Dataset, space: MlpSpace, kernels: str) -> None:
    candidates = some(space, 5)
    found = []
    for cores in (1, 2, 3):
        estimator = TrainingEstimator(replace(QUICK, cores=cores, kernels=kernels))
        found.append(by_candidate(candidates, estimator.estimate(candidates, context(space, digits))))
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for key, item in found[0].items():
            assert other[key].values == item.values
            assert (item.design is None) == (other[key].design is None)
            assert item.design is None or same(item.design, other[key].design)


def test_networks_train_on_before_their_first_removal(digits: Dataset, space: MlpSpace) -> None:
    """``dense_rows`` add epochs with all adders; the design of share 1 is the one after them."""
    candidate = space.candidate({**some(space, 1)[0].values, "kept_adders": 1.0})
    found = {}
    for rows in (0, 20_000):
        config = replace(QUICK, dense_rows=rows, descent_price=0.0)
        (found[rows],) = TrainingEstimator(config).estimate([candidate], context(space, digits))
    epochs = {rows: one.design.meta["epochs"] for rows, one in found.items() if one.design is not None}
    batch = 64
    assert epochs == {0: 3, 20_000: 3 + 20_000 // (len(digits.train) // batch * batch)}
    scores = {rows: one.values["accuracy"].value for rows, one in found.items()}
    assert scores[20_000] > scores[0] + 0.05


def test_training_reports_progress(digits: Dataset, space: MlpSpace) -> None:
    said: list[str] = []
    here = replace(context(space, digits), progress=said.append)
    TrainingEstimator(QUICK).estimate(some(space, 2), here)
    epochs = [words for words in said if "epoch" in words]
    assert epochs[-1].endswith(f"epoch {QUICK.epochs} of {QUICK.epochs}")
    assert any("of their adders" in words for words in said)


def test_training_in_parts_on_workers_equals_one_call(digits: Dataset, space: MlpSpace) -> None:
    candidates = some(space, 3, 9)
    estimator = TrainingEstimator(QUICK)
    here = context(space, digits)
    whole = estimator.estimate(candidates, here)
    for candidate, expected in zip(candidates, whole, strict=True):
        parts: dict[str, bytes] = {}
        message = batch_to_json([candidate], here, parts)
        sent, there = batch_from_json(message, parts, digits, PART)
        paused = estimator.advance(sent, there, [None], 0.5)[0]
        assert isinstance(paused, Paused)
        ended = estimator.advance(sent, there, [paused.state], 1.0)[0]
        assert isinstance(ended, Paused)
        answer = estimator.conclude(sent, there, [ended.state])[0]
        parts = {}
        back = estimates_from_json(estimates_to_json(answer, "design.npz", parts), "design.npz", parts)
        assert back.values == expected.values
        assert [c for c, _ in back.siblings] == [c for c, _ in expected.siblings]
        for (_, a), (_, b) in zip(back.siblings, expected.siblings, strict=True):
            assert a.values == b.values
            assert same(a.design, b.design)


def searched(folder: Path, trials: int, kept: Sequence[float] = SHARES, break_in: int = -1) -> Search:
    folder.mkdir(exist_ok=True)
    tables = {
        "target": {"name": "xcvu9p"},
        "space": {
            "strategies": ["distributed_arithmetic"],
            "widths": [4, 8],
            "max_depth": 1,
            "kept_adders": list(kept),
        },
        "objectives": {"metrics": ["accuracy", "lut"]},
        "run": {"trials": trials, "batch": 4, "estimators": ["static", "hls-model", "training"]},
        "estimators": {"training": {"epochs": 3, "descent_step": 0.8, "descent_epochs": 1, "dense_rows": 0}},
    }
    with Store(folder) as store:
        search = Search.resume(resolve(spec_from_tables(tables, "test"), Registry()), store)
        if break_in >= 0:
            finish = search.store.finish_batch

            def breaking(number: int, *rest: object) -> None:
                if number == break_in:
                    raise KeyboardInterrupt
                finish(number, *rest)  # type: ignore[arg-type]

            search.store.finish_batch = breaking  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                search.run()
            return search
        search.run()
        search.found = search.records()  # type: ignore[attr-defined]
    return search


def facts(search: Search) -> list[object]:
    return [
        (r.number, r.batch, r.key, r.state, r.metrics())
        for r in search.found  # type: ignore[attr-defined]
    ]


def test_siblings_become_records_and_trials_count_proposals(tmp_path: Path) -> None:
    search = searched(tmp_path, 8)
    records = search.found  # type: ignore[attr-defined]
    assert search.asked == 8 < len(records) == search.judged
    assert [record.number for record in records] == list(range(len(records)))
    shares = {record.candidate.values["kept_adders"] for record in records}
    assert shares == set(SHARES)
    assert all("lut" in record.metrics() for record in records if record.feasible)


def test_an_interruption_after_a_training_does_not_change_the_run(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", 12)
    searched(tmp_path / "broken", 12, break_in=1)
    resumed = searched(tmp_path / "broken", 12)
    assert facts(resumed) == facts(whole)


def test_a_sibling_proposed_later_is_not_trained_again(tmp_path: Path) -> None:
    search = searched(tmp_path, 4)
    trained: list[Architecture] = []

    class Watched(TrainingEstimator):
        def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
            trained.extend(map(context.architecture, candidates))
            return super().estimate(candidates, context)

    part = next(part for part in search.problem.estimators if part.name == "training")
    object.__setattr__(part, "instance", Watched(part.instance.config))
    asked = search.found[0].candidate  # type: ignore[attr-defined]
    others = [one for one in search.problem.space.siblings(asked) if one != asked]
    with Store(tmp_path) as store:
        judge = Search.view(search.problem, store).judge
        records = judge.records(others, 99, 1000)
    assert len(records) == len(others)
    assert not trained
    assert {record.state for record in records} <= {"complete", "stopped"}


def test_kept_adders_of_one_leaves_space_unchanged(digits: Dataset) -> None:
    latency = MlpSpace(MlpSpace.Config(), digits)
    assert "kept_adders" not in {knob.name for knob in latency.knobs}
    assert latency.siblings(some(latency, 1)[0]) == ()
    with raises_naming("kept_adders", "sparsities"):
        MlpSpace.Config(kept_adders=(1.0, 0.5), sparsities=(0.0, 0.5))
    with raises_naming("kept_adders", "leaky_relu"):
        MlpSpace.Config(kept_adders=(1.0, 0.5), activations=("leaky_relu",))


def test_refined_designs_need_fewer_adders(digits: Dataset, space: MlpSpace) -> None:
    candidates = some(space, 4, 5)
    bits = []
    for price in (0.0, 0.3):
        config = replace(QUICK, descent_price=price, descent_floor=0.0)
        found = by_candidate(
            candidates, TrainingEstimator(config).estimate(candidates, context(space, digits))
        )
        bits.append({key: item.values["adder_bits"].value for key, item in found.items()})
    plain, refined = bits
    # A bias that compensates a removed weight may add an adder to a single design.
    assert sum(refined.values()) < 0.97 * sum(plain.values())


def test_first_rounds_are_coarse() -> None:
    """Every share that the default space asks for has its own round, which leaves nearly that share."""
    schedule = Schedule(TrainingConfig(), epoch_steps=10, batch_rows=64, n_out=3)
    shares = [schedule.share_after(number) for number in range(202)]
    steps = [after / before for before, after in itertools.pairwise(shares)]
    assert steps[:13] == pytest.approx([0.975**4] * 13)
    assert shares[13] == pytest.approx(0.268, abs=1e-3)
    assert steps[13:] == pytest.approx([0.975] * len(steps[13:]))
    assert [schedule.round_of(share) for share in shares] == list(range(len(shares)))
    rounds = [schedule.round_of(kept) for kept in LADDER]
    assert len(set(rounds)) == len(LADDER)
    assert [schedule.share_after(number) for number in rounds] == pytest.approx(LADDER, rel=2e-3)


def test_rounds_are_fine_from_the_start_if_a_step_is_large() -> None:
    config = TrainingConfig(descent_step=0.5, descent_fine=0.25)
    schedule = Schedule(config, epoch_steps=10, batch_rows=64, n_out=3)
    assert [schedule.share_after(number) for number in range(4)] == [1.0, 0.5, 0.25, 0.125]
    assert [schedule.round_of(kept) for kept in (1.0, 0.9, 0.5, 0.25)] == [0, 1, 1, 2]
