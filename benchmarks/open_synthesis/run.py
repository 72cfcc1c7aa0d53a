"""Open synthesis of twenty networks: own cost of the adders, Yosys' counts, stages, latency, times.

``python benchmarks/open_synthesis/run.py --cache FOLDER --output TABLE.md [--rows 10000] [--only N ...]
[--generator auto|alkaid|da4ml] [--operands 2|3]``

Runs anew what the cache folder lacks; a row whose simulation differs from the emulator in one
bit is printed as a failure, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from networks import NETWORKS, Network, design_of

from hwnas_hls.network.design import Design
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target, find_target
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer

HEAD = (
    "| # | network | weights | own cost | LUT (with INV) | / cost | hls-model (interval) | / LUT | FF "
    "| register bits | stages | simulated | rtl / synthesis / simulation CPU s |"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--target", default="xcvu9p")
    parser.add_argument("--only", type=int, nargs="*", default=range(1, len(NETWORKS) + 1))
    parser.add_argument("--simulator", default="auto")
    parser.add_argument("--generator", default="auto")
    parser.add_argument("--operands", type=int, default=3)
    options = parser.parse_args()
    target = find_target(options.target, [data_folder("hw_targets")])
    config = OpenConfig(
        rows=options.rows,
        cache_dir=str(options.cache),
        time_limit_s=3600,
        simulator=options.simulator,
        generator=options.generator,
        operands=options.operands,
    )
    synthesizer = OpenSynthesizer(config)
    lines = [HEAD, "|" + " --- |" * (HEAD.count("|") - 1)]
    ratios, predicted, failures, tool = [], [], 0, ""
    for number in options.only:
        network = NETWORKS[number - 1]
        design = design_of(network)
        report = synthesizer.synthesize(design, target)
        failures += bool(report.failure)
        tool = report.tool
        line, ratio, model = _row(number, network, design, target, report)
        ratios += [ratio] if ratio else []
        predicted += [model] if model else []
        lines.append(line)
        print(line, flush=True)
    lines += ["", *_summary("Yosys LUT (with INV) / own cost", ratios)]
    lines += _summary("hls-model / Yosys LUT (with INV)", predicted)
    lines.append(
        f"- {tool}; {options.rows} inputs a network, every output bit equal in {len(ratios)} networks"
    )
    text = "\n".join(lines) + "\n"
    print("\n".join(lines[-3:]))
    if options.output:
        options.output.write_text(text)
    return 1 if failures else 0


def _row(
    number: int, network: Network, design: Design, target: Target, report: SynthesisReport
) -> tuple[str, float, float]:
    head = f"| {number} | {network.name} {network.modes} | {'trained' if network.trained else 'random'} |"
    if report.failure:
        return f"{head} FAILED: {report.failure} |", 0.0, 0.0
    counts, estimates, seconds = report.counts, report.estimates, report.seconds
    cost, lut = counts["cost_lut"], estimates["lut"]
    model = _model(design, target)
    times = " / ".join(f"{seconds[f'{step}_cpu']:.1f}" for step in ("rtl", "synthesis", "simulation"))
    prediction, share = "-", ""
    if model is not None:
        value, low, high = model
        prediction, share = f"{value:.0f} ({low:.0f}-{high:.0f})", f"{value / lut.value:.3f}"
    cells = [
        f"{cost:.0f}",
        f"{lut.low:.0f} ({lut.value:.0f})",
        f"{lut.value / cost:.3f}",
        prediction,
        share,
        f"{estimates['ff'].value:.0f}",
        f"{counts['register_bits']:.0f}",
        str(_stages(report)),
        f"{estimates['latency_cycles'].value:.0f} cycles, II {estimates['ii_cycles'].value:.0f}",
        times,
    ]
    return f"{head} {' | '.join(cells)} |", lut.value / cost, (model[0] / lut.value if model else 0.0)


def _stages(report: SynthesisReport) -> int:
    import json

    result = json.loads(report.files["result"].read_text())
    return int(result["measurement"]["stages"])


def _model(design: Design, target: Target) -> tuple[float, float, float] | None:
    """The hardware model's LUTs after logic synthesis, weights known: value, low, high."""
    try:
        from hwnas_hls_plugins.estimators.hls_model import predict, query_of
    except ImportError:
        return None
    query = query_of(design.architecture, target.part, 5.0, stage="logic_synth", design=design)
    lut = predict([query])[0].metrics["lut"]
    return lut.value, lut.low, lut.high


def _summary(what: str, ratios: Sequence[float]) -> list[str]:
    if len(ratios) < 2:
        return []
    errors = [abs(ratio - 1) for ratio in ratios]
    return [
        f"- {what}: mean {statistics.mean(ratios):.3f}, standard deviation {statistics.stdev(ratios):.3f}, "
        f"range {min(ratios):.3f}-{max(ratios):.3f}, median error {statistics.median(errors):.1%}"
    ]


if __name__ == "__main__":
    sys.exit(main())
