"""Random layers: rank 7 of the NeurIPS 2023 competition (Jiaxi Sun).

The last layer is re-initialized. In each of five epochs on the retain set only nine randomly chosen tensors and the
normalization layers learn, and from the second epoch on most of those chosen for the first time get a little noise; in
four more epochs everything learns.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in unlearning?", and
Cadet et al. (2024), "Deep Unlearn" (RNI). Of six learning rates for the last epochs the entry uses the first four, as
here. It makes a new optimizer for every epoch.

Departures: the entry knows a normalization layer by "bn" in its name, so that those of ResNet-18's shortcuts are among
the tensors to choose from; here every normalization layer learns in every epoch. Where a network has fewer than nine
tensors, all of them are chosen.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data, and
chooses two tensors an epoch: where every tensor is chosen in the first epoch, which has no noise, none ever gets any.
"""

from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from untrain.errors import InputError
from untrain.methods.base import Method, Request, check_whole, learned, output_layer, reset
from untrain.models.weights import Tensors
from untrain.population import SGD, EpochFactors, Population, Recipe
from untrain.population.recipe import Count, NotNegative


class RandomLayers(Method, frozen=True, tag="random-layers"):
    """Reset the last layer, then train random tensors at a time, with noise, before all learn."""

    title = "7th: random layers"
    presets = {"kaggle": {}, "small": {"chosen": 2, "recipe": {"optimizer": {"lr": 2e-3}}}}

    chosen: Count = 9
    noise: NotNegative = 0.04
    noise_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7
    quiet_epochs: Annotated[int, msgspec.Meta(ge=0)] = 1
    partial_epochs: Annotated[int, msgspec.Meta(ge=0)] = 5
    recipe: Recipe = Recipe(
        optimizer=SGD(lr=2e-4, momentum=0.9, weight_decay=5e-4),
        schedule=EpochFactors(factors=(1, 1, 1, 1, 1, 1, 1, 1, 5)),
        epochs=9,
    )

    def __post_init__(self) -> None:
        check_whole("random-layers", self.recipe)
        if self.recipe != self.recipe.for_all_epochs():
            raise InputError(
                "random-layers trains each epoch by itself and cannot judge its models in between: leave out "
                "keep_best_from_epoch and until_converged."
            )

    def forget(self, models: Population, request: Request) -> Population:
        reset(models, output_layer(models, request.retain), "reset")
        names = learned(models)
        chosen_before = torch.zeros(len(models), len(names), dtype=torch.bool)
        for epoch in range(round(self.recipe.epochs)):
            masks: Tensors = {}
            if epoch < self.partial_epochs:
                chosen, noisy = self.choose(models, len(names), epoch)
                if epoch >= self.quiet_epochs:
                    self.disturb(models, names, noisy & ~chosen_before, epoch)
                chosen_before |= chosen
                for name, learns in zip(names, chosen.T.to(models.device, models.dtype), strict=True):
                    masks[name] = learns.view(-1, *[1] * (models.tensors[name].ndim - 1))
            training = models.training(self.recipe, purpose=f"epoch {epoch}", masks=masks)
            training.epoch = epoch  # the optimizer begins anew, the schedule does not
            training.run(request.retain, epochs=1)
        return models

    def choose(self, models: Population, count: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Which of `count` tensors learn in an epoch, and which of these are marked for noise, each `[N, count]`."""
        drawn = [models.streams.generator("choose", index, epoch).permutation(count) for index in models.indices]
        ranks = torch.from_numpy(np.argsort(drawn, axis=1))
        chosen = min(self.chosen, count)
        return ranks < chosen, ranks < int(self.noise_share * chosen)

    def disturb(self, models: Population, names: list[str], noisy: Tensor, epoch: int) -> None:
        """Add normal noise to those tensors of those models that are true in `noisy` `[N, tensors]`."""
        for name, rows in zip(names, noisy.T.to(models.device), strict=True):
            tensor = models.tensors[name]
            tensor[rows] += self.noise * models.normal(f"noise {epoch}/{name}", tensor.shape[1:])[rows]
