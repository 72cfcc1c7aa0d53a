"""Open synthesis: writes a design as RTL, simulates it cycle by cycle, maps and counts it
with Yosys, and routes it on ECP5 parts with nextpnr."""

from hwnas_hls_plugins.synthesizers.open_synthesis.config import Ecp5Config, OpenConfig
from hwnas_hls_plugins.synthesizers.open_synthesis.ecp5 import (
    Ecp5MultiplierSynthesizer,
    Ecp5Synthesizer,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.synthesizer import (
    OpenMultiplierSynthesizer,
    OpenSynthesizer,
)

__all__ = [
    "Ecp5Config",
    "Ecp5MultiplierSynthesizer",
    "Ecp5Synthesizer",
    "OpenConfig",
    "OpenMultiplierSynthesizer",
    "OpenSynthesizer",
]
