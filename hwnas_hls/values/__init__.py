"""Frozen values that the parts of a search exchange: candidates, estimates, records, objectives.

It uses ``network`` and ``errors``. Begin with ``record``: a candidate, its estimates, and how its
evaluation ended. ``front`` and ``attainment`` compute Pareto fronts, hypervolumes and attainment.
"""
