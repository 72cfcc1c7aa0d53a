"""The exporter ``html-report``: one HTML file that explains a run, offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.protocols.exporter import Exporter

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front


class HtmlReportExporter(Exporter):
    """Writes ``report.html``: readable in any browser, without network, on phone and paper."""

    name = "html-report"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write ``folder/report.html``, whole or not at all.

        Files and commands of each design are taken from ``folder/designs/KEY`` where it exists.
        """
        from hwnas_hls.system.files import write_text
        from hwnas_hls_plugins.exporters.html_report.page import page

        return [write_text(folder / "report.html", page(front, folder))]
