"""SalUn: random labels for the forget set, learned by the salient weights alone.

Salient are the half of all parameters whose gradients of the loss on the forget set are largest in absolute value, one
threshold over the whole network; the others stay what they are. In each epoch the network passes over the forget set
with labels drawn at random, the true one among them, and then over the retain set.

Source: Fan, Liu, Zhang, Wong, Wei, Liu (2024), "SalUn: Empowering Machine Unlearning via Gradient-based Weight
Saliency", with the constants of their code for forgetting a tenth of CIFAR-10 and the loop that it has there.

Departures: passes over the forget and the retain set have an optimizer each, with its own momentum, where the authors
have one for both. The gradient is that of the original, as in the paper; their code takes a step after each batch of
it. Labels are drawn for an epoch, not for a batch, which is the same. The running statistics of batch norm are no
parameters and do change.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found no better learning rate on the retain set on
validation data.
"""

from typing import Annotated

import msgspec
import torch

from untrain.methods.base import Method, Request, check_turns
from untrain.methods.targets import drawn_labels, relabeled
from untrain.models.weights import Tensors
from untrain.population import SGD, Population, Recipe, gradients

_PUBLISHED = Recipe(optimizer=SGD(lr=0.013, momentum=0.9, weight_decay=5e-4), epochs=10, batch_size=256)


class SalUn(Method, frozen=True, tag="salun"):
    """Learn random labels and the retain set in turn, by the weights that matter to the forget set."""

    title = "SalUn"
    reads_forget = True
    off_retain = ("relabel",)

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    relabel: Recipe = _PUBLISHED
    repair: Recipe = _PUBLISHED

    def __post_init__(self) -> None:
        check_turns("salun", self.repair, self.relabel)

    def forget(self, models: Population, request: Request) -> Population:
        masks = self.masks(models, request)
        relabel = models.training(self.relabel, loss=relabeled, purpose="relabel", masks=masks)
        repair = models.training(self.repair, purpose="repair", masks=masks)
        for epoch in range(round(self.repair.epochs)):
            if epoch < self.relabel.epochs:
                labels = drawn_labels(models, request.forget, f"labels/{epoch}", wrong=False)
                relabel.run(request.forget, epochs=1, targets=labels)
            repair.run(request.retain, epochs=1, validation=request.validation)
        return models

    def masks(self, models: Population, request: Request) -> Tensors:
        """1 for the salient parameters and 0 for the others, `[N, ...]` by name."""
        everything = torch.arange(len(request.forget), device=models.device).expand(len(models), -1)
        slopes = gradients(models, request.forget, everything, self.relabel.batch_size)
        sizes = torch.cat([gradient.abs().reshape(len(models), -1) for gradient in slopes.values()], dim=1)
        largest = sizes.argsort(dim=1, descending=True, stable=True)[:, : int(self.share * sizes.shape[1])]
        masks = torch.zeros_like(sizes).scatter_(1, largest, 1.0)
        parts = masks.split([gradient[0].numel() for gradient in slopes.values()], dim=1)
        return {name: part.view_as(slopes[name]) for name, part in zip(slopes, parts, strict=True)}
