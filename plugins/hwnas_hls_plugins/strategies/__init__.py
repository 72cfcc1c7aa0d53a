"""The built-in search strategies: random, grid, evolutionary, Bayesian, reinforcement, differentiable.

They use the engine, and the hardware model's differentiable form. Begin with ``random_search``; the
Optuna samplers share ``optuna_study``.
"""
