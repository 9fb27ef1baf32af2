"""Curvature of the loss around a trained model, solves with its inverse, and influence scores."""

from untrain.core.deprecation import renamed_attributes
from untrain.influence.curvature import Curvature as Curvature
from untrain.influence.scores import Influence as Influence
from untrain.influence.scores import SolveQuality as SolveQuality

__getattr__ = renamed_attributes(__name__, Diagnosis="SolveQuality")
