"""Evidence for the numbers of one design, and the verdict that rests on it.

It uses ``hls4ml`` for reading projects and reports. Begin with ``files`` (what lies beside a design) and
``verdict``; ``belonging`` and ``matching`` decide whether a report is of this very design.
"""
