"""The built-in synthesizers: open tools, the vendor's tools, and reports that are there already.

They use the engine only. Begin with ``open_synthesis``.
"""
