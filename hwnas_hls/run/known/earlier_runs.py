"""Earlier runs of the same data as a source of known designs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.faults import PLUGIN_FAULTS
from hwnas_hls.protocols.space import assemble
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.given import given_candidate
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.known.designs import KnownDesign, final_designs
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.run.task_metrics import TASK_KEYS
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls.values.record import RecordState


def known_of_run(problem: Problem, folder: Path, into: Store) -> Iterator[KnownDesign]:
    """The trained candidates of an earlier run, with the weights of the search and of the export.

    The stored evaluations of that run are copied, so those that are still valid are not repeated.

    Args:
        into: the store of the new run.

    Raises:
        UserError: the folder is not a run, cannot be read, or its data differ.
    """
    spec = _with_task(run_spec(folder), problem.spec)
    with Store(folder, reading=True) as store:
        _check_data(problem, store, folder)
        old = resolve(spec, problem.registry)
        into.copy_evaluations(store)
        judge = Judge(old, store)
        records = store.records()
        finals = {
            **final_designs(store, [record.key for record in records if record.feasible]),
            **_finals(store, folder),
        }
        seen: set[str] = set()
        for record in records:
            if record.key in seen or record.state not in (RecordState.COMPLETE, RecordState.INFEASIBLE):
                continue
            trained = judge.stored_training(record.candidate)
            if trained is None or trained.design is None:
                continue
            seen.add(record.key)
            candidate = record.candidate
            architecture = old.architecture(candidate)
            if not _expressed(problem, candidate, architecture):
                candidate = given_candidate(architecture, weights=trained.design.digest())
            yield KnownDesign(candidate, f"from {folder}", _only(trained), finals.get(record.key))


def check_run(problem: Problem, folder: Path) -> None:
    """Check that an earlier run can be read and has the data of the problem.

    Raises:
        UserError: as :func:`known_of_run`.
    """
    run_spec(folder)
    with Store(folder, reading=True) as store:
        _check_data(problem, store, folder)


def _only(trained: Estimates) -> Estimates:
    """A training without the designs of its siblings, which have records of their own."""
    return dataclasses.replace(trained, siblings=())


def _with_task(spec: Spec, new: Spec) -> Spec:
    """The spec of the earlier run with the task of the new one: the data are the same, files may have moved.

    The metrics of predictions remain those of the earlier run.
    """
    metrics = {key: value for key, value in spec.task.config.items() if key in TASK_KEYS}
    config = {key: value for key, value in new.task.config.items() if key not in TASK_KEYS}
    return dataclasses.replace(spec, task=dataclasses.replace(new.task, config={**config, **metrics}))


def _check_data(problem: Problem, store: Store, folder: Path) -> None:
    facts = store.run_facts()
    if facts is None:
        raise UserError(
            "the earlier run has no candidates yet",
            where=f"{problem.spec.where('run')}.from",
            found=str(folder),
            kind=ErrorKind.MISSING,
        )
    if facts.data_fingerprint != problem.dataset.fingerprint:
        raise UserError(
            "the earlier run has other data: its weights and scores say nothing about these",
            where=f"{problem.spec.where('run')}.from: {folder}",
            found=f"data {facts.data_fingerprint} (task {facts.task}); this run: "
            f"{problem.dataset.fingerprint} (task {problem.spec.task.name})",
            remedy="give a run of the same rows, split in the same way, or omit it",
            kind=ErrorKind.MISMATCH,
        )


def _expressed(problem: Problem, candidate: Candidate, architecture: Architecture) -> bool:
    """Whether the space of the new run has this candidate, with the same architecture."""
    if candidate.space != problem.space.name:
        return False
    try:
        if assemble(problem.space, candidate.values) != candidate:
            return False
        here = problem.architecture(candidate)
    except PLUGIN_FAULTS:
        return False
    clock = architecture.clock_ns
    return dataclasses.replace(here, clock_ns=clock) == architecture


def _finals(store: Store, folder: Path) -> Mapping[str, Design]:
    """key -> exported design; damaged and missing ones are omitted, and their candidates exported anew."""
    found = {}
    for item in store.meta().get("members", []):
        with contextlib.suppress(HwnasError):
            found[item["key"]] = Design.load(folder / "designs" / item["key"])
    return found
