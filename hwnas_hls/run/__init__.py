"""A run: from its spec to its folder, through the search loop, the export of the front, and resume.

It uses everything below it, ``cluster`` included; only ``views``, ``api`` and ``cli`` are above. Begin with
``lifecycle`` (the order of things), then ``search`` (the loop) and ``judge`` (one batch).
"""
