"""A run: from its spec to its folder, through the search loop, the export of the front, and resume.

It uses all packages below it, including ``cluster``; only ``views``, ``api`` and ``cli`` are above it.
Begin with ``lifecycle`` (the steps of a run), then ``search`` (the loop) and ``judging`` (one batch).
``storage`` holds the results, ``known`` the designs that exist before the search.
"""
