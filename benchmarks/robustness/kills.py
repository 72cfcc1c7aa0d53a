"""Kill real runs at random moments and compare what comes of them with runs that nobody disturbed.

A victim is a whole ``hwnas-hls run`` (search with training, full training, hls4ml project, g++,
C simulation, report) that gets SIGKILL after a random time, is resumed, killed again, and so on
until it ends by itself. Its records, its store and its front must then be those of the
undisturbed run of the same seed. Run it as

    python benchmarks/robustness/kills.py --kills 200
    python benchmarks/robustness/kills.py --kills 200 --light
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

#: Facts of a run that differ between two runs of one seed for good reason.
_TIMES = {"seconds", "started", "finished", "name", "command", "host", "sessions", "evidence"}


#: ``python -c`` with the arguments of ``hwnas-hls``: the command with the plugin of our own tests.
_LIGHT = (
    "import sys\n"
    "from hwnas_hls import cli, plugins\n"
    "from hwnas_hls.testing import tiny\n"
    "class Registry(plugins.Registry):\n"
    "    def __init__(self, *given, **more):\n"
    "        super().__init__(*given, **more)\n"
    "        self.register(tiny, 'tiny')\n"
    "plugins.Registry = Registry\n"
    "sys.exit(cli.invoke(sys.argv[1:]))\n"
)


def command(folder: Path, seed: int, trials: int, *, light: bool) -> list[str]:
    program = [sys.executable, "-c", _LIGHT] if light else [sys.executable, "-m", "hwnas_hls"]
    if (folder / "spec.toml").exists():
        return [*program, "resume", str(folder), "--quiet"]
    given = ["--target", "xcvu9p", "--trials", str(trials), "--seed", str(seed), "--output", str(folder)]
    settings = ["run.batch=10", "export.members=2"]
    if light:
        given += ["--space", "mixed", "--task", "tiny"]
        estimators = 'run.estimators=["static", "hls-model", "least-squares"]'
        settings += [estimators, "export.csim=false", 'run.exporters=["front-json"]']
    return [*program, "run", *given, "--quiet", *(word for item in settings for word in ("--set", item))]


def settled(value: Any) -> Any:
    """``value`` without times and names of folders."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [settled(item) for item in value]
    return value


def outcome(folder: Path) -> dict[str, Any]:
    """What a run came to."""
    database = sqlite3.connect(folder / "run.sqlite")
    records = [json.loads(data) for (data,) in database.execute("select data from record order by number")]
    evaluations = [key for (key,) in database.execute("select key from evaluation order by key")]
    batches = list(database.execute("select number, candidates, state from batch order by number"))
    whole = database.execute("pragma integrity_check").fetchone()[0]
    database.close()
    front = json.loads((folder / "front.json").read_text())
    return {
        "records": settled(records),
        "evaluations": evaluations,
        "batches": batches,
        "integrity": whole,
        "members": settled(front["members"]),
        "hypervolume": front["hypervolume"],
    }


def phase(folder: Path, trials: int) -> str:
    """Where a run stood when it was killed."""
    if (folder / "front.json").exists():
        return "after the front was written"
    if not (folder / "run.sqlite").exists():
        return "before there was a store"
    database = sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True)
    try:
        judged = database.execute("select count(*) from record").fetchone()[0]
    except sqlite3.Error:
        judged = 0
    database.close()
    return "search" if judged < trials else "full training, project, C simulation"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument(
        "--light", action="store_true", help="a trainer without torch and no C simulation: kills in seconds"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments and of the runs")
    parser.add_argument("--json", type=Path, help="write the counts here")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    kills, victims, wrong = 0, 0, []
    phases: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        while kills < arguments.kills:
            seed = arguments.seed + victims % 4
            whole = Path(scratch) / f"whole{seed}"
            if not whole.exists():
                begun = time.monotonic()
                subprocess.run(
                    command(whole, seed, arguments.trials, light=arguments.light),
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                length_s = time.monotonic() - begun
            victim = Path(scratch) / f"victim{victims}"
            while True:
                process = subprocess.Popen(
                    command(victim, seed, arguments.trials, light=arguments.light),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                try:
                    _, said = process.communicate(timeout=length_s * rng.uniform(0.02, 0.7))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += 1
                    phases[phase(victim, arguments.trials)] += 1
                    continue
                break
            if process.returncode:
                wrong.append(f"victim {victims}: exit {process.returncode}: {said[-500:]}")
            elif (found := outcome(victim)) != (wanted := outcome(whole)):
                parts = [name for name in wanted if found[name] != wanted[name]]
                wrong.append(f"victim {victims}, seed {seed}: other {', '.join(parts)}")
            victims += 1
            print(f"{kills} kills, {victims} runs ended, {len(wrong)} wrong", flush=True)
    counts = {"kills": kills, "runs": victims, "wrong": wrong, "killed during": dict(phases)}
    print(json.dumps(counts, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(counts, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
