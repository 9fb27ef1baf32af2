"""Curvature of the loss around a trained model, solves with its inverse, and influence scores."""

from untrain.influence.curvature import Curvature as Curvature
from untrain.influence.scores import Diagnosis as Diagnosis
from untrain.influence.scores import Influence as Influence
