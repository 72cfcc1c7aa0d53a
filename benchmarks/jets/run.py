"""The jets of OpenML 42468: our front beside the published designs.

``python benchmarks/jets/run.py --path JETS.csv --output FOLDER [--seeds 1 2 3 4 5] [--minutes 20]``

or ``--download`` for the task's own download of OpenML 42468, or ``--generated 830000`` to try the
benchmark without the data: as many rows of 16 features and five classes that overlap. Each seed is one
``hwnas-hls run`` in a process of its own; peak memory and seconds are those of that process and its
children. The table is printed and written to ``FOLDER/table.md``, the numbers to ``FOLDER/results.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

#: (design, accuracy in per cent, LUT, FF, DSP, cycles, ns); a blank is not published or not at hand.
PUBLISHED = (
    ("HGQ-LUT", "76.9", "5,667", "", "", "", "9.2"),
    ("HGQ by alkaid's RTL", "76.9", "10,182", "", "", "", "36"),
    ("HGQ by da4ml through HLS", "76.9", "12,250", "", "", "", "18.9"),
    ("hls4ml 2021", "76.2", "63,251", "", "38", "", "45"),
    ("KANELE", "76.0", "1,232", "", "", "", "7.1"),
    ("NeuraLUT-Assemble", "76.0", "1,780", "", "", "", "2.1"),
    ("TreeLUT", "75.6 to 76.0", "2,234", "", "", "", "2.7"),
    ("quantised BDT (FQTree)", "75.7", "1,652", "", "", "", "4.0"),
)
METRICS = ("accuracy", "lut", "ff", "dsp", "latency_cycles", "latency_ns")
HEAD = "| design | accuracy, % | LUT | FF | DSP | cycles | ns |"


def generated(rows: int, path: Path) -> None:
    """Rows of the shape of the jets, of which a network of 64-32-32 gets about three in four right."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        rows,
        16,
        n_informative=12,
        n_redundant=4,
        n_classes=5,
        n_clusters_per_class=3,
        class_sep=1.5,
        flip_y=0.15,
        random_state=11,
    )
    # Masses and multiplicities are skewed: half of the columns are, here.
    x[:, ::2] = np.exp(x[:, ::2] / 2)
    np.savez(path, X=x.astype(np.float32), y=np.array(["g", "q", "t", "w", "z"])[y])


def tables_of(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    if options.generated:
        task: dict[str, Any] = {"name": "file", "path": str(options.output / "generated.npz")}
    elif options.download:
        task = {"name": "jets", "download": True}
    else:
        task = {"name": "jets", "path": str(options.path)}
    return {
        "target": {"name": "xcvu9p"},
        "task": task,
        "run": {"seed": seed, "trials": options.trials, "minutes": options.minutes},
        "export": {"members": options.members, "csim": options.csim},
        "synthesis": {"synthesizer": "open", "budget": options.members},
    }


def one_run(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """A run in a process that ends, so that its peak memory is its own."""
    folder = options.output / f"seed-{seed}"
    spec = options.output / f"seed-{seed}.toml"
    spec.write_text(tomli_w.dumps(tables_of(options, seed)))
    program = (
        "import json, resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], check=False).returncode\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "cpu_s = used.ru_utime + used.ru_stime\n"
        "print(json.dumps({'rc': code, 'cpu_s': cpu_s, 'peak_kib': used.ru_maxrss}))\n"
    )
    command = [sys.executable, "-m", "hwnas_hls", "run", str(spec), "--output", str(folder), "--quiet"]
    began = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    used = json.loads(found.stdout.splitlines()[-1])
    if used["rc"]:
        raise SystemExit(f"seed {seed}: hwnas-hls run ended with {used['rc']}; see {folder}")
    front = json.loads((folder / "front.json").read_text())
    members = [
        {
            name: {key: member["metrics"][name][key] for key in ("value", "source")}
            for name in METRICS
            if name in member["metrics"]
        }
        for member in front["members"]
    ]
    return {
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "cpu_minutes": round(used["cpu_s"] / 60, 2),
        "peak_gib": round(used["peak_kib"] / 2**20, 2),
        "candidates": front["run"].get("judged", front["run"].get("candidates")),
        "members": members,
    }


def table(runs: Sequence[dict[str, Any]]) -> list[str]:
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for name, *numbers in PUBLISHED:
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    for run in runs:
        for member in run["members"]:
            cells = [f"ours, seed {run['seed']}"]
            for metric in METRICS:
                value = member.get(metric, {}).get("value")
                if value is None:
                    cells.append("")
                elif metric == "accuracy":
                    cells.append(f"{100 * value:.2f}")
                else:
                    cells.append(f"{value:,.1f}" if metric == "latency_ns" else f"{value:,.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name, unit in (("minutes", "min"), ("cpu_minutes", "min of processor time"), ("peak_gib", "GiB")):
        values = [run[name] for run in runs]
        lines.append(f"- {name}: median {statistics.median(values):.2f} {unit}, most {max(values):.2f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--path", type=Path, help="a copy of OpenML 42468, label column 'class'")
    data.add_argument("--download", action="store_true", help="let the task fetch OpenML 42468")
    data.add_argument("--generated", type=int, metavar="ROWS", help="rows made up instead")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--minutes", type=float, default=15.0, help="of the search, a seed")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=10, help="exported and synthesised designs")
    parser.add_argument("--csim", action="store_true", help="prove each by hls4ml's C simulation, too")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.generated:
        generated(options.generated, options.output / "generated.npz")
    runs = []
    for seed in options.seeds:
        runs.append(one_run(options, seed))
        (options.output / "results.json").write_text(json.dumps(runs, indent=1) + "\n")
    lines = table(runs)
    (options.output / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
