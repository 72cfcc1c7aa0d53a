"""Frozen values that the parts of a search hand to each other: candidates, estimates, records, fronts.

It uses ``network`` and ``errors``. Begin with ``record``: a candidate, the estimates found for it, and
how its evaluation ended. ``front`` and ``attainment`` hold the arithmetic of Pareto fronts.
"""
