"""What the scaling of raw words costs: the designs of a run, counted with and without their first layer.

    python benchmarks/circuits/scaling_cost.py RUN

``RUN`` is a run with ``input_words`` in its task. Both circuits are generated, simulated and counted by the
synthesizer ``open``; the one without the scaling takes features that a host has standardised and rounded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.network.scaling import unscaled_design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.target import Target
from hwnas_hls.run.folder import run_spec
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenSynthesizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    folder = parser.parse_args().run
    target = Registry().target(run_spec(folder).target)
    print("design           features bits  LUT (without)  FF (without)  cycles (without)")
    for place in sorted((folder / "designs").iterdir()):
        design = Design.load(place)
        if design.architecture.scaling is None:
            continue
        read = [word for word in design.features if word is not None]
        bits = sum(word.width for word in read)
        here, without = (_counted(one, target) for one in (design, unscaled_design(design)))
        pairs = "  ".join(f"{a:.0f} ({b:.0f})" for a, b in zip(here, without, strict=True))
        print(f"{place.name} {len(read):8d} {bits:4d}  {pairs}")


def _counted(design: Design, target: Target) -> list[float]:
    report = OpenSynthesizer().synthesize(design, target)
    if report.failure:
        raise SystemExit(report.failure)
    names = ("lut", "ff", "latency_cycles")
    return [report.estimates[name].value if name in report.estimates else np.nan for name in names]


if __name__ == "__main__":
    main()
