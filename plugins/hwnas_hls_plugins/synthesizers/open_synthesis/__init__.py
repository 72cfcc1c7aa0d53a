"""Open synthesis: a trained design as RTL, simulated clock by clock, mapped and counted by Yosys."""

from hwnas_hls_plugins.synthesizers.open_synthesis.config import OpenConfig
from hwnas_hls_plugins.synthesizers.open_synthesis.synthesizer import (
    OpenMultiplierSynthesizer,
    OpenSynthesizer,
)

__all__ = ["OpenConfig", "OpenMultiplierSynthesizer", "OpenSynthesizer"]
