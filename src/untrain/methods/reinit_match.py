"""Re-initialization and matching: rank 8 of the NeurIPS 2023 competition (Forget).

In each of a few cycles some random convolutions are re-initialized, and the network learns to reproduce the original's
outputs on noisy retained examples. The defaults are the team's first algorithm; the preset `second` is its second.

Source: the team's own page (JunhyunB.github.io, projects/neurips2023-unlearning), and Triantafillou et al. (2024), "Are
we making progress in unlearning?". The latter write that the outputs are matched on the forget set; their formula, and
the team, have the retain set.

What is not published is ours: SGD with the constants of the competition's starter method; one optimizer throughout; a
schedule that begins anew in each cycle of the first algorithm, since a half cosine over two epochs would else bring the
third to a stop; logits as the outputs; noise in units of the inputs as they come; and fresh weights as torch's
`reset_parameters` draws them, which suits any network.

Departures: the noise of an epoch is the same for all models, so that it is drawn once. Convolutions of 1x1 are not
drawn anew, which on ResNet-18 are the shortcuts that the team leaves out.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data.
"""

import dataclasses
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.methods.base import Method, Request, convolutions, reset
from untrain.population import SGD, Batch, EpochFactors, Population, Recipe
from untrain.population.recipe import Count, NotNegative


class ReinitMatch(Method, frozen=True, tag="reinit-match"):
    """Draw random convolutions anew, then match the original's outputs, in cycles."""

    title = "8th: re-initialization and matching"
    needs_convolutions = True
    presets = {
        "kaggle": {},
        "small": {"recipe": {"optimizer": {"lr": 1e-2}}},
        "second": {"cycles": [2, 1, 1, 1], "recipe": {"schedule": {"factors": [0.5, 1, 1, 1, 1]}}},
    }

    layers: Count = 6
    noise: NotNegative = 0.01
    cycles: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (1, 2, 2)
    recipe: Recipe = Recipe(
        optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4),
        schedule=EpochFactors(factors=(1, 1, 0.5, 1, 0.5)),
        epochs=5,
    )

    def __post_init__(self) -> None:
        if sum(self.cycles) != self.recipe.epochs:
            raise InputError(
                f"The cycles of reinit-match must add up to the {self.recipe.epochs:g} epochs of its recipe, and "
                f"{list(self.cycles)} are {sum(self.cycles)}: change either."
            )

    def forget(self, models: Population, request: Request) -> Population:
        original = models.clone()
        training = models.training(self.recipe, loss=_distance, purpose="match")
        for cycle, epochs in enumerate(self.cycles):
            self.reinitialize(models, cycle)
            for _ in range(epochs):
                seen = self.noisy(request.retain, models.streams, training.epoch)
                training.run(seen, epochs=1, validation=request.validation, targets=original.logits(seen))
        return models

    def reinitialize(self, models: Population, cycle: int) -> None:
        """Draw `layers` convolutions of each model, with replacement, and re-initialize them.

        Raises:
            NotSupportedError: the network has no convolution larger than 1x1.
        """
        kernels = convolutions(models, "reinit-match")
        pool = [name for name, kernel in kernels.items() if kernel.shape[-2:] != (1, 1)]
        if not pool:
            raise NotSupportedError(
                f"reinit-match needs a convolution larger than 1x1, and {type(models.skeleton).__name__} has none: "
                "choose another method."
            )
        drawn = [
            models.streams.generator("layers", index, cycle).integers(len(pool), size=self.layers)
            for index in models.indices
        ]
        for position, name in enumerate(pool):
            rows = torch.from_numpy((np.stack(drawn) == position).any(1)).to(models.device)
            reset(models, name, f"reinitialise {cycle}", rows)

    def noisy(self, examples: Examples, streams: Streams, epoch: int) -> Examples:
        """The examples with an epoch's normal noise on their inputs."""
        inputs = examples.array
        noise = streams.generator("noise", epoch).standard_normal(inputs.shape, dtype=np.float32)
        return dataclasses.replace(examples, inputs=inputs + np.float32(self.noise) * noise)


def _distance(batch: Batch) -> Tensor:
    """Mean squared distance of the logits from the original's, of each model `[K]`."""
    return (batch.logits - batch.targets).square().mean((1, 2))
