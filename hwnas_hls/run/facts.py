"""The facts of a run (settings, versions, machine), and its log file."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import platform
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from hwnas_hls import __version__
from hwnas_hls.evidence.data_warnings import data_warnings
from hwnas_hls.evidence.usefulness import chance_of, chances_of
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.database import unwritable
from hwnas_hls.values.estimate import RESOURCE_STAGE
from hwnas_hls.values.run_facts import Host, RunFacts

_VERSIONED = (
    "numpy",
    "torch",
    "hls4ml",
    "optuna",
    "scikit-learn",
    "alkaid",
    "da4ml",
    "pyosys",
    "distributed",
)

#: Log levels that the open run logs replaced; the first is the original one.
_LEVELS: list[int] = []
_LEVELS_LOCK = threading.Lock()


def run_facts(problem: Problem, folder: Path) -> RunFacts:
    """Settings, versions, plugins and machine of a run."""
    versions = {"hwnas-hls": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    spec = problem.spec
    return RunFacts(
        name=folder.resolve().name,
        folder=str(folder),
        seed=spec.run.seed,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=f"hwnas-hls run {folder / 'spec.toml'}",
        clock_ns=problem.clock_ns,
        trials=spec.run.trials,
        minutes=spec.run.minutes,
        strategy=spec.strategy.name,
        space=spec.space.name,
        task=spec.task.name,
        versions=versions,
        plugins=problem.registry.plugins(),
        host=Host(platform.platform(), platform.machine(), os.cpu_count()),
        data_fingerprint=problem.dataset.fingerprint,
        resources=RESOURCE_STAGE,
        chance=chance_of(problem.dataset, problem.dataset.test),
        further_chances=chances_of(problem.dataset, problem.dataset.test, problem.dataset.further_metrics),
        data_warnings=data_warnings(problem.dataset),
        lacking=problem.lacking,
    )


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Copy all log messages of the tool to ``log.txt`` of the run."""
    root = logging.getLogger("hwnas_hls")
    try:
        handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # Libraries that configure logging from a file (Optuna's migrations) disable all existing loggers.
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] in ("hwnas_hls", "hwnas_hls_plugins") and isinstance(logger, logging.Logger):
            logger.disabled = False
    root.addHandler(handler)
    # Runs in threads of one process may overlap: the first sets the level, the last restores it.
    with _LEVELS_LOCK:
        _LEVELS.append(root.level)
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with _LEVELS_LOCK:
            # All but the first replaced INFO; only the first one's level must be restored.
            root.setLevel(logging.INFO if len(_LEVELS) > 1 else _LEVELS[0])
            _LEVELS.pop()
        handler.close()
