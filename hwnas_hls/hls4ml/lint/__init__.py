"""The linter: finds known pitfalls of hls4ml in designs, configurations and projects before any tool runs.

``design`` and ``graphs`` check a design, ``project`` a configuration or a written project, and ``layers``
contains the rules of single dense layers. :data:`RULES` gives the severity of each rule and the releases of
hls4ml that it applies to. Begin with :func:`lint_design` and :func:`lint_folder`.
"""

from __future__ import annotations

from hwnas_hls.hls4ml.lint.design import lint_design
from hwnas_hls.hls4ml.lint.finding import RULES, SEVERITIES, Finding, Rule
from hwnas_hls.hls4ml.lint.project import lint_config, lint_folder

__all__ = ["RULES", "SEVERITIES", "Finding", "Rule", "lint_config", "lint_design", "lint_folder"]
