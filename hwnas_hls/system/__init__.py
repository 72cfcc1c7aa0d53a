"""Services of the operating system: atomic file writes, and external programs with a time limit.

It uses ``errors`` only. Begin with ``programs``; ``files`` is short.
"""
