#!/usr/bin/env python3
"""Stands in for sbatch, scancel, condor_submit and condor_rm: jobs are processes of this machine.

It is copied under the name of the tool it plays. ``FAKE_BATCH`` is a folder: submitted scripts are
kept there as ``job-N.txt``, the process group of a running job in ``job-N.pid``.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

NAME = Path(sys.argv[0]).name
FOLDER = Path(os.environ["FAKE_BATCH"])


def submit(script, command):
    """Start a job as a process group of its own; returns its number."""
    number = 1
    while True:
        try:
            descriptor = os.open(FOLDER / f"job-{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            break
        except FileExistsError:
            number += 1
    os.write(descriptor, script.encode())
    os.close(descriptor)
    with (FOLDER / f"job-{number}.log").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    (FOLDER / f"job-{number}.pid").write_text(str(process.pid))
    return number


def cancel(number):
    path = FOLDER / f"job-{number}.pid"
    try:
        os.killpg(int(path.read_text()), signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        sys.exit(f"{NAME}: no job {number}")


if NAME == "sbatch":
    path = Path(sys.argv[-1])
    text = path.read_text()
    if not text.startswith("#!") or "#SBATCH" not in text:
        sys.exit("sbatch: error: this is no batch script")
    copy = FOLDER / f"script-{os.getpid()}.sh"
    copy.write_text(text)
    sys.stdout.write(f"Submitted batch job {submit(text, ['bash', str(copy)])}\n")
elif NAME == "condor_submit":
    text = Path(sys.argv[-1]).read_text()
    keys = dict(re.findall(r"^(\w+)\s*=\s*(.*)$", text, re.MULTILINE))
    quoted = keys["Arguments"]
    if not (quoted.startswith('"') and quoted.endswith('"')):
        sys.exit("condor_submit: arguments are not quoted")
    # HTCondor's new syntax: doubled double quotes, words in single quotes that double inside.
    arguments = quoted[1:-1].replace('""', '"').replace("''", "'\\''")
    number = submit(text, [keys["Executable"], *shlex.split(arguments)])
    sys.stdout.write(f"Submitting job(s).\n1 job(s) submitted to cluster {number}.\n")
elif NAME in ("scancel", "condor_rm"):
    for argument in sys.argv[1:]:
        if argument[:1].isdigit():
            cancel(argument.partition(".")[0])
else:
    sys.exit(f"the fake batch system is no {NAME}")
