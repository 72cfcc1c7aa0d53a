"""What this package asks of the operating system: files that appear whole, programs with a time limit.

It uses ``errors`` only. Begin with ``programs``; ``files`` is a few lines.
"""
