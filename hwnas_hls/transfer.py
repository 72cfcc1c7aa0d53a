"""What passes between the tool and a worker process: JSON files, and npz archives without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas_hls.architecture import Architecture
from hwnas_hls.candidate import Candidate
from hwnas_hls.design import Design
from hwnas_hls.errors import HwnasError
from hwnas_hls.estimate import Estimate, Estimates
from hwnas_hls.estimator import Context
from hwnas_hls.synthesis import SynthesisReport
from hwnas_hls.target import Target
from hwnas_hls.task import Dataset, Split

#: An answer larger than this is no answer.
MAX_ANSWER_BYTES = 256 * 2**20
#: Begins the name of the temporary folder that a plugin's workers share.
FOLDER_PREFIX = "hwnas-isolated-"
_SPLITS = ("train", "validation", "test")


def write_json(path: Path, data: object) -> None:
    """Write JSON-able data."""
    path.write_text(json.dumps(data), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what :func:`write_json` wrote.

    Raises:
        HwnasError: the file is larger than :data:`MAX_ANSWER_BYTES`.
    """
    if path.stat().st_size > MAX_ANSWER_BYTES:
        raise HwnasError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def write_dataset(path: Path, dataset: Dataset) -> dict[str, Any]:
    """Write the rows to the archive ``path``; returns what else makes the data set.

    The test split stays behind (its arrays have no rows): no estimator may look at it.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    for name in _SPLITS:
        split: Split = getattr(dataset, name)
        rows = slice(0, 0) if name == "test" else slice(None)
        arrays |= {f"{name}_x": split.x[rows], f"{name}_y": split.y[rows]}
    np.savez(path, **arrays)
    rest = ("kind", "labels", "features", "source", "metric", "direction")
    return {"path": str(path), **{name: getattr(dataset, name) for name in rest}}


def read_dataset(data: Mapping[str, Any]) -> Dataset:
    """The inverse of :func:`write_dataset`."""
    import numpy as np

    with np.load(data["path"], allow_pickle=False) as arrays:
        splits = [Split(arrays[f"{name}_x"], arrays[f"{name}_y"]) for name in _SPLITS]
    labels, features = tuple(data["labels"]), tuple(data["features"])
    rest: dict[str, Any] = {name: data[name] for name in ("kind", "source", "metric", "direction")}
    return Dataset(splits[0], splits[1], splits[2], labels=labels, features=features, **rest)


def target_from_json(data: Mapping[str, Any]) -> Target:
    """The inverse of :meth:`Target.to_json`."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return Target(**values)


def batch_to_json(candidates: Sequence[Candidate], context: Context, folder: Path) -> dict[str, Any]:
    """A batch with its architectures; designs lie beside it in ``folder``."""
    items = []
    for candidate in candidates:
        item: dict[str, Any] = {
            "candidate": candidate.to_json(),
            "architecture": context.architecture(candidate).to_json(),
        }
        if candidate.key in context.designs:
            path = folder / f"design-{candidate.key}.npz"
            path.write_bytes(context.designs[candidate.key].to_bytes())
            item["design"] = str(path)
        items.append(item)
    return {"items": items, "seed": context.seed, "clock_ns": context.clock_ns, "device": context.device}


def batch_from_json(
    data: Mapping[str, Any], dataset: Dataset, target: Target
) -> tuple[list[Candidate], Context]:
    """The inverse of :func:`batch_to_json`."""
    candidates = [Candidate.from_json(item["candidate"]) for item in data["items"]]
    pairs = list(zip(candidates, data["items"], strict=True))
    architectures = {candidate.key: Architecture.from_json(item["architecture"]) for candidate, item in pairs}
    designs = {
        candidate.key: Design.from_bytes(Path(item["design"]).read_bytes())
        for candidate, item in pairs
        if "design" in item
    }

    def architecture(candidate: Candidate) -> Architecture:
        return architectures[candidate.key]

    context = Context(
        architecture, dataset, target, data["clock_ns"], data["seed"], data["device"], designs=designs
    )
    return candidates, context


def estimates_to_json(found: Estimates, path: Path) -> dict[str, Any]:
    """One answer of an estimator; its design is written to ``path``."""
    if found.design is not None:
        path.write_bytes(found.design.to_bytes())
    return {
        "values": _numbers_to_json(found.values),
        "failure": found.failure,
        "stopped": found.stopped,
        "design": found.design is not None,
        "warnings": list(found.warnings),
    }


def estimates_from_json(data: Mapping[str, Any], path: Path) -> Estimates:
    """The inverse of :func:`estimates_to_json`."""
    return Estimates(
        _numbers_from_json(data["values"]),
        str(data["failure"]),
        str(data["stopped"]),
        Design.from_bytes(path.read_bytes()) if data["design"] else None,
        tuple(data["warnings"]),
    )


def report_to_json(report: SynthesisReport) -> dict[str, Any]:
    """A synthesis report; its files stay where they are."""
    return {
        "tool": report.tool,
        "stage": report.stage,
        "estimates": _numbers_to_json(report.estimates),
        "files": {role: str(path) for role, path in report.files.items()},
        "failure": report.failure,
        "counts": dict(report.counts),
        "seconds": dict(report.seconds),
        "warnings": list(report.warnings),
        "cached": report.cached,
    }


def report_from_json(data: Mapping[str, Any]) -> SynthesisReport:
    """The inverse of :func:`report_to_json`."""
    return SynthesisReport(
        data["tool"],
        data["stage"],
        _numbers_from_json(data["estimates"]),
        {role: Path(path) for role, path in data["files"].items()},
        data["failure"],
        data["counts"],
        data["seconds"],
        tuple(data["warnings"]),
        data["cached"],
    )


def _numbers_to_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _numbers_from_json(data: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate.from_json(name, item) for name, item in data.items()}
