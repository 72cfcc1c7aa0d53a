"""The built-in synthesizers: open tools, the vendor's tools, and existing reports.

They use the engine only. Begin with ``open_synthesis``.
"""
