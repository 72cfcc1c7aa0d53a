"""What can be done with a stored run: draw its report, export one candidate, pick a design."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hwnas_hls.errors import ErrorKind, HwnasError, Unsupported, UserError
from hwnas_hls.plugin.faults import blamed
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.returned import checked_paths
from hwnas_hls.protocols.exporter import Exporter, Front, Member
from hwnas_hls.run import selection
from hwnas_hls.run.export import export_designs
from hwnas_hls.run.exporters import front_of, run_exporters
from hwnas_hls.run.facts import logged
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.lifecycle import Observer, Outcome, within_folder, workers_of
from hwnas_hls.run.named_exporters import exporter_named
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.selection import Picked
from hwnas_hls.run.spec_changes import check_unchanged
from hwnas_hls.run.storage.member_store import exported_member, stored_members
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.values.run_facts import RunFacts

#: Keys of candidates listed in a message.
_SOME_KEYS = 10


def redraw(
    folder: Path,
    registry: Registry,
    exporters: Sequence[str] | None = None,
    *,
    settings: Mapping[str, Any] = MappingProxyType({}),
    member: Member | None = None,
) -> Outcome:
    """Run the exporters on a stored run; nothing is searched or trained.

    Args:
        exporters: names, instead of those in the spec; a failure is then an error.
        settings: of these exporters.
        member: export this design alone; every exporter must be one that can.

    Raises:
        UserError: the folder is no run, there is no exporter of such a name, it takes no single design, or
            it can write none of the designs.
    """
    problem = resolve(run_spec(folder), registry)
    chosen = [
        exporter_named(registry, name, "--format", settings=settings, task=problem.dataset)
        for name in exporters or ()
    ]
    if member is not None and (whole := [item.name for item in chosen if not item.takes_design]):
        raise UserError(
            f"{', '.join(whole)} exports the whole run and takes no design",
            kind=ErrorKind.CONFLICT,
            where="--format",
            found=f"design {member.key}",
        )
    # Reading must also work in a folder without write permission.
    with Store(folder, reading=exporters is not None and not exporters) as store:
        facts = store.meta()
        check_unchanged(problem, facts, folder)
        search = Search.view(problem, store)
        records = search.records()
        members = stored_members(facts, records, folder) if member is None else [member]
        finished = bool(facts.get("finished", False))
        run = dataclasses.replace(store.run_facts() or RunFacts(), finished=finished)
        front = front_of(problem, search, members, run, facts, records)
        failures: list[str] = []
        if exporters is None:
            files, failures = run_exporters(problem, front, folder)
            store.set_meta(files=within_folder(folder, files))
        elif not exporters:
            files = [folder / name for name in facts.get("files", []) if (folder / name).is_file()]
        else:
            files = []
            for exporter in chosen:
                files.extend(_written(exporter, front, folder, member))
        return Outcome(folder, front, not finished, files, failures)


def _written(exporter: Exporter, front: Front, folder: Path, member: Member | None) -> list[Path]:
    """The files of an exporter that the user named, which must write some of the designs."""
    try:
        with blamed(f"exporter {exporter.name} failed"):
            return checked_paths(exporter.export(front, folder))
    except Unsupported as error:
        raise UserError(
            f"the exporter {exporter.name} can write none of these designs",
            where=str(folder if member is None else folder / "designs" / member.key),
            found=error,
            remedy=error.remedy or None,
            kind=error.kind,
        ) from error


def export_one(
    folder: Path, key: str, registry: Registry, observer: Observer, *, cluster: ClusterTable | None = None
) -> Member:
    """Export one candidate of a run, on the front or not, to ``folder/designs``.

    A design that was exported before is returned as it is, because its evidence would not hold for other
    weights. Delete its folder to export it again.

    Args:
        cluster: as in :func:`resume`.

    Raises:
        UserError: no complete record has this key, or several begin with it.
    """
    spec = run_spec(folder)
    problem = resolve(spec if cluster is None else dataclasses.replace(spec, cluster=cluster), registry)
    with workers_of(problem) as workers, logged(folder), Store(folder) as store:
        if workers is not None:
            workers.folder = folder
        check_unchanged(problem, store.meta(), folder)
        search = Search.view(problem, store, workers)
        complete = {record.key: record for record in store.records() if record.feasible}
        fitting = [record for name, record in complete.items() if name.startswith(key)]
        if len(fitting) != 1:
            raise UserError(
                "no complete candidate has this key" if not fitting else "the key is not unique",
                where=str(folder),
                found=key,
                choices=sorted(record.key for record in fitting) or sorted(complete)[:_SOME_KEYS],
                remedy="give a key, or the first digits of one; `--pick` selects by a rule",
            )
        if held := exported_member(store.meta(), fitting[0], folder):
            observer.on_step(f"{held.key} was exported before; delete its folder to export it again")
            return held
        search.judge.calls.purpose = "export"
        members = export_designs(problem, search.judge, fitting, folder, observer.on_step, every=True).members
        if not members:
            raise HwnasError(f"{fitting[0].key} could not be trained; see {folder / 'log.txt'}")
        return members[0]


def pick(folder: Path, rule: str, registry: Registry, among: str | None = None) -> Picked:
    """The design or candidate of a run that a rule picks: ``knee``, or ``min lut where accuracy>=0.93``.

    Args:
        among: as in :func:`hwnas_hls.run.selection.pick`.

    Raises:
        UserError: the folder is not a run, the rule cannot be read, or nothing meets its conditions.
    """
    return selection.pick(redraw(folder, registry, ()).front, rule, among, str(folder))
