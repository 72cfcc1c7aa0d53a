"""Synthesis with installed Vitis and Vivado: C synthesis, co-simulation, logic synthesis, routing."""

from __future__ import annotations

from hwnas_hls_plugins.synthesizers.vendor_tools.synthesizers import VitisSynthesizer, VivadoSynthesizer

__all__ = ["VitisSynthesizer", "VivadoSynthesizer"]
