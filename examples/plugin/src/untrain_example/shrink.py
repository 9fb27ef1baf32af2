"""Shrink: multiply the weights of all layers by a factor, then train on the retain set.

Source: shrinking before further training, after Ash and Adams (2020), "On Warm-Starting Neural Network Training".
"""

from typing import Annotated

import msgspec
from torch import nn

from untrain import SGD, Cosine, Method, Population, Recipe, Request
from untrain.methods import trainable_weights


class Shrink(Method, frozen=True, tag="shrink"):
    """Shrink the weights, then fine-tune.

    Attributes:
        factor: by which the weights of linear and convolutional layers are multiplied.
        recipe: of the training on the retain set.
    """

    title = "example: shrunk weights"
    presets = {"strong": {"factor": 0.1}}

    factor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    recipe: Recipe = Recipe(optimizer=SGD(lr=0.02, momentum=0.9), schedule=Cosine(), epochs=4)

    def forget(self, models: Population, request: Request) -> Population:
        """Work on all models at once; each of their tensors is `[N, ...]`."""
        for weight in trainable_weights(models, nn.Linear, nn.Conv2d).values():
            weight *= self.factor
        return models.train(request.retain, self.recipe, validation=request.validation, purpose="finetune")
