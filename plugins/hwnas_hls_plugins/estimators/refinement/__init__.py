"""Refinement of single weights of trained designs, based on their exact loss and the cost of the circuit."""

from hwnas_hls_plugins.estimators.refinement.refine import PRICES, Refined, ladder, refine
from hwnas_hls_plugins.estimators.refinement.simplify import simplify

__all__ = ["PRICES", "Refined", "ladder", "refine", "simplify"]
