"""Renewal (our own method): short retraining in one cycle of the learning rate.

New models learn the retain set by the recipe of the original in a third of its epochs. The learning rate goes up and
down in one cycle. Neither the forget set nor the original is read, so it forgets by construction.

It is short retraining with another schedule and nothing else. An earlier form started from shrunk weights of the
original and matched its confidence; what it kept was what it remembered.

The schedule was chosen by `benchmarks/renew.py`, by validation accuracy at equal cost on data that no table uses.
docs/methods.md has all that was tried.

Sources: ours; the schedule is that of Smith, Topin (2018), "Super-Convergence".
"""

from typing import Annotated

import msgspec

from untrain.methods.base import Method, Request
from untrain.population import OneCycle, Population, Recipe


class Renew(Method, frozen=True, tag="renew"):
    """Train from nothing on the retain set in `share` of the recipe's epochs, in one cycle of the learning rate."""

    title = "ours: renewal"
    needs_factory = True
    exact = True

    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1 / 3

    def forget(self, models: Population, request: Request) -> Population:
        return models.fresh().train(request.retain, self.shortened(request.recipe), purpose="renew")

    def shortened(self, recipe: Recipe) -> Recipe:
        """The recipe in `share` of its epochs and one cycle; the last state is kept."""
        return msgspec.structs.replace(recipe.compressed(self.share).for_all_epochs(), schedule=OneCycle())

    def passes(self, recipe: Recipe) -> float:
        return self.shortened(recipe).epochs
