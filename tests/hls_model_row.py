"""A row of a CSV file of designs, as ``hwnas-hls predict`` reads it."""

from __future__ import annotations

ROW = {
    "row_id": "R1",
    "tool": "vivado_hls 2019.2",
    "stage": "csynth",
    "part": "xcu250-figd2104-2L-e",
    "clock_ns_target": "5.0",
    "layers": "16-64-32-32-5",
    "activations": "relu-relu-relu-softmax",
    "precision": "ap_fixed<16,6>",
    "reuse_factor": "1",
    "strategy": "Latency",
    "io_type": "io_parallel",
}
