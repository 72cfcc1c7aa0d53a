"""A report opened in headless Chromium without a driver: the page tells what came of it."""

# ruff: noqa: E501 (lines of JavaScript)
from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in _NAMES if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

#: Appended to a copy of the report: works the controls and notes what came of it.
PROBE = """
<script>
const note = {};
const byId = (id) => document.getElementById(id);
const count = (id) => (byId(id).data || []).reduce((sum, trace) => sum + trace.x.length, 0);
const names = (id) => (byId(id).data || []).map((trace) => trace.name);
function pick(id, text) {
  const select = byId(id), option = [...select.options].find((item) => item.text === text);
  if (!option) throw new Error("no option " + text + " in " + id);
  select.value = option.value;
  select.dispatchEvent(new Event("change"));
}
function click(element) { element.click(); }
window.addEventListener("load", async function () {
  const root = document.documentElement;
  note.loaded_ms = Math.round(performance.now());
  // What stands further down a page is drawn after it was loaded.
  for (let waits = 0; byId("payload") && !root.dataset.drawn && !root.dataset.errors && waits < 1000; waits++) await new Promise((done) => setTimeout(done, 10));
  note.drawn = Number(root.dataset.drawn || 0);
  note.drawn_ms = Math.round(performance.now());
  note.overflow_px = root.scrollWidth - root.clientWidth;
  note.width_px = root.clientWidth;
  note.svgs = document.querySelectorAll(".plot svg.main-svg").length;
  note.buttons = [...document.querySelectorAll("[data-title]")].map((button) => button.dataset.title);
  try { await (async function () { %s })(); } catch (error) { note.probe_error = String(error); }
  note.fetched = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
  note.errors = root.dataset.errors || "";
  parent.postMessage(note, "*");
});
</script>
"""
#: A browser window cannot be as narrow as a phone, a frame can.
FRAME = """<!DOCTYPE html><html><body><script>
window.addEventListener("message", (event) => { document.documentElement.dataset.note = JSON.stringify(event.data); });
</script><iframe src="page.html" style="border:0;width:%dpx;height:%dpx"></iframe></body></html>
"""


@dataclass(frozen=True)
class Visit:
    """What a visit found.

    Args:
        note: what the probe noted.
        requests: addresses beyond the report itself that its pages asked the network for,
            from the browser's own log.
    """

    note: dict[str, Any]
    requests: list[str]


def visit(report: Path, folder: Path, probe: str = "", width: int = 1280, height: int = 900) -> Visit:
    """Open ``report`` so many CSS pixels wide; run ``probe`` (JavaScript) once it is drawn."""
    assert CHROMIUM is not None
    folder.mkdir(parents=True, exist_ok=True)
    page, frame, network = folder / "page.html", folder / "frame.html", folder / "network.json"
    text = report.read_text(encoding="utf-8")
    assert text.count("</body>") == 1
    page.write_text(text.replace("</body>", PROBE % probe + "</body>"), encoding="utf-8")
    frame.write_text(FRAME % (width, height), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--log-net-log={network}",
            "--virtual-time-budget=30000",
            f"--window-size={max(width, 600)},{height}",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r'<html data-note="([^"]*)"', done.stdout)
    assert found, f"the page did not finish: {done.stdout[:300]} {done.stderr[-500:]}"
    return Visit(json.loads(html.unescape(found[1])), _requests(network))


def _requests(network: Path) -> list[str]:
    """Addresses that a document asked for; what the browser does of its own accord has no initiator."""
    text = network.read_text(encoding="utf-8", errors="replace").rstrip()
    # The log of a browser that ended in haste lacks its end.
    log = json.loads(text if text.endswith("}") and not text.endswith("},") else text.rstrip(",") + "]}")
    kinds = log["constants"]["logEventTypes"]
    begun = [
        event["params"]
        for event in log["events"]
        if event["type"] == kinds["URL_REQUEST_START_JOB"] and "url" in event.get("params", {})
    ]
    return [params["url"] for params in begun if params.get("initiator", "not an origin") != "not an origin"]
