"""Exporters at the end of a run: the front they receive, and the files they write."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ToolMissing, Unsupported
from hwnas_hls.plugin.faults import PLUGIN_FAULTS, in_words_with_place
from hwnas_hls.plugin.returned import checked_paths
from hwnas_hls.protocols.exporter import Comparison, Front, Member
from hwnas_hls.run.named_exporters import exporter_of_run
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.search import Search, least_infeasible
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

log = logging.getLogger(__name__)


def front_of(
    problem: Problem,
    search: Search,
    members: Sequence[Member],
    run: RunFacts,
    facts: Mapping[str, Any],
    records: Sequence[Record] | None = None,
) -> Front:
    """A run as exporters see it.

    Args:
        members: the exported designs.
        run, facts: the facts of the run, and those in its store.
        records: the records of the search, if they have already been read.
    """
    records = search.records() if records is None else records
    syntheses = [Comparison.from_json(item) for item in facts.get("syntheses", [])]
    if not syntheses and search.measuring:
        syntheses = search.measuring.comparisons()
    if run.seconds is None:
        run = dataclasses.replace(run, seconds=round(search.seconds(), 3))
    return Front(
        run=run,
        spec=problem.spec.to_toml(),
        target=problem.target,
        goal=problem.goal,
        space=problem.space,
        dataset=problem.dataset,
        members=members,
        records=records,
        trace=search.trace,
        hypervolume=search.front.hypervolume,
        syntheses=syntheses,
        least_infeasible=() if search.front.records else least_infeasible(records),
    )


def run_exporters(problem: Problem, front: Front, folder: Path) -> tuple[list[Path], list[str]]:
    """Run every exporter of the spec; a failure is logged and the remaining exporters run.

    Returns:
        (written files, one message per failed exporter).
    """
    files: list[Path] = []
    failures: list[str] = []
    for name in problem.spec.run.exporters:
        try:
            exporter = exporter_of_run(problem.registry, problem.spec, name, problem.dataset)
            files.extend(checked_paths(exporter.export(front, folder)))
        except Unsupported as error:
            log.info("exporter %s wrote nothing: %s", name, error)
        except ToolMissing as error:
            # The rest of the run does not depend on it.
            log.warning("exporter %s wrote nothing: %s", name, error)
        except PLUGIN_FAULTS as error:
            failures.append(f"exporter {name}: {in_words_with_place(error)}")
            log.error("exporter %s failed: %s", name, in_words_with_place(error))
    return files, failures
