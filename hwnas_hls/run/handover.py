"""The hand-over of a front: full training, test score, hls4ml project, proof that it is bit-exact."""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls import __version__
from hwnas_hls.errors import HwnasError, ToolMissing, Unsupported
from hwnas_hls.evidence import files as evidence
from hwnas_hls.evidence.scoring import score
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.exporter import Member
from hwnas_hls.run.hardware_loop import Measuring
from hwnas_hls.run.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import Record

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.project import Verification

log = logging.getLogger(__name__)
_TESTBENCH_ROWS = 200
#: What stands in ``checks["csim"]`` where the spec wants none.
CSIM_NOT_ASKED = not_run("handover.csim = false", wanted=False)


def hand_over(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    folder: Path,
    on_step: Callable[[str], None] = lambda step: None,
    measuring: Measuring | None = None,
) -> list[Member]:
    """Turn the chosen records of a front into designs below ``folder/designs``.

    The test split is read here and nowhere else.

    Args:
        records: of the front, chosen.
        folder: the run folder.
        on_step: told in words what goes on.
        measuring: synthesises each member, so that measured numbers stand beside its name.

    Returns:
        the members, best task metric first; a record whose training failed is left out with a
        logged reason.
    """
    if not records:
        return []
    if problem.trainer is None:
        log.warning("no estimator of this run trains: the front has no designs to hand over")
        return []
    on_step(f"full training of {counted(len(records), 'design')}")
    trained = judge.designs(problem.trainer, [record.candidate for record in records])
    members = []
    for record, result in zip(records, trained, strict=True):
        design, estimates, layers = result.design, result.estimates, result.layers
        if design is not None and _worse(problem, estimates, record):
            # It was trained on the validation rows too, and scores lower on them than the search's
            # design, which had not seen them: such a training has failed.
            log.warning("%s: the full training came out worse; the search's design is kept", record.key)
            design, estimates, layers = judge.design(record), record.estimates, ()
        if design is None:
            log.error("%s is not handed over: %s", record.key, result.reason or "training gave no design")
            continue
        if measuring is not None:
            on_step(f"synthesis of {record.key}")
            estimates, reason = measuring.final(record.key, design, estimates)
            if reason:
                log.error("synthesis of %s failed: %s", record.key, reason)
        member = _tested(problem, record, dict(estimates), design)
        members.append(dataclasses.replace(member, layer_estimates=layers))
    on_step(f"hls4ml projects and C simulation of {counted(len(members), 'design')}")
    stop = threading.Event()
    with ThreadPoolExecutor(problem.spec.handover.workers) as pool:
        try:
            done = list(pool.map(functools.partial(_build, problem, folder, on_step, stop), members))
        except BaseException:
            # Ctrl-C: a g++ may have minutes to go, and the pool waits for its threads.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    metric = problem.dataset.metric
    sign = -1.0 if problem.dataset.direction == "max" else 1.0
    return sorted(done, key=lambda member: (sign * member.estimates[metric].value, member.record.number))


def _worse(problem: Problem, estimates: Mapping[str, Estimate], record: Record) -> bool:
    """Whether the full training scored below the search on the validation rows, test rows unseen."""
    metric = problem.dataset.metric
    if metric not in estimates or metric not in record.estimates:
        return False
    gain = estimates[metric].value - record.estimates[metric].value
    return gain < 0 if problem.dataset.direction == "max" else gain > 0


def _tested(problem: Problem, record: Record, estimates: dict[str, Estimate], design: Design) -> Member:
    """A member with its score on the test split, by the emulator."""
    dataset = problem.dataset
    estimate = score(
        dataset,
        dataset.test,
        emulator.outputs(design, dataset.test.x),
        source="emulated",
        evidence=f"integer emulation of the exported design on all {len(dataset.test)} test rows",
        **_target_scale(design),
    )
    final = {**estimates, dataset.metric: estimate}
    broken = problem.goal.violations(final)
    warnings = tuple(
        f"after full training over the limit {limit} by {by:.1%}" for limit, by in broken.items()
    )
    checks = {"limits": failure("; ".join(warnings)) if warnings else PASSED}
    return Member(record.key, record.candidate, record, design, final, checks, warnings)


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
    made_for = {"target": problem.target.part, "task": problem.spec.task.name, "seed": problem.spec.run.seed}
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
