"""Gradient-based re-initialization: rank 2 of the NeurIPS 2023 competition (Kookmin University).

Weights whose gradients on retained and forgotten examples are alike cannot separate the two by further training. So
the gradient of the loss on the forget set is subtracted from that on as many random retained examples. In each
convolution, the 30 % of the weights with the smallest absolute difference are re-initialized. The network is then
fine-tuned on the retain set, with the gradient of the kept convolution weights scaled by 0.1.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in
unlearning?", and Cadet et al. (2024), "Deep Unlearn" (MSG). Shibata et al. leave out the factor, the schedule
and that the selection is made layer by layer.

Departures: gradients are taken in evaluation mode for every model (the entry's loop has training mode for the
first of its 512). The factor acts on the gradient of the loss alone, not on weight decay and momentum, as in
the entry.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data.
"""

import math
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from untrain.methods.base import STUDY, Method, Request, convolutions
from untrain.models.weights import Tensors
from untrain.population import SGD, EpochFactors, Population, Recipe, gradients
from untrain.population.recipe import NotNegative


class GradientReinit(Method, frozen=True, tag="gradient-reinit"):
    """Re-initialize the convolution weights whose gradients differ least, then fine-tune."""

    title = "2nd: gradient re-initialization"
    reads_forget = True
    needs_convolutions = True
    presets = {"kaggle": {}, "study": {"recipe": STUDY}, "small": {"recipe": {"optimizer": {"lr": 1e-2}}}}

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    kept_factor: NotNegative = 0.1
    recipe: Recipe = Recipe(
        optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4),
        schedule=EpochFactors(factors=(1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)),
        epochs=5,
    )

    def forget(self, models: Population, request: Request) -> Population:
        masks = self.reinitialize(models, request)
        models.training(self.recipe, purpose="finetune", masks=masks).run(request.retain, validation=request.validation)
        return models

    def reinitialize(self, models: Population, request: Request) -> Tensors:
        """Re-initialize the selected weights and return the factors on the gradients, by kernel name."""
        difference = self._gradient_difference(models, request)
        masks = {}
        for name, kernel in convolutions(models, "gradient-reinit").items():
            flat = difference[name].abs().flatten(1)
            selected = flat.argsort(dim=1, stable=True)[:, : round(self.share * flat.shape[1])]
            drawn = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, selected, value=True).view_as(kernel)
            fan_out = kernel.shape[1] * math.prod(kernel.shape[3:])
            fresh = models.normal(f"reinitialise/{name}", kernel.shape[1:]) * math.sqrt(2 / fan_out)
            kernel.copy_(torch.where(drawn, fresh, kernel))
            masks[name] = torch.where(drawn, 1.0, self.kept_factor).to(kernel.dtype)
        return masks

    def _gradient_difference(self, models: Population, request: Request) -> Tensors:
        count = min(len(request.forget), len(request.retain))
        retained = [
            models.streams.generator("retained", index).permutation(len(request.retain))[:count]
            for index in models.indices
        ]
        everything = torch.arange(len(request.forget), device=models.device).expand(len(models), -1)
        sampled: Tensor = torch.from_numpy(np.stack(retained)).to(models.device)
        from_retain = gradients(models, request.retain, sampled, self.recipe.batch_size)
        from_forget = gradients(models, request.forget, everything, self.recipe.batch_size)
        return {name: from_retain[name] - from_forget[name] for name in from_retain}
