"""Open synthesis: writes a design as RTL, simulates it cycle by cycle, and maps and counts it with Yosys."""

from hwnas_hls_plugins.synthesizers.open_synthesis.config import OpenConfig
from hwnas_hls_plugins.synthesizers.open_synthesis.synthesizer import (
    OpenMultiplierSynthesizer,
    OpenSynthesizer,
)

__all__ = ["OpenConfig", "OpenMultiplierSynthesizer", "OpenSynthesizer"]
