"""NegGrad+: descend on the retain set and climb on the forget set in the same step.

Each batch of the retain set meets one of the forget set, whose pass begins again when it ends; the loss is
`alpha CE(retain) - (1 - alpha) CE(forget)`.

Source: Kurmanji, Triantafillou, Hayes, Triantafillou (2023), "Towards Unbounded Machine Unlearning", with the constants
of their code; the batch sizes are those that Cadet et al. (2024), "Deep Unlearn", give it.

Departures: networks are in training mode, as in the authors' general loop; for their smallest data they keep evaluation
mode and add a penalty on the distance from the original. The two batches go through the network one after the other, so
that batch norm normalizes each by itself.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found no learning rate better by a point on
validation data.
"""

from typing import Annotated

import msgspec
from torch import Tensor

from untrain.methods.base import Method, Request
from untrain.population import SGD, Batch, Population, Recipe, cross_entropy
from untrain.population.recipe import Count


class NegGradPlus(Method, frozen=True, tag="neggrad-plus"):
    """Fine-tune on the retain set against the forget set."""

    title = "NegGrad+"
    reads_forget = True

    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.95
    forget_batch_size: Count = 256
    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-2), epochs=10, batch_size=256)

    def forget(self, models: Population, request: Request) -> Population:
        training = models.training(self.recipe, loss=self._difference, purpose="finetune")
        beside = (request.forget, self.forget_batch_size)
        training.run(request.retain, validation=request.validation, beside=beside)
        return models

    def _difference(self, batch: Batch) -> Tensor:
        assert batch.beside is not None  # noqa: S101 (the run above always draws a batch beside)
        return self.alpha * cross_entropy(batch) - (1 - self.alpha) * cross_entropy(batch.beside)
