"""Ways to look at runs: tables for the terminal, data frames, comparisons of several runs.

It reads what ``run`` stored and changes nothing. Begin with ``front_table`` or ``comparison``.
"""
