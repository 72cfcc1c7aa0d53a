"""LUTs that Yosys counts in alkaid's RTL against da4ml's cost: fits the law of ``da-cost`` and its interval.

    python benchmarks/circuits/counted_law.py FOLDER ... [--most-lut 2500] [--every 2] [--only 1 2 ...]

Takes every second member of folders that ``our_side.py`` wrote, up to a cost, and the twenty networks of
``benchmarks/open_synthesis`` (``--only`` some of them). The synthesizer ``open`` builds, simulates and counts
each; its cache keeps what was counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "open_synthesis"))

from networks import NETWORKS, design_of

from hwnas_hls.network.design import Design
from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.estimators.da_cost import ALKAID_LUT, ALKAID_LUT_SPREAD
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import RECURSION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--most-lut", type=float, default=2500.0)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="*", default=range(1, len(NETWORKS) + 1))
    options = parser.parse_args()
    sys.setrecursionlimit(RECURSION)
    target = find_target("xcvu9p", [data_folder("hw_targets")])
    synthesizer = OpenSynthesizer(OpenConfig(generator="alkaid", time_limit_s=3600))
    costs, counts = [], []
    for name, design in designs(options):
        report = synthesizer.synthesize(design, target)
        if report.failure:
            raise SystemExit(f"{name}: {report.failure}")
        costs.append(cost(design, 5.0, None).cost_lut)
        counts.append(report.estimates["lut"].value)
        print(f"{name}: cost {costs[-1]:,.1f}, counted {counts[-1]:,.0f} LUT with inverters", flush=True)
    fitted(np.array(costs), np.array(counts))


def designs(options: argparse.Namespace) -> Iterator[tuple[str, Design]]:
    for folder in options.folders:
        front = json.loads((folder / "front.json").read_text())
        members = [member for member in front["members"] if member["cost"] <= options.most_lut]
        for member in sorted(members, key=lambda one: float(one["cost"]))[:: options.every]:
            yield (
                f"{front['table']} {member['network'][:8]}",
                Design.load(folder / "networks" / member["network"]),
            )
    for number in options.only:
        yield f"network {number}", design_of(NETWORKS[number - 1])


def fitted(costs: np.ndarray, counts: np.ndarray) -> None:
    def missed(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(x[0] * costs + x[1] * np.sqrt(costs)) - np.log(counts))

    fit = least_squares(missed, ALKAID_LUT, loss="soft_l1", f_scale=0.1).x
    low, high = ALKAID_LUT_SPREAD
    for title, law in (("fitted", fit), ("as in da_cost", np.array(ALKAID_LUT))):
        ratio = np.exp(-missed(law))
        inside = int(((ratio >= low) & (ratio <= high)).sum())
        spread = ", ".join(f"{part:.2f}" for part in np.quantile(ratio, (0.0, 0.05, 0.5, 0.95, 1.0)))
        print(
            f"{title}: {law[0]:.2f} x cost + {law[1]:.2f} x its root; {inside} of {len(ratio)} within "
            f"{low} to {high} of it; counted over law at 0, 5, 50, 95, 100 %: {spread}"
        )


if __name__ == "__main__":
    main()
