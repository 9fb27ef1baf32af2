"""Noise on the first convolution: rank 3 of the NeurIPS 2023 competition (Seif Eddine Achour).

Strong normal noise on the first kernel destroys the features of the network. Fine-tuning on the retain set repairs it,
with a little more noise before the last epoch to leave a poor optimum.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in
unlearning?", and Cadet et al. (2024), "Deep Unlearn" (CFW). The entry multiplies the mean loss of a batch by
the mean weight of its classes, which is a factor on the learning rate, not a weighted loss. 0.6 is a standard
deviation, where Shibata et al. write variance.

Departures: the entry picks top-level modules with "conv" in their name, which on ResNet-18 is the first
convolution; here it is the first convolution of any network. The entry gives weight 1 to class 0, the most
frequent of its data; here that is the most frequent class of the retain set.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data,
and no class weight, since its data are balanced.
"""

import torch
from msgspec import UNSET
from msgspec.structs import replace
from torch import Tensor

from untrain.methods.base import STUDY, Method, Request, convolutions
from untrain.population import SGD, Batch, Cosine, Population, Recipe, cross_entropy
from untrain.population.recipe import NotNegative


class ConvNoise(Method, frozen=True, tag="conv-noise"):
    """Add noise to the first convolution, then fine-tune."""

    title = "3rd: noise on the first convolution"
    needs_convolutions = True
    presets = {
        "kaggle": {},
        "study": {"recipe": STUDY},
        "small": {"minority_weight": 1.0, "recipe": {"optimizer": {"lr": 7e-3}}},
    }

    noise: NotNegative = 0.6
    late_noise: NotNegative = 0.005
    minority_weight: NotNegative = 0.05
    recipe: Recipe = Recipe(optimizer=SGD(lr=7e-4, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=4)

    def forget(self, models: Population, request: Request) -> Population:
        labels = torch.from_numpy(request.retain.labels)
        weights = torch.full((len(request.retain.classes),), self.minority_weight, dtype=models.dtype)
        weights[labels.mode().values] = 1.0
        of_examples = weights[labels].to(models.device).expand(len(models), -1)
        training = models.training(self.recipe, loss=_weighted, purpose="finetune")
        self.confuse(models, self.noise, "confuse")
        epochs = max(0, self.recipe.epochs - 1)
        training.run(request.retain, epochs=epochs, validation=request.validation, targets=of_examples)
        self.confuse(models, self.late_noise, "confuse again")
        if self.recipe.until_converged is not UNSET:
            last = replace(self.recipe, epochs=1, until_converged=UNSET)
            training = models.training(last, loss=_weighted, purpose="finetune again")
        epochs = min(1, self.recipe.epochs)
        training.run(request.retain, epochs=epochs, validation=request.validation, targets=of_examples)
        return models

    def confuse(self, models: Population, deviation: float, purpose: str) -> None:
        """Add normal noise of this standard deviation to the first convolution's kernel."""
        kernel = next(iter(convolutions(models, "conv-noise").values()))
        kernel.add_(models.normal(purpose, kernel.shape[1:]) * deviation)


def _weighted(batch: Batch) -> Tensor:
    """Cross-entropy times the mean weight of the examples, `[K]`."""
    return cross_entropy(batch) * batch.targets.mean(1)
