"""Short retraining: train new models on the retain set in a share of the epochs.

The schedule is compressed, not cut. It forgets by construction, since it never sees the forget set, and loses accuracy
instead. A method that costs as much should do better than this baseline. The share
is rounded to whole epochs, at least one.
"""

from typing import Annotated

import msgspec

from untrain.methods.base import Method, Request
from untrain.population import Population, Recipe


class ShortRetrain(Method, frozen=True, tag="short-retrain"):
    """Train from nothing on the retain set in `share` of the recipe's epochs."""

    title = "short retraining"
    needs_factory = True
    exact = True
    presets = {
        "twentieth": {"share": 0.05},
        "tenth": {"share": 0.1},
        "fifth": {"share": 0.2},
        "third": {"share": 1 / 3},
        "half": {"share": 0.5},
    }

    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5

    def forget(self, models: Population, request: Request) -> Population:
        recipe = request.recipe.compressed(self.share)
        return models.fresh().train(request.retain, recipe, validation=request.validation, purpose="retrain")

    def passes(self, recipe: Recipe) -> float | None:
        return recipe.compressed(self.share).epochs
