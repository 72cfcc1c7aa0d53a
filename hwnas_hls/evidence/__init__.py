"""Evidence for the numbers of a design, and the verdict on its requirements.

It uses ``hls4ml`` to read projects and reports. Begin with ``files`` (the evidence files of a design)
and ``verdict``; ``matching`` and ``hls4ml.belonging`` decide whether a report belongs to the design.
"""
