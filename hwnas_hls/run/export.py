"""Export of designs: final weights, synthesis, score on the test rows, hls4ml project, C simulation."""

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
from hwnas_hls.evidence.circuits import firmware_hash, remove_other_circuit
from hwnas_hls.evidence.operating_point import operating_point
from hwnas_hls.evidence.predictions import save_predictions
from hwnas_hls.evidence.scoring import method, paired_resamples, real_outputs
from hwnas_hls.evidence.scoring import scores as scores_of
from hwnas_hls.evidence.usefulness import chances_of, useless
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.exporter import Member
from hwnas_hls.run.full_training import Made, trained
from hwnas_hls.run.hardware_loop import Measuring
from hwnas_hls.run.judging.final_scores import with_final_scores
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.known.designs import YOURS, final_designs, keep_finals
from hwnas_hls.run.noise import Contender, distinct, in_words
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.task_metrics import reported
from hwnas_hls.spec.notation import counted, percent, quantity
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import LeftOut, LeftOutKind

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.project import Verification

log = logging.getLogger(__name__)
_TESTBENCH_ROWS = 200
#: Metrics that the line of a synthesis shows only where they were measured.
_TIMING = ("latency_ns", "fmax_mhz")
#: ``checks["csim"]`` if the spec disables C simulation.
CSIM_NOT_ASKED = not_run("export.csim = false", wanted=False)


@dataclass(frozen=True, slots=True)
class Exported:
    """The exported designs.

    Args:
        members: best first objective first.
        left_out: key -> why a trained design was left out.
    """

    members: list[Member]
    left_out: Mapping[str, LeftOut]


def export_designs(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    folder: Path,
    on_step: Callable[[str], None] = lambda step: None,
    measuring: Measuring | None = None,
    *,
    scores: Mapping[str, Estimate] = MappingProxyType({}),
    prices: Mapping[str, float] = MappingProxyType({}),
    designs: Mapping[str, Design] = MappingProxyType({}),
    every: bool = False,
) -> Exported:
    """Turn the chosen records of a front into designs in ``folder/designs``.

    Only this function reads the test split.

    Args:
        records: the chosen ones.
        folder: the run folder.
        on_step: called with a description of each step.
        measuring: synthesises each design; ``None``: no synthesis.
        scores: key -> score by which the record was chosen, if known.
        prices: key -> price at which single weights are refined, after a full training if there is one.
        designs: key -> design of the search that was scored for the choice, refined at its price.
        every: keep designs that are constant, or dominated by another in their final numbers.

    Returns:
        the members, and the designs left out; a failed training is logged and its record skipped.
    """
    if not records:
        return Exported([], {})
    if problem.trainer is None:
        log.warning("no estimator of this run trains: there are no designs to export")
        return Exported([], {})
    finals = final_designs(judge.store, [record.key for record in records if record.origin])
    made = trained(problem, judge, records, scores, prices, on_step, finals, designs)
    if measuring is not None:
        made = _synthesised(measuring, made, on_step)
    tested = _tested(problem, judge, made)
    members, left_out = (tested, {}) if every else _worth_keeping(problem, tested)
    keep_finals(judge.store, {item.key: item.design for item in tested if _of_use(left_out.get(item.key))})
    if members:
        work = " and C simulation" if problem.spec.export.csim else ""
        on_step(f"hls4ml projects{work} of {counted(len(members), 'design')}")
    done = _built(problem, folder, on_step, members)
    head = problem.goal.objectives[0]
    metric, direction = head.metric, head.direction
    if any(metric not in member.estimates for member in done):
        metric, direction = problem.dataset.metric, problem.dataset.direction
    sign = -1.0 if direction == "max" else 1.0
    done.sort(key=lambda member: (sign * member.estimates[metric].value, member.record.number))
    return Exported(done, left_out)


def _synthesised(measuring: Measuring, made: Sequence[Made], on_step: Callable[[str], None]) -> list[Made]:
    """Each design with the results of its synthesis. Several run in parallel."""
    used = f"; the search has used {measuring.spent} of {measuring.problem.spec.synthesis_budget}"
    on_step(f"synthesis of {counted(len(made), 'design')}{used if measuring.spent else ''}")
    done = itertools.count(1)

    def report(item: Made, measured: Mapping[str, Estimate], failure: str) -> None:
        result = failure or ", ".join(
            quantity(name, measured[name].value)
            for name in ("lut", "ff", "dsp", "latency_cycles", "latency_ns", "fmax_mhz")
            if name in measured
            and (measured[name].value or name == "lut")
            and (name not in _TIMING or not measured[name].is_predicted)
        )
        on_step(f"synthesis {next(done)} of {len(made)}: {item.record.key[:8]} {result}")

    designs = measuring.measure_all(
        [item.design for item in made], lambda place, *found: report(made[place], *found)
    )
    clocked = [dataclasses.replace(item, design=design) for item, design in zip(made, designs, strict=True)]
    out = []
    for item in clocked:
        estimates, reason = measuring.final(item.record.key, item.design, item.estimates)
        if reason:
            log.error("synthesis of %s failed: %s", item.record.key, reason)
        out.append(dataclasses.replace(item, estimates=estimates))
    return out


def _of_use(found: LeftOut | None) -> bool:
    """Whether a design was left out although its outputs carry information."""
    return found is not None and found.kind is not LeftOutKind.USELESS


def _worth_keeping(problem: Problem, members: Sequence[Member]) -> tuple[list[Member], dict[str, LeftOut]]:
    """The useful members, and why the others are left out.

    A member is left out if its outputs are constant, or if another is at least as good in every
    objective by the final numbers (the score on the test rows and the results of synthesis), exactly
    or up to the noise of the test rows and of one predicted cycle. The user's own designs are kept
    beside those that dominate them.
    """
    left_out: dict[str, LeftOut] = {}
    alive = []
    # For a known design, only the final numbers show whether it meets the limits of this run.
    members = [
        member
        for member in members
        if not member.record.origin or member.record.origin.startswith(YOURS) or member.checks["limits"].ok
    ]
    for member in members:
        if member.checks["alive"].ok:
            alive.append(member)
        else:
            left_out[member.key] = LeftOut(LeftOutKind.USELESS, str(member.checks["alive"]))
    losses = {member.key: problem.goal.losses(member.estimates) for member in alive}
    judged = [member for member in alive if losses[member.key] is not None]
    front = [judged[place] for place in non_dominated([losses[member.key] or () for member in judged])]
    for member in judged:
        if any(member is other for other in front) or member.record.origin.startswith(YOURS):
            continue
        own = losses[member.key] or ()
        better = next(
            other for other in front if all(a <= b for a, b in zip(losses[other.key] or (), own, strict=True))
        )
        words = f"{better.key[:8]} is as good in every objective, by the final numbers"
        left_out[member.key] = LeftOut(LeftOutKind.DOMINATED, words)
    if problem.spec.export.noise_filter:
        left_out |= _alike(problem, front)
    return [member for member in alive if member.key not in left_out], left_out


def _alike(problem: Problem, front: Sequence[Member]) -> dict[str, LeftOut]:
    """The members that differ from a better or cheaper one only by noise, and from which one.

    The user's own designs are kept.
    """
    dataset, names = problem.dataset, {objective.metric for objective in problem.goal.objectives}
    contenders = []
    for member in front:
        outputs = real_outputs(member.design, dataset.test.x)
        right = np.argmax(outputs, axis=1) == dataset.test.y if "accuracy" in names else None
        scores = names.intersection(reported(dataset)) - {"accuracy"}
        drawn = {name: paired_resamples(name, dataset, dataset.test, outputs) for name in scores}
        contenders.append(Contender(member.key, member.estimates, right, drawn))
    return {
        front[place].key: LeftOut(
            LeftOutKind.ALIKE,
            f"{front[by].key[:8]} is as good in every objective, up to "
            f"{in_words(problem.goal, len(dataset.test))}",
        )
        for place, by in distinct(problem.goal, problem.clock_ns, contenders).items()
        if not front[place].record.origin.startswith(YOURS)
    }


def _tested(problem: Problem, judge: Judge, made: Sequence[Made]) -> list[Member]:
    """The members with their scores on the test split, by the emulator."""
    dataset = problem.dataset
    evidence = f"integer emulation of the exported design on all {len(dataset.test)} test rows"
    tested = []
    for item in made:
        outputs = real_outputs(item.design, dataset.test.x)
        names = reported(dataset)
        tested.append(
            scores_of(dataset, dataset.test, outputs, names, source=Source.EMULATED, evidence=evidence)
        )
    final = [{**item.estimates, **found} for item, found in zip(made, tested, strict=True)]
    candidates, designs = [item.record.candidate for item in made], [item.design for item in made]
    final = with_final_scores(judge.problem, judge.store, candidates, designs, final)
    final = judge.combined(candidates, designs, final)
    scores = [found[dataset.metric] for found in tested]
    return [_member(problem, *each) for each in zip(made, scores, final, strict=True)]


def _member(problem: Problem, made: Made, found: Estimate, final: Mapping[str, Estimate]) -> Member:
    """A member by its final numbers.

    Args:
        found: its score on the test split.
    """
    record, design = made.record, made.design
    broken = problem.goal.violations(final)
    over = tuple(
        f"over the limit {limit} by {percent(by, 1)} in the final numbers" for limit, by in broken.items()
    )
    dead = useless(design, problem.dataset, problem.dataset.test, found)
    checks = {
        "alive": failure(dead) if dead else PASSED,
        "limits": failure("; ".join(over)) if over else PASSED,
    }
    warnings = (*made.warnings, *over)
    return Member(record.key, record.candidate, record, design, final, checks, warnings, made.layers)


def _built(
    problem: Problem, folder: Path, on_step: Callable[[str], None], members: Sequence[Member]
) -> list[Member]:
    """The members with their files written and checked, several in parallel."""
    stop = threading.Event()
    with ThreadPoolExecutor(problem.spec.export.workers) as pool:
        try:
            return list(pool.map(functools.partial(_build, problem, folder, on_step, stop), members))
        except BaseException:
            # After Ctrl-C the pool waits for its threads, and g++ may take minutes.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _build(
    problem: Problem, folder: Path, on_step: Callable[[str], None], stop: threading.Event, member: Member
) -> Member:
    """Write the member's files and, if configured, check them by C simulation."""
    from hwnas_hls.hls4ml import lint, project
    from hwnas_hls.hls4ml.csim import SimulationStopped

    place = folder / "designs" / member.key
    made_for: dict[str, Any] = {
        "target": problem.target.part,
        "task": problem.spec.task.name,
        "seed": problem.spec.run.seed,
    }
    chances = chances_of(problem.dataset, problem.dataset.test, reported(problem.dataset))
    made_for["chances"] = [dataclasses.asdict(chance) for chance in chances]
    if point := operating_point(member.design, problem.dataset):
        made_for["operating_point"] = point.to_json()
    member = dataclasses.replace(
        member, design=dataclasses.replace(member.design, meta={**member.design.meta, **made_for})
    )
    member.design.save(place)
    remove_other_circuit(place, member.design.digest())
    save_predictions(place, member.design, problem.dataset)
    warnings = list(member.warnings)
    findings = lint.lint_design(member.design, problem.target, _routed_mhz(member.estimates))
    warnings += [str(finding) for finding in findings]
    checks = dict(member.checks)
    estimates = dict(member.estimates)
    try:
        built = project.write_project(
            member.design,
            problem.target,
            place / "hls4ml",
            clock_ns=member.design.architecture.clock_ns or problem.clock_ns,
            # Reports name their top function, so a report of other weights is recognised.
            name=member.design.hardware_name,
            amend=functools.partial(_amend, problem, member.candidate),
            # The vendor's simulations then run on data, not on zeros.
            test_inputs=emulator.input_integers(member.design, problem.dataset.test.x[:_TESTBENCH_ROWS]),
        )
        checks["project"] = PASSED
        if problem.spec.export.csim:
            found = project.verify(member.design, built, problem.dataset.test.x, stop=stop)
            checks["csim"] = PASSED if found.exact else failure(str(found))
            if found.exact:
                estimates |= _proven(problem, member, found)
            else:
                log.error("%s: %s", member.key, found)
                warnings.append(str(found))
        else:
            checks["csim"] = CSIM_NOT_ASKED
    except SimulationStopped:
        raise
    except (ToolMissing, Unsupported) as error:
        checks["csim"] = not_run(str(error))
        log.warning("%s: %s", member.key, error)
    except HwnasError as error:
        checks["project"] = failure(str(error))
        log.error("%s: %s", member.key, error)
    clock_ns = member.design.architecture.clock_ns or problem.clock_ns
    digest = member.design.digest()
    tool = f"hwnas-hls {__version__}"
    simulated = any(estimate.source == Source.CSIM for estimate in estimates.values())
    piece = evidence.Piece(
        "export",
        tool,
        digest,
        estimates,
        problem.target.part,
        clock_ns,
        firmware=firmware_hash(place) if simulated else "",
    )
    evidence.write(place, piece)
    if problem.spec.export.csim:
        done = f"C simulation {checks.get('csim', 'not reached')}"
    else:
        written = "project" in checks and checks["project"].ok
        done = f"hls4ml project {'written' if written else 'not written'}"
    on_step(f"design {member.key}: {done}")
    return dataclasses.replace(member, estimates=estimates, checks=checks, warnings=tuple(warnings))


def _routed_mhz(estimates: Mapping[str, Estimate]) -> float:
    """The clock frequency that the routed design reaches; 0 if it was not routed."""
    fmax = estimates.get("fmax_mhz")
    routed = fmax is not None and fmax.source == Source.POST_ROUTE and fmax.in_domain
    return fmax.value if fmax is not None and routed else 0.0


def _proven(problem: Problem, member: Member, found: Verification) -> dict[str, Estimate]:
    """The scores on the test rows, which the C simulation confirms."""
    evidence = (
        f"hls4ml C simulation on all {found.n_rows} test rows, every output bit equal to the emulator's"
    )
    proven = {}
    for name in reported(problem.dataset):
        ending = method(member.estimates[name])
        proven[name] = dataclasses.replace(
            member.estimates[name], source=Source.CSIM, evidence=f"{evidence}{ending}"
        )
    return proven


def _amend(problem: Problem, candidate: Candidate, files: dict[str, str]) -> None:
    problem.registry.call_each(
        "hwnas_amend_project", project=files, candidate=candidate, target=problem.target
    )
