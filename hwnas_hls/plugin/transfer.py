"""Messages between the tool and worker processes: JSON, and npz archives without pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.input_words import InputScaling
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Maximum size of an answer.
MAX_ANSWER_BYTES = 256 * 2**20
#: Prefix of the temporary folder that the workers of a plugin share.
FOLDER_PREFIX = "hwnas-isolated-"
_SPLITS = ("train", "validation", "test")
#: Fields of a data set that are tuples, and plain ones.
_TUPLES = ("labels", "features", "further_metrics")
_PLAIN = ("kind", "source", "metric", "direction", "signal", "false_positive_rate")
_DATASET = "dataset.npz"


class Parts(Protocol):
    """Named binary parts that a JSON message refers to: a dict, or the files of a :class:`Folder`."""

    def __getitem__(self, name: str, /) -> bytes: ...

    def __setitem__(self, name: str, data: bytes, /) -> None: ...


class Folder:
    """:class:`Parts` as the files of a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, name: str, /) -> bytes:
        return (self._path / name).read_bytes()

    def __setitem__(self, name: str, data: bytes, /) -> None:
        (self._path / name).write_bytes(data)


def pack(data: object, parts: Mapping[str, bytes]) -> bytes:
    """Encode JSON-able data and its binary parts as bytes."""
    head = json.dumps({"data": data, "parts": {name: len(part) for name, part in parts.items()}}).encode()
    return b"".join([len(head).to_bytes(8, "big"), head, *parts.values()])


def unpack(message: bytes) -> tuple[Any, dict[str, bytes]]:
    """The inverse of :func:`pack`."""
    at = 8 + int.from_bytes(message[:8], "big")
    head = json.loads(message[8:at])
    parts = {}
    for name, size in head["parts"].items():
        parts[name] = message[at : at + size]
        at += size
    return head["data"], parts


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


def array_to_bytes(array: NDArray[Any]) -> bytes:
    """An array as an npy file."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def array_from_bytes(data: bytes) -> NDArray[Any]:
    """The inverse of :func:`array_to_bytes`."""
    import numpy as np

    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def dataset_to_json(dataset: Dataset, parts: Parts) -> dict[str, Any]:
    """A data set as JSON-able data; its rows go into ``parts``.

    The test split is sent without rows: estimators must not see it.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    for name in _SPLITS:
        split: Split = getattr(dataset, name)
        rows = slice(0, 0) if name == "test" else slice(None)
        arrays |= {f"{name}_x": split.x[rows], f"{name}_y": split.y[rows]}
        if split.weight is not None:
            arrays[f"{name}_weight"] = split.weight[rows]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    parts[_DATASET] = buffer.getvalue()
    scaling = None if dataset.scaling is None else dataset.scaling.to_json()
    return {
        **{name: getattr(dataset, name) for name in (*_TUPLES, *_PLAIN, "input_shape")},
        "scaling": scaling,
    }


def dataset_from_json(data: Mapping[str, Any], parts: Parts) -> Dataset:
    """The inverse of :func:`dataset_to_json`."""
    import numpy as np

    with np.load(io.BytesIO(parts[_DATASET]), allow_pickle=False) as arrays:
        splits = [
            Split(
                arrays[f"{name}_x"],
                arrays[f"{name}_y"],
                arrays.get(f"{name}_weight"),
            )
            for name in _SPLITS
        ]
    rest: dict[str, Any] = {name: tuple(data[name]) for name in _TUPLES}
    rest |= {name: data[name] for name in _PLAIN}
    shape = None if data.get("input_shape") is None else tuple(data["input_shape"])
    scaling = InputScaling.from_json(data["scaling"]) if data.get("scaling") else None
    return Dataset(splits[0], splits[1], splits[2], input_shape=shape, scaling=scaling, **rest)


def target_from_json(data: Mapping[str, Any]) -> Target:
    """The inverse of :meth:`Target.to_json`."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return Target(**values)


def batch_to_json(candidates: Sequence[Candidate], context: Context, parts: Parts) -> dict[str, Any]:
    """A batch with architectures and known estimates; designs go into ``parts``."""
    items = []
    for candidate in candidates:
        key = candidate.key
        item: dict[str, Any] = {
            "candidate": candidate.to_json(),
            "architecture": context.architecture(candidate).to_json(),
        }
        if key in context.designs:
            item["design"] = f"design-{key}.npz"
            parts[item["design"]] = context.designs[key].to_bytes()
        if key in context.known:
            item["known"] = _numbers_to_json(context.known[key])
        if siblings := context.siblings(candidate):
            item["siblings"] = [
                [one.to_json(), context.architecture(one).to_json()] for one in siblings if one != candidate
            ]
        items.append(item)
    return {
        "items": items,
        "seed": context.seed,
        "clock_ns": context.clock_ns,
        "finds_clock": context.finds_clock,
        "device": context.device,
        "front": [list(point) for point in context.front],
    }


def batch_from_json(
    data: Mapping[str, Any], parts: Parts, dataset: Dataset, target: Target
) -> tuple[list[Candidate], Context]:
    """The inverse of :func:`batch_to_json`."""
    candidates = [Candidate.from_json(item["candidate"]) for item in data["items"]]
    pairs = list(zip(candidates, data["items"], strict=True))
    architectures = {candidate.key: Architecture.from_json(item["architecture"]) for candidate, item in pairs}
    siblings = {
        candidate.key: [candidate, *(Candidate.from_json(one) for one, _ in item["siblings"])]
        for candidate, item in pairs
        if "siblings" in item
    }
    for _, item in pairs:
        for one, built in item.get("siblings", ()):
            architectures[Candidate.from_json(one).key] = Architecture.from_json(built)
    designs = {c.key: Design.from_bytes(parts[item["design"]]) for c, item in pairs if "design" in item}
    known = {c.key: _numbers_from_json(item["known"]) for c, item in pairs if "known" in item}

    def architecture(candidate: Candidate) -> Architecture:
        return architectures[candidate.key]

    return candidates, Context(
        architecture,
        dataset,
        target,
        data["clock_ns"],
        data["seed"],
        data["device"],
        designs=designs,
        known=known,
        siblings=lambda candidate: siblings.get(candidate.key, ()),
        front=[(score, cost) for score, cost in data.get("front", ())],
        finds_clock=bool(data.get("finds_clock", False)),
    )


def estimates_to_json(found: Estimates, name: str, parts: Parts) -> dict[str, Any]:
    """One result of an estimator; its design becomes the part ``name``."""
    if found.design is not None:
        parts[name] = found.design.to_bytes()
    return {
        "values": _numbers_to_json(found.values),
        "failure": found.failure,
        "failure_kind": found.failure_kind.value,
        "stopped": found.stopped,
        "design": found.design is not None,
        "warnings": list(found.warnings),
        "layers": [_numbers_to_json(layer) for layer in found.layers],
        "siblings": [
            [candidate.to_json(), estimates_to_json(item, f"sibling-{candidate.key}.npz", parts)]
            for candidate, item in found.siblings
        ],
    }


def estimates_from_json(data: Mapping[str, Any], name: str, parts: Parts) -> Estimates:
    """The inverse of :func:`estimates_to_json`."""
    return Estimates(
        _numbers_from_json(data["values"]),
        str(data["failure"]),
        str(data["stopped"]),
        Design.from_bytes(parts[name]) if data["design"] else None,
        tuple(data["warnings"]),
        tuple(_numbers_from_json(layer) for layer in data["layers"]),
        tuple((candidate, item) for candidate, item in _siblings_from_json(data, parts)),
        ErrorKind(data["failure_kind"]),
    )


def _siblings_from_json(data: Mapping[str, Any], parts: Parts) -> Iterator[tuple[Candidate, Estimates]]:
    for one, item in data.get("siblings", ()):
        candidate = Candidate.from_json(one)
        yield candidate, estimates_from_json(item, f"sibling-{candidate.key}.npz", parts)


def report_to_json(report: SynthesisReport) -> dict[str, Any]:
    """A synthesis report; its files are sent as paths."""
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
        "failure_kind": report.failure_kind.value,
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
        ErrorKind(data["failure_kind"]),
    )


def _numbers_to_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _numbers_from_json(data: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate.from_json(name, item) for name, item in data.items()}
