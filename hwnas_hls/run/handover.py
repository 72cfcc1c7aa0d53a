"""The hand-over of a front: full training, test score, hls4ml project, proof that it is bit-exact."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls import __version__
from hwnas_hls.errors import HwnasError, ToolMissing, Unsupported
from hwnas_hls.evidence import files as evidence
from hwnas_hls.evidence.scoring import score
from hwnas_hls.evidence.usefulness import chance_of, constant, useless
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Refining
from hwnas_hls.protocols.exporter import Member
from hwnas_hls.protocols.task import joined
from hwnas_hls.run.hardware_loop import Measuring
from hwnas_hls.run.judge import FullTraining, Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.notation import counted, quantity
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import LeftOut, LeftOutKind

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.project import Verification

log = logging.getLogger(__name__)
_TESTBENCH_ROWS = 200
#: What stands in ``checks["csim"]`` where the spec wants none.
CSIM_NOT_ASKED = not_run("handover.csim = false", wanted=False)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What came of the chosen records.

    Args:
        members: best task metric first.
        left_out: key -> why a trained design is not among them.
    """

    members: list[Member]
    left_out: Mapping[str, LeftOut]


@dataclass(frozen=True, slots=True)
class _Made:
    """A design on its way: from its training to its score on the test rows."""

    record: Record
    design: Design
    estimates: Mapping[str, Estimate]
    layers: tuple[Mapping[str, Estimate], ...] = ()
    warnings: tuple[str, ...] = ()


def hand_over(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    folder: Path,
    on_step: Callable[[str], None] = lambda step: None,
    measuring: Measuring | None = None,
    *,
    scores: Mapping[str, Estimate] = MappingProxyType({}),
    prices: Mapping[str, float] = MappingProxyType({}),
    every: bool = False,
) -> HandedOver:
    """Turn the chosen records of a front into designs below ``folder/designs``.

    The test split is read here and nowhere else.

    Args:
        records: of the front, chosen.
        folder: the run folder.
        on_step: called with a description of each step.
        measuring: synthesises each member, so that measured numbers stand beside its name.
        scores: key -> score by rows unseen, where there is one.
        prices: key -> price at which single weights are refined after the full training.
        every: also what is of no use, or dominated by another in its final numbers.

    Returns:
        the members; a record whose training failed is left out with a logged reason.
    """
    if not records:
        return HandedOver([], {})
    if problem.trainer is None:
        log.warning("no estimator of this run trains: the front has no designs to hand over")
        return HandedOver([], {})
    on_step(f"full training of {counted(len(records), 'design')}")
    made = _trained(problem, judge, records, scores)
    made = _refined(problem, judge, made, scores, prices)
    if measuring is not None:
        made = _synthesised(measuring, made, on_step)
    tested = [_tested(problem, item) for item in made]
    members, left_out = (tested, {}) if every else _worth_keeping(problem, tested)
    on_step(f"hls4ml projects and C simulation of {counted(len(members), 'design')}")
    done = _built(problem, folder, on_step, members)
    metric = problem.dataset.metric
    sign = -1.0 if problem.dataset.direction == "max" else 1.0
    done.sort(key=lambda member: (sign * member.estimates[metric].value, member.record.number))
    return HandedOver(done, left_out)


def _trained(
    problem: Problem, judge: Judge, records: Sequence[Record], scores: Mapping[str, Estimate]
) -> list[_Made]:
    """The full training of each; one that failed is done once more from another seed.

    Where that fails, too, the search's design stands in for it, with a warning.
    """
    found = judge.designs([record.candidate for record in records])
    failed = [
        place
        for place, (record, item) in enumerate(zip(records, found, strict=True))
        if item.design is None or _failed(problem, item, record, scores)
    ]
    if failed:
        again = judge.again([records[place].candidate for place in failed])
        found = list(found)
        for place, item in zip(failed, again, strict=True):
            if item.design is not None and not _failed(problem, item, records[place], scores):
                found[place] = item
    made = []
    for record, item in zip(records, found, strict=True):
        if item.design is not None and not _failed(problem, item, record, scores):
            made.append(_Made(record, item.design, item.estimates, item.layers))
            continue
        reason = item.reason or _failed(problem, item, record, scores) or "training gave no design"
        kept = judge.design(record)
        if kept is None:
            log.error("%s is not handed over: %s", record.key, reason)
            continue
        words = f"the full training failed twice ({reason}); this is the design of the search"
        log.warning("%s: %s", record.key, words)
        made.append(_Made(record, kept, record.estimates, (), (words,)))
    return made


def _refined(
    problem: Problem,
    judge: Judge,
    made: Sequence[_Made],
    scores: Mapping[str, Estimate],
    prices: Mapping[str, float],
) -> list[_Made]:
    """Each with its single weights refined at its price, if what comes of it is still as good as expected."""
    part = problem.trainer
    if part is None or not isinstance(part.instance, Refining) or not prices:
        return list(made)
    dataset = problem.dataset
    rows = joined(dataset) if part.config.get("train_on") == "train+validation" else dataset.train
    until = [prices.get(item.record.key, 0.0) for item in made]
    ladders = part.instance.refined([item.design for item in made], dataset, rows, until)
    places = [place for place, ladder in enumerate(ladders) if ladder]
    candidates = [made[place].record.candidate for place in places]
    smaller = judge.with_designs(candidates, [ladders[place][-1].design for place in places])
    out = list(made)
    for place, item in zip(places, smaller, strict=True):
        before, stop = made[place], ladders[place][-1]
        if item.design is None:
            continue
        metric = score(
            dataset,
            dataset.validation,
            emulator.outputs(item.design, dataset.validation.x),
            source="trained",
            evidence="rows it was trained on: no evidence",
            **_target_scale(item.design),
        )
        found = dataclasses.replace(item, estimates={**item.estimates, metric.metric: metric})
        if words := _failed(problem, found, before.record, scores):
            log.info("%s is not refined: %s", before.record.key, words)
            continue
        meta = {**item.design.meta, "refined": {"price": stop.price, "kept": stop.kept}}
        design = dataclasses.replace(item.design, meta=meta)
        out[place] = dataclasses.replace(before, design=design, estimates=found.estimates, layers=item.layers)
    return out


def _failed(problem: Problem, item: FullTraining, record: Record, scores: Mapping[str, Estimate]) -> str:
    """Why a full training has failed; empty where it has not.

    It has where the outputs are constant, or where it scores lower on the validation rows - on which
    it was trained - than designs that had not seen them did, by more than the noise of that score.
    The search's own score is the best of many looks and so partly luck: its interval's bad end counts.
    """
    if item.design is not None and (words := constant(item.design, problem.dataset.validation)):
        return words
    metric = problem.dataset.metric
    unseen = scores.get(record.key) or record.estimates.get(metric)
    if metric not in item.estimates or unseen is None:
        return ""
    value = item.estimates[metric].value
    up = problem.dataset.direction == "max"
    if value >= unseen.low if up else value <= unseen.high:
        return ""
    return f"{metric} {value:.4g} on rows it was trained on, {unseen.value:.4g} before on rows unseen"


def _synthesised(measuring: Measuring, made: Sequence[_Made], on_step: Callable[[str], None]) -> list[_Made]:
    """Each design with the results of its synthesis. Several run at once and are reported one by one."""
    on_step(f"synthesis of {counted(len(made), 'design')}")
    done = itertools.count(1)

    def told(item: _Made, measured: Mapping[str, Estimate], failure: str) -> None:
        said = failure or ", ".join(
            quantity(name, measured[name].value)
            for name in ("lut", "ff", "dsp", "latency_cycles")
            if name in measured and (measured[name].value or name == "lut")
        )
        on_step(f"synthesis {next(done)} of {len(made)}: {item.record.key[:8]} {said}")

    measuring.measure_all([item.design for item in made], lambda place, *found: told(made[place], *found))
    out = []
    for item in made:
        estimates, reason = measuring.final(item.record.key, item.design, item.estimates)
        if reason:
            log.error("synthesis of %s failed: %s", item.record.key, reason)
        out.append(dataclasses.replace(item, estimates=estimates))
    return out


def _worth_keeping(problem: Problem, members: Sequence[Member]) -> tuple[list[Member], dict[str, LeftOut]]:
    """The members that somebody may want, and why the others are none.

    Left out is what does nothing, and what another is at least as good as in every objective, by the
    final numbers: the score on the test rows and what synthesis counted.
    """
    left_out: dict[str, LeftOut] = {}
    alive = []
    for member in members:
        if member.checks["alive"].ok:
            alive.append(member)
        else:
            left_out[member.key] = LeftOut(LeftOutKind.USELESS, str(member.checks["alive"]))
    losses = {member.key: problem.goal.losses(member.estimates) for member in alive}
    judged = [member for member in alive if losses[member.key] is not None]
    front = [judged[place] for place in non_dominated([losses[member.key] or () for member in judged])]
    for member in judged:
        if any(member is other for other in front):
            continue
        own = losses[member.key] or ()
        better = next(
            other for other in front if all(a <= b for a, b in zip(losses[other.key] or (), own, strict=True))
        )
        words = f"{better.key[:8]} is as good in every objective, by the final numbers"
        left_out[member.key] = LeftOut(LeftOutKind.DOMINATED, words)
    return [member for member in alive if member.key not in left_out], left_out


def _tested(problem: Problem, made: _Made) -> Member:
    """A member with its score on the test split, by the emulator."""
    dataset, record, design = problem.dataset, made.record, made.design
    estimate = score(
        dataset,
        dataset.test,
        emulator.outputs(design, dataset.test.x),
        source="emulated",
        evidence=f"integer emulation of the exported design on all {len(dataset.test)} test rows",
        **_target_scale(design),
    )
    final = {**made.estimates, dataset.metric: estimate}
    broken = problem.goal.violations(final)
    over = tuple(f"after full training over the limit {limit} by {by:.1%}" for limit, by in broken.items())
    dead = useless(design, dataset, dataset.test, estimate)
    checks = {
        "alive": failure(dead) if dead else PASSED,
        "limits": failure("; ".join(over)) if over else PASSED,
    }
    warnings = (*made.warnings, *over)
    return Member(record.key, record.candidate, record, design, final, checks, warnings, made.layers)


def _built(
    problem: Problem, folder: Path, on_step: Callable[[str], None], members: Sequence[Member]
) -> list[Member]:
    """The members with their files written and proven, several at once."""
    stop = threading.Event()
    with ThreadPoolExecutor(problem.spec.handover.workers) as pool:
        try:
            return list(pool.map(functools.partial(_build, problem, folder, on_step, stop), members))
        except BaseException:
            # Ctrl-C: a g++ may have minutes to go, and the pool waits for its threads.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _target_scale(design: Design) -> dict[str, np.ndarray]:
    if "target_scale" not in design.meta:
        return {}
    return {name: np.asarray(design.meta[name], np.float64) for name in ("target_mean", "target_scale")}


def _build(
    problem: Problem, folder: Path, on_step: Callable[[str], None], stop: threading.Event, member: Member
) -> Member:
    """Write the member's files and, where asked, prove them by C simulation."""
    from hwnas_hls.hls4ml import lint, project

    place = folder / "designs" / member.key
    made_for: dict[str, Any] = {
        "target": problem.target.part,
        "task": problem.spec.task.name,
        "seed": problem.spec.run.seed,
    }
    if chance := chance_of(problem.dataset, problem.dataset.test):
        made_for["chance"] = dataclasses.asdict(chance)
    member = dataclasses.replace(
        member, design=dataclasses.replace(member.design, meta={**member.design.meta, **made_for})
    )
    member.design.save(place)
    warnings = list(member.warnings)
    warnings += [str(finding) for finding in lint.lint_design(member.design, problem.target)]
    checks = dict(member.checks)
    estimates = dict(member.estimates)
    try:
        built = project.write_project(
            member.design,
            problem.target,
            place / "hls4ml",
            clock_ns=member.design.architecture.clock_ns or problem.clock_ns,
            # Reports name their top function: one of other weights then shows.
            name=member.design.hardware_name,
            amend=functools.partial(_amend, problem, member.candidate),
            # So that the vendor's own simulations run on data, not on zeros.
            test_inputs=emulator.input_integers(member.design, problem.dataset.test.x[:_TESTBENCH_ROWS]),
        )
        checks["project"] = PASSED
        if problem.spec.handover.csim:
            found = project.verify(member.design, built, problem.dataset.test.x, stop=stop)
            checks["csim"] = PASSED if found.exact else failure(str(found))
            if found.exact:
                estimates[problem.dataset.metric] = _proven(problem, member, found)
            else:
                log.error("%s: %s", member.key, found)
                warnings.append(str(found))
        else:
            checks["csim"] = CSIM_NOT_ASKED
    except (ToolMissing, Unsupported) as error:
        checks["csim"] = not_run(str(error))
        log.warning("%s: %s", member.key, error)
    except HwnasError as error:
        checks["project"] = failure(str(error))
        log.error("%s: %s", member.key, error)
    clock_ns = member.design.architecture.clock_ns or problem.clock_ns
    digest = member.design.digest()
    tool = f"hwnas-hls {__version__}"
    evidence.write(place, evidence.Piece("handover", tool, digest, estimates, problem.target.part, clock_ns))
    on_step(f"design {member.key}: C simulation {checks.get('csim', 'not reached')}")
    return dataclasses.replace(member, estimates=estimates, checks=checks, warnings=tuple(warnings))


def _proven(problem: Problem, member: Member, found: Verification) -> Estimate:
    metric = problem.dataset.metric
    return dataclasses.replace(
        member.estimates[metric],
        source="csim",
        evidence=(
            f"hls4ml C simulation on all {found.n_rows} test rows, every output bit equal to the emulator's"
        ),
    )


def _amend(problem: Problem, candidate: Candidate, files: dict[str, str]) -> None:
    problem.registry.call_each(
        "hwnas_amend_project", project=files, candidate=candidate, target=problem.target
    )
