"""The exporter ``front-json``: the front as a JSON file for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.network.stored_design import own_types_to_json
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.spec.notation import metric_of
from hwnas_hls.system.files import write_text

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.values.estimate import Estimate
    from hwnas_hls.values.record import Record

FRONT_SCHEMA = 1


class FrontJsonExporter(Exporter):
    """Writes ``front.json``, schema 1; ``docs/front-json.md`` describes all fields."""

    name = "front-json"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write ``folder/front.json`` atomically."""
        text = json.dumps(front_data(front), indent=2, allow_nan=False)
        return [write_text(folder / "front.json", text + "\n")]


def front_data(front: Front) -> dict[str, Any]:
    """The front as JSON-able data, with ``null`` for NaN and infinity."""
    goal = front.goal.to_json()
    data = {
        "schema": FRONT_SCHEMA,
        "run": {**front.run.to_json(), "counts": _counts(front.records)},
        "target": front.target.to_json(),
        "task": {
            "source": front.dataset.source,
            "kind": front.dataset.kind,
            "metric": front.dataset.metric,
            "direction": front.dataset.direction,
            "signal": None if front.dataset.signal is None else front.dataset.labels[front.dataset.signal],
            "false_positive_rate": front.dataset.false_positive_rate,
            "n_in": front.dataset.n_in,
            "n_out": front.dataset.n_out,
            "labels": list(front.dataset.labels),
            "features": list(front.dataset.features),
            "rows": {split: len(getattr(front.dataset, split)) for split in ("train", "validation", "test")},
            "fingerprint": front.dataset.fingerprint,
        },
        "mode": goal["mode"],
        "objectives": goal["objectives"],
        "limits": goal["limits"],
        "hypervolume": {"value": front.hypervolume, "reference": front.reference},
        "members": [_member(member, front) for member in front.members],
        "least_infeasible": [_infeasible(record) for record in front.least_infeasible],
    }
    finite: dict[str, Any] = _finite(data)
    return finite


def _counts(records: Sequence[Record]) -> dict[str, int]:
    counts = {"candidates": len(records), "complete": 0, "infeasible": 0, "stopped": 0, "failed": 0}
    for record in records:
        counts[record.state] += 1
    return counts


def _member(member: Member, front: Front) -> dict[str, Any]:
    return {
        "key": member.key,
        "design": f"designs/{member.key}",
        "digest": member.design.digest(),
        "knobs": dict(member.candidate.values),
        "origin": member.record.origin,
        "architecture": _architecture(member.design, front.clock_ns),
        "metrics": _metrics(member.estimates),
        "search_metrics": _metrics(member.record.estimates),
        "checks": {name: str(result) for name, result in member.checks.items()},
        "warnings": list(member.warnings),
        "operating_point": member.design.meta.get("operating_point"),
        "targets": _targets(member.design),
    }


def _targets(design: Design) -> dict[str, Any] | None:
    """What turns an output of a regression into its target, ``output * scale + mean``, one number each."""
    if "target_scale" not in design.meta:
        return None
    return {"scale": list(design.meta["target_scale"]), "mean": list(design.meta["target_mean"])}


def _architecture(design: Design, default_clock_ns: float) -> dict[str, Any]:
    """The layers as built, with the exact accumulator and result types."""
    architecture = design.architecture
    layers = []
    for number, (layer, (_, accum, result)) in enumerate(
        zip(architecture.layers, design.layer_types(), strict=True)
    ):
        built = {"n_out": layer.n_out, "inputs": list(architecture.sources(number))}
        layers.append({**layer.to_json(), **built, "accum": str(accum), "result": str(result)})
    return {
        "shape": architecture.shape,
        "input": str(architecture.input),
        **own_types_to_json(design),
        # Left out where the host scales and rounds the features.
        **({"scaling": architecture.scaling.to_json()} if architecture.scaling is not None else {}),
        "clock_ns": architecture.clock_ns or default_clock_ns,
        "io_type": architecture.io_type,
        "layers": layers,
    }


def _metrics(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "unit": metric_of(name).unit,
            "source": estimate.source,
            "evidence": estimate.evidence,
            "coverage": estimate.coverage,
            "in_domain": estimate.in_domain,
            **({"circuit": estimate.circuit} if estimate.circuit else {}),
        }
        for name, estimate in estimates.items()
    }


def _infeasible(record: Record) -> dict[str, Any]:
    return {
        "key": record.key,
        "knobs": dict(record.candidate.values),
        "metrics": _metrics(record.estimates),
        "violations": dict(record.violations),
        "reason": record.reason,
    }


def _finite(value: Any) -> Any:
    """``value`` with ``None`` for non-finite numbers, and arrays and paths as plain JSON."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
