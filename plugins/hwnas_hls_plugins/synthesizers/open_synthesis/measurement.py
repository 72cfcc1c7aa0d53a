"""The results of one run of the open tools, independent of the part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.route_report import Route


@dataclass(frozen=True, slots=True)
class Measurement:
    """Deterministic facts of one design, family, flow and configuration.

    Args:
        clock_ns: clock period for which the RTL was pipelined.
        stages: pipeline stages according to the generator.
        latency_cycles: from the simulation; ``None`` if the outputs are constant.
        ii_cycles: from the simulation.
        rows: number of inputs that were compared bit for bit and are equal.
        simulator: name of the simulator.
        counts: mapped resources; ``None`` if only the RTL was simulated.
        facts: facts from the generator.
        versions: tool -> version.
        circuit: SHA-256 of the sources; empty if they are not exported.
        routes: routed placements; empty without routing.
    """

    clock_ns: float
    stages: int
    latency_cycles: int | None
    ii_cycles: int
    rows: int
    simulator: str
    counts: Counts | None
    facts: Mapping[str, Any]
    versions: Mapping[str, str]
    circuit: str = ""
    routes: tuple[Route, ...] = ()

    @property
    def slowest(self) -> Route | None:
        """The placement with the lowest Fmax; ``None`` without routing."""
        return min(self.routes, key=lambda route: route.fmax_mhz, default=None)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        out["counts"] = None if self.counts is None else self.counts.to_json()
        routes = [route.to_json() for route in self.routes]
        return out | {"facts": dict(self.facts), "versions": dict(self.versions), "routes": routes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        counts = None if data["counts"] is None else Counts(**data["counts"])
        routes = tuple(Route.from_json(route) for route in data.get("routes", ()))
        return cls(**{**data, "counts": counts, "routes": routes})
