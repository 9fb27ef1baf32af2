"""Gradient ascent: train on the forget set alone, uphill.

A few passes over the forget set with the sign of the cross-entropy reversed. The retain set is not used, so only a
small learning rate preserves the rest of what was learned.

Source: Thudi, Deza, Chandrasekaran, Papernot (2022), "Unrolling SGD: Understanding Factors Influencing Machine
Unlearning", who take a single step; Golatkar, Achille, Soatto (2020), "Eternal Sunshine of the Spotless Net", who call
it the negative gradient; passes and constants are those of the code of Jia et al. (2023), "Model Sparsity Can Simplify
Machine Unlearning", for CIFAR-10.

Departures: none known. Weight decay and the running statistics of batch norm follow the forget set alone, as there.

The preset `small`, for small data, has a learning rate that we chose on the toy problem of `untrain.testing`: the
published one moves so little in so few steps that with batch norm the running statistics decide.
"""

from torch import Tensor

from untrain.methods.base import Method, Request
from untrain.population import SGD, Batch, Population, Recipe, cross_entropy


class GradientAscent(Method, frozen=True, tag="gradient-ascent"):
    """Climb the loss of the forget set."""

    title = "gradient ascent"
    reads_forget = True
    off_retain = ("recipe",)
    presets = {"published": {}, "small": {"recipe": {"optimizer": {"lr": 1e-2}}}}

    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-4, momentum=0.9, weight_decay=5e-4), epochs=5, batch_size=256)

    def forget(self, models: Population, request: Request) -> Population:
        models.training(self.recipe, loss=_uphill, purpose="ascend").run(request.forget)
        return models


def _uphill(batch: Batch) -> Tensor:
    return -cross_entropy(batch)
