"""Bad teacher: imitate the original on the retain set and an untrained network on the forget set.

The student begins as the original and is trained on the forget set and on 30 % of the retain set, drawn for each model,
toward the predictions of two teachers: of a newly initialized network on the forget set, of the original on the rest.

Source: Chundawat, Tarun, Mandal, Kankanhalli (2023), "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks
Using an Incompetent Teacher", with the constants of their code. The divergence is averaged over the classes, too, as
their call of torch's `kl_div` does, so it is 1/C of the formula in the paper.

Departures: the teachers' predictions are computed once, since they are frozen and see no augmentation; the numbers are
the same and the time is less. It needs memory for the logits of all models on the training set.
"""

from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from untrain.methods.base import Method, Request
from untrain.methods.targets import divergence
from untrain.population import Adam, Batch, Population, Recipe
from untrain.population.recipe import Positive


class BadTeacher(Method, frozen=True, tag="bad-teacher"):
    """Learn from an incompetent teacher what to forget, and from the original what to keep."""

    title = "bad teacher"
    reads_forget = True
    needs_factory = True  # the teacher is a new, untrained model

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    temperature: Positive = 1.0
    recipe: Recipe = Recipe(optimizer=Adam(lr=1e-4), epochs=1, batch_size=256)

    def forget(self, models: Population, request: Request) -> Population:
        forgotten, retained = len(request.forget), len(request.retain)
        teachers = torch.cat([models.fresh().logits(request.forget), models.logits(request.retain)], dim=1)

        def learned(index: int) -> list[int]:
            drawn = models.streams.generator("retained", index).permutation(retained)[: int(self.share * retained)]
            return [*range(forgotten), *(forgotten + drawn)]

        subsets = np.array([learned(index) for index in models.indices])
        training = models.training(self.recipe, loss=self._loss, purpose="imitate")
        training.run(request.training_set, validation=request.validation, subsets=subsets, targets=teachers)
        return models

    def _loss(self, batch: Batch) -> Tensor:
        return divergence(batch.targets, batch.logits, self.temperature).mean(1) / batch.logits.shape[-1]
