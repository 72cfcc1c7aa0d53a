"""DSP blocks of plain multipliers by open synthesis, beside distributed arithmetic's LUTs.

``python benchmarks/open_synthesis/multipliers.py --cache FOLDER [--only N ...]``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from networks import NETWORKS, design_of

from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenMultiplierSynthesizer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--only", type=int, nargs="*", default=(2, 3, 4, 7, 10))
    parser.add_argument("--targets", nargs="*", default=("xcvu9p", "xc7vx690t"))
    options = parser.parse_args()
    synthesizer = OpenMultiplierSynthesizer(OpenConfig(rows=2000, cache_dir=options.cache, time_limit_s=3600))
    print("| # | network | target | non-zero weights | DSP | LUT (with INV) | FF | cycles |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    failures = 0
    for name in options.targets:
        target = find_target(name, [data_folder("hw_targets")])
        for number in options.only:
            network = NETWORKS[number - 1]
            report = synthesizer.synthesize(design_of(network), target)
            failures += bool(report.failure)
            head = f"| {number} | {network.name} | {name}"
            if report.failure:
                print(f"{head} | FAILED: {report.failure} |")
                continue
            found = {metric: f"{estimate.value:.0f}" for metric, estimate in report.estimates.items()}
            lut = f"{report.estimates['lut'].low:.0f} ({found['lut']})"
            products = f"{report.counts['products']:.0f}"
            cells = [products, found["dsp"], lut, found["ff"], found["latency_cycles"]]
            print(f"{head} | {' | '.join(cells)} |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
