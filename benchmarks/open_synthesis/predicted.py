"""What ``hwnas-hls predict`` says of the twenty networks, by da4ml and by the closed form, against Yosys.

    python benchmarks/open_synthesis/predicted.py

Yosys' counts are read from the table of docs/open-synthesis.md, which run.py measured.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path

from networks import NETWORKS, design_of

from hwnas_hls_plugins.estimators.hls_model import predict, query_of

TABLE = Path(__file__).resolve().parents[2] / "docs" / "open-synthesis.md"
PART = "xcvu9p-flga2104-2L-e"
_ROW = (
    r"^\| (\d+) \| (\S+ w\d+a\d+ \d+% \S+) \| \w+ \| \d+ \| \d+ \((\d+)\).* \| (\d+) \| (\d+) cycles, II 1 \|"
)


def main() -> int:
    rows = {int(row[0]): row for row in re.findall(_ROW, TABLE.read_text(), re.MULTILINE)}
    if set(rows) != set(range(1, len(NETWORKS) + 1)):
        print(f"{TABLE.name}: the table has rows {sorted(rows)}")
        return 1
    designs = [design_of(network) for network in NETWORKS]
    queries = [query_of(d.architecture, PART, 5.0, stage="logic_synth", design=d) for d in designs]
    solved, closed = predict(queries, solve=True), predict(queries)
    errors: dict[str, list[float]] = {"da4ml": [], "closed form": []}
    inside = equal = 0
    for number, (one, other) in enumerate(zip(solved, closed, strict=True), 1):
        _, name, lut, _, cycles = rows[number]
        found = one.metrics["lut"]
        errors["da4ml"].append(abs(found.value / int(lut) - 1))
        errors["closed form"].append(abs(other.metrics["lut"].value / int(lut) - 1))
        inside += found.low <= int(lut) <= found.high
        equal += one.metrics["latency_cycles"].value == int(cycles)
        text = f"{found.value:6.0f} ({found.low:.0f}-{found.high:.0f})"
        print(f"{number:2} {name:32} Yosys {lut:>6}  da4ml {text}")
    for what, values in errors.items():
        print(f"{what}: median error {statistics.median(values):.1%}, worst {max(values):.1%}")
    print(f"in the interval: {inside} of {len(rows)}; cycles equal: {equal} of {len(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
