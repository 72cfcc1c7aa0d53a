"""The contract of search spaces."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas_hls.network.architecture import as_architecture
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.space import Space
from hwnas_hls.testing.contract import Contract, expect, expect_equal, expect_type, untouched_random_state
from hwnas_hls.values.candidate import Candidate

_SAMPLES = 50


class SpaceContract(Contract):
    """Inherit and override :meth:`space`."""

    kind = Space
    #: Number of inputs and outputs of the task that :meth:`space` was built for; ``None``: not checked.
    widths: tuple[int, int] | None = None

    def space(self) -> Space:
        raise NotImplementedError

    def plugins(self) -> Sequence[Plugin]:
        return [self.space()]

    def test_knob_names_are_unique_and_conditions_refer_to_earlier_knobs(self) -> None:
        earlier: set[str] = set()
        for knob in self.space().knobs:
            expect(knob.name not in earlier, f"two knobs are called {knob.name}")
            if knob.active_if is not None:
                other = knob.active_if[0]
                expect(other in earlier, f"{knob.name} depends on {other}, which is not an earlier knob")
            earlier.add(knob.name)

    def test_candidates_hold_exactly_the_active_knobs(self) -> None:
        space = self.space()
        for candidate in self._candidates(space):
            expect_equal(candidate.space, space.name, "a candidate belongs to another space")
            active: dict[str, Any] = {}
            for knob in space.knobs:
                if knob.active(active):
                    expect(knob.name in candidate.values, f"{knob.name} is active but has no value")
                    knob.check(candidate.values[knob.name])
                    active[knob.name] = candidate.values[knob.name]
            expect_equal(dict(candidate.values), active, "inactive or unknown knobs have values")

    def test_equal_seeds_give_equal_samples(self) -> None:
        space = self.space()
        for seed in range(5):
            first = space.sample(np.random.default_rng(seed))
            expect_equal(
                first, space.sample(np.random.default_rng(seed)), "samples with the same seed differ"
            )

    def test_vectors_have_a_fixed_length_and_decode_to_the_candidate(self) -> None:
        space = self.space()
        lengths = set()
        for candidate in self._candidates(space):
            vector = space.encode(candidate)
            lengths.add(vector.shape)
            expect(bool(np.all(np.isfinite(vector))), "a vector is not finite")
            expect_equal(
                dict(space.decode(vector).values), dict(candidate.values), "decode(encode(candidate)) differs"
            )
        expect_equal(len(lengths), 1, "vectors differ in shape")

    def test_mutants_differ_from_their_parent_and_do_not_change_it(self) -> None:
        space = self.space()
        rng = np.random.default_rng(7)
        for candidate in self._candidates(space):
            values = dict(candidate.values)
            expect(space.mutate(candidate, rng) != candidate, f"a mutant equals its parent {values}")
            expect_equal(dict(candidate.values), values, "mutation changed the parent")

    def test_children_belong_to_the_space(self) -> None:
        space = self.space()
        rng = np.random.default_rng(8)
        candidates = self._candidates(space)
        for a, b in itertools.pairwise(candidates):
            child = space.crossover(a, b, rng)
            expect_equal(child, space.decode(space.encode(child)), "encode and decode change a child")

    def test_architectures_can_be_built_and_stored(self) -> None:
        space = self.space()
        for candidate in self._candidates(space):
            architecture = as_architecture(space.architecture(candidate))
            if self.widths is not None:
                built = (architecture.n_in, architecture.n_out)
                expect_equal(built, self.widths, "inputs and outputs of a network and of the task")
            expect_equal(
                type(architecture).from_json(architecture.to_json()),
                architecture,
                "an architecture changes in JSON",
            )
            again = as_architecture(space.architecture(candidate))
            expect_equal(again, architecture, "one candidate gives two architectures")

    def test_candidates_are_preserved_by_json(self) -> None:
        for candidate in self._candidates(self.space()):
            expect_equal(Candidate.from_json(candidate.to_json()).key, candidate.key, "the key changed")

    def test_does_not_change_global_random_state(self) -> None:
        with untouched_random_state():
            self.transcript()

    def test_fresh_processes_give_the_same_candidates(self) -> None:
        expect_equal(self.fresh_transcript(), self.transcript(), "a new process gives different candidates")

    def transcript(self) -> Any:
        space = self.space()
        rng = np.random.default_rng(11)
        candidates = [space.sample(rng) for _ in range(20)]
        mutants = [space.mutate(candidate, rng) for candidate in candidates]
        pairs = zip(candidates, mutants[::-1], strict=True)
        children = [space.crossover(a, b, rng) for a, b in pairs]
        return [candidate.key for candidate in (*candidates, *mutants, *children)]

    def _candidates(self, space: Space) -> list[Candidate]:
        rng = np.random.default_rng(5)
        sampled = [*space.starts(), *(space.sample(rng) for _ in range(_SAMPLES))]
        for candidate in sampled:
            expect_type(candidate, Candidate, "starts() or sample()")
        return [*sampled, *(space.mutate(candidate, rng) for candidate in sampled)]
