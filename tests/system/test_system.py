"""Files that appear whole, and programs that end with their process group."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from hwnas_hls.errors import HwnasError
from hwnas_hls.system.files import replacing, write_text
from hwnas_hls.system.programs import run_program


def test_interrupted_write_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "front.json"
    write_text(path, "old\n")
    with pytest.raises(ZeroDivisionError):
        _write_half(path)
    assert path.read_text() == "old\n"
    assert [item.name for item in path.parent.iterdir()] == ["front.json"]


def _write_half(path: Path) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("half")
        _ = 1 / 0


def test_unwritable_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HwnasError) as caught:
        write_text(tmp_path / "file" / "x.json", "{}")
    assert "x.json" in str(caught.value)


def _run(tmp_path: Path, code: str, limit_s: float = 20.0, **more: object) -> object:
    return run_program(
        [sys.executable, "-c", code], folder=tmp_path, log=tmp_path / "log", limit_s=limit_s, **more
    )


def test_status_log_and_environment(tmp_path: Path) -> None:
    ending = _run(tmp_path, "import os; print(os.environ['X']); raise SystemExit(3)", environment={"X": "7"})
    assert (ending.status, ending.timed_out, ending.stopped) == (3, False, False)
    assert (tmp_path / "log").read_text() == "7\n"
    again = _run(tmp_path, "print(8)", append=True)
    assert again.status == 0
    assert again.cpu_s > 0
    assert (tmp_path / "log").read_text() == "7\n8\n"


CHILD = (
    "import subprocess, sys, time\n"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
)


def test_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    began = time.monotonic()
    ending = _run(tmp_path, CHILD + "print(p.pid, flush=True); time.sleep(60)", limit_s=1.5)
    assert ending.timed_out
    assert time.monotonic() - began < 20
    assert _gone(int((tmp_path / "log").read_text()))


def test_children_left_behind_by_a_finished_program_are_ended(tmp_path: Path) -> None:
    assert _run(tmp_path, CHILD + "print(p.pid, flush=True)").status == 0
    assert _gone(int((tmp_path / "log").read_text()))


def test_stop_event_ends_the_program(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    ending = _run(tmp_path, "import time; time.sleep(60)", stop=stop)
    assert (ending.stopped, ending.timed_out) == (True, False)


def test_grace_lets_a_program_clean_up(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('cleaned', flush=True), sys.exit(0)))\n"
        "time.sleep(60)"
    )
    assert _run(tmp_path, code, limit_s=1.0, grace_s=10.0).timed_out
    assert "cleaned" in (tmp_path / "log").read_text()


def _gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
