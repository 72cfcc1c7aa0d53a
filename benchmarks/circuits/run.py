"""One command a table: both sides, the same measure, the comparison.

``python benchmarks/circuits/run.py TABLE --output FOLDER [--hgq-python VENV/bin/python]``

Without ``--hgq-python`` only our side runs, and is compared with HGQ2's fronts stored in ``fronts``.
What the folder holds already is not made again, so an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SHAPES = ((64, 32, 32), (32, 16))


def call(python: str, script: str, arguments: Sequence[object]) -> None:
    """One script on one core; a library that would start threads gets one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([python, str(HERE / script), *map(str, arguments)], check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="a name of tables.py")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=180.0, help="of processor time, each side")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--hgq-python", help="of an environment with HGQ2, jax and scikit-learn")
    parser.add_argument("--spec", type=Path, help="of our side")
    parser.add_argument("--count", choices=("front", "all", "none"), default="front", help="by Yosys")
    options = parser.parse_args()
    tables = options.output / "tables"
    archive = tables / f"{options.table}.npz"
    if not archive.exists():
        call(sys.executable, "tables.py", [tables, "--only", options.table])
    place = options.output / options.table
    given = ["--seconds", options.seconds]
    theirs, ours = [], []
    for seed in options.seeds:
        for shape in SHAPES if options.hgq_python else ():
            name = "-".join(map(str, shape))
            theirs.append(place / f"hgq2-{name}-seed{seed}")
            if not (theirs[-1] / "front.json").exists():
                arguments = [archive, theirs[-1], *given, "--seed", seed, "--shape", *shape]
                call(options.hgq_python, "hgq_side.py", arguments)
        ours.append(place / f"ours-seed{seed}")
        if not (ours[-1] / "front.json").exists():
            spec = ["--spec", options.spec] if options.spec else []
            call(sys.executable, "our_side.py", [archive, ours[-1], *given, "--seed", seed, *spec])
    call(sys.executable, "measure.py", [*theirs, *ours, "--tables", tables, "--count", options.count])
    stored = ["--theirs", *theirs] if theirs else []
    for by in ("cost", *(["lut"] if options.count != "none" else [])):
        print(f"\nby {by}:")
        call(sys.executable, "table.py", [*stored, "--ours", *ours, "--seconds", options.seconds, "--by", by])


if __name__ == "__main__":
    main()
