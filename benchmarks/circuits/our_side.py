"""Our side: one search by ``hwnas-hls run``'s own path, its front exported, every design scored.

``python benchmarks/circuits/our_side.py TABLE.npz FOLDER [--seconds 180] [--seed 1] [--spec SPEC.toml]``

``--seconds`` are seconds of processor time, child processes included: the search gets what
``--export-share`` leaves, so that search and export together keep the budget. A spec may set
anything but task, seed and budget; without one the run is the default one, with more exported designs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from quantised import non_dominated

from hwnas_hls import __version__
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.network.features import bits_read
from hwnas_hls.network.layers import Dense
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Member
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.run import lifecycle, search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.record import Record
from hwnas_hls_plugins.estimators.da_cost import ALKAID_LUT
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed

#: The default run with open synthesis. The benchmark itself runs no synthesizer, so it names the strategy.
SPEC: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "space": {"name": "mlp", "strategies": ["distributed_arithmetic"]},
}


def processor_s() -> float:
    """Seconds of this process, of its children that have ended, and of those that have not (Linux)."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + _living_children_s()


def _living_children_s() -> float:
    """A solver that stays is no ended child: its seconds are read where the system keeps them."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile, and is counted as such
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    family, total = {os.getpid()}, 0
    while fresh := {pid for pid, parent in parents.items() if parent in family} - family:
        total += sum(ticks[pid] for pid in fresh)
        family |= fresh
    return total / os.sysconf("SC_CLK_TCK")


def tables_of(options: argparse.Namespace) -> dict[str, Any]:
    given = tomllib.loads(options.spec.read_text()) if options.spec else SPEC
    search_s = options.seconds * (1 - options.export_share)
    return {
        **given,
        "task": {"name": "file", "path": str(options.table)},
        "run": {
            **given.get("run", {}),
            "seed": options.seed,
            "trials": 1_000_000,
            "minutes": search_s / 60,
            "exporters": ["front-json"],
        },
        "export": {
            "members": options.members,
            "csim": False,
            # The comparison begins at 80 % of the rows, which is nearer to chance on some tables.
            "floor": 0.5,
            "noise_filter": False,
            # Float models of other kinds are no part of the comparison.
            "baselines": False,
            **given.get("export", {}),
        },
        # ``measure.py`` counts, both sides alike.
        "synthesis": {"synthesizer": "none"},
    }


def scored(design: Design, dataset: Dataset, split: Split) -> float:
    """Accuracy or r2 of the exact design."""
    found = emulator.outputs(design, split.x)
    if dataset.labels:
        return float(np.mean(found.argmax(axis=1) == split.y))
    mean, scale = dataset.target_standardisation
    wanted = (split.y - mean) / scale
    return float(1 - ((found - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())


def facts(design: Design) -> dict[str, Any]:
    """Where a design's bits are, in the words of the other side's file."""
    layers = [
        (layer, weight)
        for layer, weight in zip(design.architecture.layers, design.weights, strict=True)
        if isinstance(layer, Dense) and weight is not None
    ]
    first = layers[0][1]
    return {
        "zeros": [round(float(np.mean(weight == 0)), 4) for _, weight in layers],
        "widths": [layer.n_out for layer, _ in layers],
        "weight_types": [str(layer.weight) for layer, _ in layers],
        "result_types": [str(layer.result) for layer, _ in layers],
        "input_type": str(design.architecture.input),
        "input_bits": bits_read(design.features, design.architecture.input, design.architecture.n_in),
        "inputs_read": int((first != 0).any(axis=1).sum()),
        "neurons": [int((weight != 0).any(axis=1).sum()) for _, weight in layers[1:]],
    }


def member_of(member: Member, dataset: Dataset, folder: Path) -> dict[str, Any]:
    place = folder / "networks" / member.key
    member.design.save(place)
    metric = dataset.metric
    return {
        "network": member.key,
        "validation": member.record.estimates[metric].value,
        "test": scored(member.design, dataset, dataset.test),
        "search_lut": member.record.estimates["lut"].value,
        "trained_on": member.design.meta.get("train_on", ""),
        **facts(member.design),
    }


def cost_of(lut: float) -> float:
    """da4ml's cost of a design from the LUTs that ``da-cost`` predicts from it."""
    if not installed("alkaid"):
        return lut
    linear, root = ALKAID_LUT
    return ((math.sqrt(root**2 + 4 * linear * lut) - root) / (2 * linear)) ** 2


def course(problem: Any, folder: Path) -> list[dict[str, Any]]:
    """Every record that was on the search's front when it came, with its test score then."""
    out: list[dict[str, Any]] = []
    metric = problem.dataset.metric
    with Store(folder, reading=True) as store:
        judge = lifecycle.Search.view(problem, store).judge
        seconds = {batch.number: batch.seconds for batch in store.batches() if batch.state is not None}
        held: list[tuple[float, float]] = []
        by_batch: dict[int, list[Record]] = {}
        for record in store.records():
            if record.feasible and record.losses is not None and record.batch in seconds:
                by_batch.setdefault(record.batch, []).append(record)
        for number, records in sorted(by_batch.items()):
            pairs = [(item.estimates[metric].value, item.estimates["lut"].value) for item in records]
            both = [*held, *pairs]
            places = non_dominated(both)
            for place in places:
                if place < len(held):
                    continue
                record = records[place - len(held)]
                design = judge.design(record)
                if design is not None:
                    test = scored(design, problem.dataset, problem.dataset.test)
                    value, lut = both[place]
                    out.append(
                        {
                            "seconds": round(seconds[number], 1),
                            "key": record.key,
                            "validation": value,
                            "test": test,
                            "lut": lut,
                            "cost": round(cost_of(lut), 1),
                        }
                    )
            held = [both[place] for place in places]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spec", type=Path)
    parser.add_argument("--members", type=int, default=48)
    parser.add_argument("--export-share", type=float, default=0.35)
    options = parser.parse_args()
    spec = spec_from_tables(tables_of(options), str(options.spec or "benchmark"))
    began_s = processor_s()
    # The search's clock is the wall's; a busy machine would cheat it, so it reads processor time here.
    search.time = SimpleNamespace(monotonic=processor_s)  # type: ignore[attr-defined]
    posed: list[Any] = []
    searched: list[float] = []
    designed: list[float] = []
    choose = lifecycle.chosen

    def chosen(*given: Any) -> Any:
        choice = choose(*given)
        designed.append(processor_s() - began_s)
        return choice

    lifecycle.chosen = chosen
    observer = lifecycle.Observer(
        on_problem=lambda problem, folder: posed.append(problem),
        on_progress=lambda progress: searched.append(processor_s() - began_s),
    )
    run_folder = options.folder / "run"
    outcome = lifecycle.start(spec, Registry(), run_folder, observer)
    spent_s = processor_s() - began_s
    problem = posed[0]
    members = [member_of(member, problem.dataset, options.folder) for member in outcome.front.members]
    stated = {
        "side": "ours",
        "table": options.table.stem,
        "seed": options.seed,
        "seconds": options.seconds,
        "command": " ".join(["python", *(Path(word).name for word in sys.argv)]),
        "versions": {"hwnas-hls": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "da4ml")},
        "date": time.strftime("%Y-%m-%d"),
        "candidates": len(outcome.front.records),
        "searched_s": round(searched[-1], 1) if searched else 0.0,
        # All designs are final. What follows also writes their hls4ml projects.
        "designed_s": round(designed[-1], 1),
        "spent_s": round(spent_s, 1),
        "members": members,
        "course": course(problem, run_folder),
    }
    (options.folder / "front.json").write_text(json.dumps(stated, indent=1) + "\n")
    print(
        f"{options.table.stem}: {stated['candidates']} candidates, search {stated['searched_s']} s, "
        f"designs {stated['designed_s']} s, with projects {stated['spent_s']} s of processor time"
    )
    for member in members:
        print(f"  val {member['validation']:.4f}  test {member['test']:.4f}  lut {member['search_lut']:.0f}")


if __name__ == "__main__":
    main()
