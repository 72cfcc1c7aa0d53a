"""``plugins --check NAME``: run the contract tests on the classes that a plugin registered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hwnas_hls import testing
from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.plugin.offers import BUILTIN, KINDS, Offer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.plugin import silent
from hwnas_hls.protocols.space import Space
from hwnas_hls.testing.samples import TinySpace, sample_dataset, sample_goal, sample_target
from hwnas_hls.values.objective import Goal


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one test on one offer; ``problem`` is empty if it passed."""

    offer: Offer
    test: str
    problem: str


def check_plugin(registry: Registry, name: str) -> Iterator[Checked]:
    """Run the contract of every offer with that name, or of every offer of the plugin with that name.

    Tests that need a new process are skipped: they only run in a test file under pytest.

    Raises:
        UserError: no plugin or offer has this name.
    """
    every = [offer for kind in KINDS for same in registry.offers(kind).values() for offer in same]
    fitting = [offer for offer in every if name in (offer.name, offer.plugin, offer.qualified)]
    if not fitting:
        names = sorted({offer.name for offer in every} | {offer.plugin for offer in every})
        own = [str(fault) for fault in registry.faults if fault.plugin == name]
        if own:
            raise UserError("this plugin has a fault and registers nothing", found=name, cause="; ".join(own))
        faults = "; ".join(str(fault) for fault in registry.faults)
        raise UserError(
            "no plugin or class has this name",
            where="--check",
            found=name,
            choices=names,
            cause=f"plugins with faults: {faults}" if faults else None,
        )
    for offer in fitting:
        try:
            contract = contract_of(registry, offer)
        except HwnasError as error:
            yield Checked(offer, "can be built with its default configuration", str(error))
            continue
        yield Checked(offer, "has a name that no built-in uses", _name_problem(registry, offer))
        for finding in testing.check(contract):
            if "fresh_process" not in finding.test:
                yield Checked(offer, finding.test.removeprefix("test_").replace("_", " "), finding.problem)


def _name_problem(registry: Registry, offer: Offer) -> str:
    """Why users could not ask for the offer by its name alone, where a built-in has it, too."""
    same = registry.offers(offer.kind)[offer.name]
    if offer.plugin == BUILTIN or all(other.plugin != BUILTIN for other in same):
        return ""
    return (
        f"{BUILTIN}:{offer.name} exists: once this plugin is installed, a spec must name "
        f"{BUILTIN}:{offer.name} or {offer.qualified}; choose another name"
    )


def contract_of(registry: Registry, offer: Offer) -> testing.Contract:
    """The contract of an offer's kind, on an instance with default configuration."""

    def build(**more: Any) -> Any:
        available = {"task": sample_dataset(), "target": sample_target(), "clock_ns": 5.0, "seed": 0}
        available |= {"space": TinySpace(), "goal": sample_goal(), "objectives": (), "limits": ()}
        available["progress"] = silent
        return registry.build(offer, {}, f"--check {offer.name}", **{**available, **more})

    class OfSpace(testing.SpaceContract):
        widths = (sample_dataset().n_in, sample_dataset().n_out)

        def space(self) -> Space:
            return build()  # type: ignore[no-any-return]

    class OfStrategy(testing.StrategyContract):
        def strategy(self, space: Space, goal: Goal, seed: int) -> Any:
            return build(space=space, goal=goal, objectives=goal.objectives, limits=goal.limits, seed=seed)

        def supports(self, space: Space) -> bool:
            try:
                self.strategy(space, sample_goal(), 0)
            except UserError:
                return False
            return True

    class OfEstimator(testing.EstimatorContract):
        def estimator(self) -> Any:
            return build()

    class OfTask(testing.TaskContract):
        def task(self) -> Any:
            return build()

    class OfSynthesizer(testing.SynthesizerContract):
        def synthesizer(self) -> Any:
            return build()

    class OfExporter(testing.ExporterContract):
        def exporter(self) -> Any:
            return build()

    contracts: dict[str, type[testing.Contract]] = {
        "space": OfSpace,
        "strategy": OfStrategy,
        "estimator": OfEstimator,
        "task": OfTask,
        "synthesizer": OfSynthesizer,
        "exporter": OfExporter,
    }
    build()
    return contracts[offer.kind]()
