"""Peak memory of training and of the engine, each measurement in a process of its own.

    python benchmarks/memory/peak.py --training 50 200 --batch-sizes 64 256 2048 --finished 500 4000 16000

Training: so many random networks (16 inputs, widths 4 to 128, 1 to 6 layers) at once, one epoch. Engine:
a search whose candidates are judged by a formula, so that nothing but the engine's own memory grows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ("training", "engine")]


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def training(candidates: int, batch_size: int, rows: int, group_candidates: int) -> dict[str, float]:
    import torch
    from throughput import TrainingConfig, batched, data, mix

    torch.set_num_threads(1)
    dataset = data(rows, 16, 5)
    config = TrainingConfig(
        epochs=1, batch_size=batch_size, max_rows=0, rungs=(), group_candidates=group_candidates
    )
    batched(mix(2, 16, 5, 0, "none"), dataset, config)
    before = peak_mb()
    batched(mix(candidates, 16, 5, 1, "none"), dataset, config)
    return {"before_mb": before, "peak_mb": peak_mb()}


def finished(candidates: int, strategy: str) -> dict[str, float]:
    import logging

    import overhead

    logging.disable(logging.WARNING)
    overhead.engine(50, strategy, 50, 3)
    before = peak_mb()
    overhead.run(candidates, strategy, 200, 3)
    return {"before_mb": before, "peak_mb": peak_mb()}


def alone(*arguments: object) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", *map(str, arguments)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", type=int, nargs="*", default=[50, 200])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256, 2048])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--group-candidates", type=int, default=256)
    parser.add_argument("--finished", type=int, nargs="*", default=[500, 4000, 16000])
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--one", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        kind, *numbers = options.one
        if kind == "training":
            print(json.dumps(training(*map(int, numbers))))
        else:
            print(json.dumps(finished(int(numbers[0]), numbers[1])))
        return
    if options.training:
        print("| networks at once | batch size | before, MB | peak, MB | more, MB |\n|--:|--:|--:|--:|--:|")
    for candidates in options.training:
        for size in options.batch_sizes:
            found = alone("training", candidates, size, options.rows, options.group_candidates)
            more = found["peak_mb"] - found["before_mb"]
            print(
                f"| {candidates} | {size} | {found['before_mb']:.0f} | {found['peak_mb']:.0f} | {more:.0f} |",
                flush=True,
            )
    if options.finished:
        print("\n| finished candidates | before, MB | peak, MB | more a candidate, kB |\n|--:|--:|--:|--:|")
    for candidates in options.finished:
        found = alone("finished", candidates, options.strategy)
        more = found["peak_mb"] - found["before_mb"]
        kilobytes = 1024 * more / candidates
        print(
            f"| {candidates} | {found['before_mb']:.0f} | {found['peak_mb']:.0f} | {kilobytes:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
