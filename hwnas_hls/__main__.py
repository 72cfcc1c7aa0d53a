"""``python -m hwnas_hls`` is ``hwnas-hls``."""

from hwnas_hls.cli.main import main

main()
