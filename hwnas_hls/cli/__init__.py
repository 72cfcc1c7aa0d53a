"""The command line: one module per group of commands, and their output.

It is the top package and contains no logic of its own. Begin with ``main``; ``options`` and ``flags``
are shared by commands, and ``terminal`` displays the progress of a run.
"""
