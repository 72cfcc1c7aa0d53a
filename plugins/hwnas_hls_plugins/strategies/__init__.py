"""The built-in search strategies: random, grid, evolutionary, Bayesian, reinforcement, differentiable.

They use the engine and the differentiable form of the hardware model. Begin with ``random_search``; the
Optuna samplers share ``optuna_study``.
"""
