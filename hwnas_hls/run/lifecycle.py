"""A run from its spec to its folder: search, export of the designs, exporters; and how a run resumes.

The module ``stored_run`` does what can be done with a finished run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.cluster import Workers, require
from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.evidence.baselines import baselines
from hwnas_hls.evidence.data_warnings import data_warnings
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.run import rank_correlation as ranking
from hwnas_hls.run.choice import chosen
from hwnas_hls.run.convergence import growth_words
from hwnas_hls.run.data_place import note_data
from hwnas_hls.run.export import export_designs
from hwnas_hls.run.exporters import front_of, run_exporters
from hwnas_hls.run.facts import logged, run_facts
from hwnas_hls.run.folder import new_folder, run_spec
from hwnas_hls.run.known.designs import split_yours, with_known
from hwnas_hls.run.known.sources import check_sources
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import check_built, check_latency, resolve
from hwnas_hls.run.search import Progress, Search
from hwnas_hls.run.spec_changes import check_unchanged
from hwnas_hls.run.storage.member_store import held_members, member_to_json
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.spec.notation import counted
from hwnas_hls.spec.spec import Spec, read_tables
from hwnas_hls.system.files import write_text
from hwnas_hls.values.candidate import digest
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import Baseline, RunFacts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observer:
    """Callbacks that follow a run; the defaults do nothing."""

    on_problem: Callable[[Problem, Path], None] = lambda problem, folder: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_step: Callable[[str], None] = lambda step: None
    on_phase: Callable[[str], None] = lambda words: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    Args:
        folder: the run folder.
        front: what was exported.
        interrupted: whether it stopped before its budget was spent.
        files: what the exporters wrote.
        failures: messages of failed exporters and of designs with a failed check.
    """

    folder: Path
    front: Front
    interrupted: bool
    files: Sequence[Path]
    failures: Sequence[str] = ()


def start(spec: Spec, registry: Registry, folder: Path | None, observer: Observer) -> Outcome:
    """Run a spec in a new folder.

    Args:
        folder: must be new or empty; ``None`` makes ``runs/TASK-TARGET-NNN``.

    Raises:
        UserError: the spec is inconsistent, or the folder is in use.
    """
    if spec.cluster.wanted:
        require(spec.cluster)
    problem = resolve(spec, registry)
    for words in data_warnings(problem.dataset):
        log.warning(words)
    check_built(problem)
    check_latency(problem)
    check_sources(problem)
    # Connect first: if the scheduler does not answer, no folder is created.
    with workers_of(problem) as workers:
        folder = new_folder(folder, problem)
        text = problem.spec.to_toml()
        if not os.access(folder, os.W_OK):
            raise UserError(
                "the output folder cannot be written",
                kind=ErrorKind.NOT_ACCESSIBLE,
                where=str(folder),
                remedy="choose another --output",
            )
        write_text(folder / "spec.toml", text)
        note_data(problem.spec, folder)
        with _resumable(folder):
            return _run(problem, folder, observer, workers)


def resume(
    folder: Path,
    registry: Registry,
    observer: Observer,
    *,
    export_again: bool = False,
    cluster: ClusterTable | None = None,
) -> Outcome:
    """Continue a run after any interruption; finished work is not repeated.

    Args:
        export_again: export the designs again even if that step had finished.
        cluster: workers for this session, instead of those in the run's spec.

    Raises:
        UserError: the folder is not a run, or its spec or data have changed since the run began.
    """
    spec = run_spec(folder)
    problem = resolve(spec if cluster is None else dataclasses.replace(spec, cluster=cluster), registry)
    with workers_of(problem) as workers, _resumable(folder):
        return _run(problem, folder, observer, workers, export_again=export_again)


@contextlib.contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Add to an error of a file during a run that its results are kept, and how to go on."""
    try:
        yield
    except UserError:
        raise
    except HwnasError as error:
        if error.kind is not ErrorKind.NOT_ACCESSIBLE:
            raise
        raise HwnasError(
            f"{error}\n  finished work is kept; remove the cause (a full disk, for example), then: "
            f"hwnas-hls resume {shlex.quote(str(folder))}",
            kind=error.kind,
        ) from error


@contextlib.contextmanager
def workers_of(problem: Problem) -> Iterator[Workers | None]:
    """The workers that the spec configures; a scheduler is contacted immediately."""
    if not problem.spec.cluster.wanted:
        yield None
        return
    with Workers(problem.cluster_setup()) as workers:
        if problem.spec.cluster.scheduler:
            workers.connect()
        yield workers


def _run(
    problem: Problem, folder: Path, observer: Observer, workers: Workers | None, *, export_again: bool = False
) -> Outcome:
    """The steps of a run: search, choice and export of the designs, exporters."""
    if workers is not None:
        workers.folder = folder
    with logged(folder), Store(folder) as store:
        facts = store.meta()
        check_unchanged(problem, facts, folder)
        run = _facts_at_start(problem, folder, store, known="spec" in facts)
        problem = dataclasses.replace(problem, lacking=run.lacking)
        observer.on_problem(problem, folder)
        problem.registry.call_each("hwnas_run_started", run=run)

        def announce(records: Sequence[Record]) -> None:
            for record in records:
                problem.registry.call_each("hwnas_candidate_recorded", run=run, record=record)

        search = Search.resume(problem, store, announce, observer.on_progress, workers)
        search.judge.calls.on_phase = observer.on_phase
        members: list[Member] = []
        interrupted = False
        try:
            _search(problem, search, observer)
            search.judge.calls.purpose = "export"
            run, members = _designs(problem, search, run, facts, observer, folder, export_again=export_again)
        except KeyboardInterrupt:
            log.warning("interrupted after %d candidates", search.asked)
            interrupted = True
        finally:
            search.close()
        front = front_of(problem, search, members, dataclasses.replace(run, finished=not interrupted), facts)
        files, failures = run_exporters(problem, front, folder)
        store.set_meta(files=within_folder(folder, files))
        problem.registry.call_each("hwnas_run_finished", run=run, front=front)
        failures += [f"design {member.key}: {words}" for member in members for words in member.unproven]
        return Outcome(folder, front, interrupted, files, failures)


def _facts_at_start(problem: Problem, folder: Path, store: Store, *, known: bool) -> RunFacts:
    """The facts of the run; a resumed run keeps those of its first start that its spec does not hold."""
    run, before = run_facts(problem, folder), store.run_facts()
    if before is not None:
        run = dataclasses.replace(run, started=before.started, lacking=before.lacking)
    if not known:
        store.set_meta(
            run=run.to_json(), spec=read_tables(folder / "spec.toml"), target=problem.target.to_json()
        )
    return run


def _search(problem: Problem, search: Search, observer: Observer) -> None:
    """Search up to the budget, and state how the search ended."""
    begun = search.judged
    search.run()
    growth = growth_words(search.trace) if search.judged > begun else ""
    for words in (*([growth] if growth else []), *_ranked(problem, search)):
        observer.on_step(words)


def _designs(
    problem: Problem,
    search: Search,
    run: RunFacts,
    facts: dict[str, Any],
    observer: Observer,
    folder: Path,
    *,
    export_again: bool,
) -> tuple[RunFacts, list[Member]]:
    """The exported designs and the completed facts of the run; designs of an earlier session are read back.

    Args:
        facts: as stored; the comparisons of this session's syntheses are added.
    """
    store = search.store
    own, others = split_yours(search.records())
    choice = chosen(
        problem,
        search.judge,
        store,
        split_yours(search.front.records)[1],
        [record for record in others if record.feasible],
        observer.on_step,
    )
    exported = with_known(choice.records, own, others, store)
    export_key = _export_key(problem, exported)
    if not export_again and facts.get("exported") == export_key:
        held = held_members(facts, _records(store), folder)
        if held is not None:
            observer.on_step(f"finished before: {counted(len(held), 'design')}")
            return store.run_facts() or run, held
    store.set_meta(finished=False)
    done = export_designs(
        problem,
        search.judge,
        exported,
        folder,
        observer.on_step,
        search.measuring,
        scores=choice.scores,
        prices=choice.prices,
        designs=choice.designs,
    )
    run = dataclasses.replace(
        run,
        choice=choice.facts(problem.dataset.metric),
        left_out=done.left_out,
        baselines=_baselines(problem, observer) if done.members else (),
        seconds=round(search.seconds(), 3),
    )
    made = search.measuring.comparisons() if search.measuring else []
    facts["syntheses"] = [item.to_json() for item in made]
    store.set_meta(
        run=run.to_json(),
        members=[member_to_json(member) for member in done.members],
        syntheses=facts["syntheses"],
        exported=export_key,
        finished=True,
    )
    return run, done.members


def _baselines(problem: Problem, observer: Observer) -> tuple[Baseline, ...]:
    """The baselines, if the spec wants them; only now may they be scored on the test rows."""
    if not problem.spec.export.baselines:
        return ()
    observer.on_step("baselines: a linear model, a float MLP and boosted trees on the test rows")
    return baselines(problem.dataset, problem.spec.run.seed)


def _ranked(problem: Problem, search: Search) -> Iterator[str]:
    """How well the proxies ranked the candidates, if the run had any."""
    dataset = problem.dataset
    parts = [part.instance for part in problem.estimators]
    for words in ranking.of_run(parts, dataset.metric, dataset.direction, search.records()):
        log.info("%s", words)
        yield words


def within_folder(folder: Path, files: Sequence[Path]) -> list[str]:
    """Paths relative to the run folder, which may move."""
    return [path.relative_to(folder).as_posix() for path in files if path.is_relative_to(folder)]


def _records(store: Store) -> dict[str, Record]:
    return {record.key: record for record in store.records()}


def _export_key(problem: Problem, chosen: Sequence[Record]) -> str:
    """Identifies an export by its records and settings, so a finished one is not repeated."""
    table = {key: value for key, value in problem.spec.to_tables()["export"].items() if key != "workers"}
    return digest([[record.key for record in chosen], table])
