"""The command line: one module for each group of commands, and what they print.

It is the top of the package and holds no logic of its own. Begin with ``main``; ``options`` and ``flags``
hold what commands share, ``terminal`` what a run shows while it works.
"""
