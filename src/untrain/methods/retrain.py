"""Retrain: train new models on the retain set alone, by the recipe of the original.

This is the definition of exact unlearning, and the reference for every other method. It costs a full training.
"""

from untrain.methods.base import Method, Request
from untrain.population import Population, Recipe


class Retrain(Method, frozen=True, tag="retrain"):
    """Train from nothing on the retain set."""

    title = "retraining"
    needs_factory = True
    exact = True

    def forget(self, models: Population, request: Request) -> Population:
        return models.fresh().train(request.retain, request.recipe, validation=request.validation, purpose="retrain")

    def passes(self, recipe: Recipe) -> float | None:
        return recipe.epochs
