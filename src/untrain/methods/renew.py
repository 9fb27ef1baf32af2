"""Renewal (our own method): short retraining with a schedule and a batch size that suit a short training.

New models learn the retain set by the recipe of the original, with three changes: a third of its epochs, the learning
rate up and down in one cycle, and batches of half the size. Neither the forget set nor the original is read, so it
forgets by construction.

It is short retraining with a better schedule and nothing else. An earlier form started from shrunk weights of the
original and matched its confidence; what it kept was what it remembered.

The changes were chosen by `benchmarks/renew.py`, by validation accuracy on data that no table uses; docs/methods.md has
all that was tried. The half batches take twice as many steps: where a step costs the same whatever its size, as for
small networks on a GPU, this takes two thirds of the time of retraining, not one third.

Sources: ours; the schedule is that of Smith, Topin (2018), "Super-Convergence".
"""

from typing import Annotated

import msgspec

from untrain.methods.base import Method, Request
from untrain.population import OneCycle, Population, Recipe


class Renew(Method, frozen=True, tag="renew"):
    """Train from nothing on the retain set in `share` of the recipe's epochs, in one cycle of smaller batches."""

    title = "ours: renewal"
    needs_factory = True
    exact = True

    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1 / 3

    def forget(self, models: Population, request: Request) -> Population:
        return models.fresh().train(request.retain, self.shortened(request.recipe), purpose="renew")

    def shortened(self, recipe: Recipe) -> Recipe:
        """The recipe with the three changes; the last state is kept."""
        return msgspec.structs.replace(
            recipe.compressed(self.share),
            schedule=OneCycle(),
            batch_size=max(2, recipe.batch_size // 2),
            keep_best_from_epoch=None,
        )

    def passes(self, recipe: Recipe) -> float:
        return self.shortened(recipe).epochs
