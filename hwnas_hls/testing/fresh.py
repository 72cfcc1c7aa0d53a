"""``python -m hwnas_hls.testing.fresh FILE``: print the transcripts of a file's contracts as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hwnas_hls.testing.contract import contracts_in


def main(file: str) -> None:
    """Print the transcripts of the contracts in ``file`` as one line of JSON."""
    transcripts = {}
    for name, contract in contracts_in(Path(file)).items():
        try:
            transcripts[name] = contract().transcript()
        except NotImplementedError:
            # An intermediate class that provides no plugin.
            continue
    sys.stdout.write(json.dumps(transcripts) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
