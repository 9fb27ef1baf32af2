"""Pruning and entropy: rank 4 of the NeurIPS 2023 competition (Sebastian Oleszko).

The 99 % of all convolution and linear weights that are smallest in absolute value, with one threshold over all
layers, are re-initialized. The network is then trained on the retain set, with a penalty that keeps the entropy of its
predictions at that of the original.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in
unlearning?", and Cadet et al. (2024), "Deep Unlearn" (PRMQ). Shibata et al. leave out the class weights, the
3.2 epochs, the rounding to float16 and the range of the new weights.

Departures: the original's entropies are computed once, since it is frozen and sees no augmentation; the
numbers are the same and the time is less. Of the pruned weights, those of zero size before count as pruned,
too. What training does not change is not rounded: a network that standardizes its inputs holds their means, which
float16 may not hold.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data.
"""

import math
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from untrain.errors import NotSupportedError
from untrain.methods.base import STUDY, Method, Request, frozen, trainable_weights
from untrain.population import SGD, Batch, Population, Recipe, cross_entropy
from untrain.population.recipe import NotNegative


class PruneEntropy(Method, frozen=True, tag="prune-entropy"):
    """Re-initialize the smallest weights, then fine-tune toward the original's entropy."""

    title = "4th: pruning and entropy"
    presets = {"kaggle": {}, "study": {"recipe": STUDY}, "small": {"recipe": {"optimizer": {"lr": 1.5e-2}}}}

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.99
    entropy_weight: NotNegative = 1.0
    recipe: Recipe = Recipe(optimizer=SGD(lr=5e-4, momentum=0.9, weight_decay=5e-4), epochs=3.2, class_balance=0.1)

    def forget(self, models: Population, request: Request) -> Population:
        original, wanted = models.clone(), entropy(models.logits(request.retain))  # [N, n]
        self.prune(models)
        training = models.training(self.recipe, loss=self._loss, purpose="finetune")
        training.run(request.retain, validation=request.validation, targets=wanted)
        for name, tensor in models.tensors.items():
            if tensor.is_floating_point() and not torch.equal(tensor, original.tensors[name]):
                tensor.copy_(tensor.half())
        return models

    def _loss(self, batch: Batch) -> Tensor:
        apart = entropy(batch.logits) - batch.targets
        return cross_entropy(batch) + self.entropy_weight * apart.square().mean(1)

    def prune(self, models: Population) -> None:
        """Re-initialize each model's smallest weights, uniform within `1 / sqrt(fan_in)`; biases become 0.

        Raises:
            NotSupportedError: no convolution or linear layer trains.
        """
        weights, fixed = trainable_weights(models, nn.Conv2d, nn.Linear), frozen(models)
        if not weights:
            raise NotSupportedError(
                f"prune-entropy changes convolutions and linear layers, and {type(models.skeleton).__name__} has none "
                "that train: choose another method."
            )
        biases = {
            bias: models.tensors[bias]
            for name in weights
            if (bias := name.removesuffix("weight") + "bias") in models.tensors and bias not in fixed
        }
        sizes = torch.cat([tensor.abs().flatten(1) for tensor in (*weights.values(), *biases.values())], dim=1)
        smallest = sizes.argsort(dim=1, stable=True)[:, : round(self.share * sizes.shape[1])]
        pruned = torch.zeros_like(sizes, dtype=torch.bool).scatter_(1, smallest, value=True)
        parts = pruned.split([tensor[0].numel() for tensor in (*weights.values(), *biases.values())], dim=1)
        for (name, tensor), part in zip((*weights.items(), *biases.items()), parts, strict=True):
            fresh = torch.zeros_like(tensor)
            if name in weights:
                bound = 1 / math.sqrt(math.prod(tensor.shape[2:]))
                fresh = (2 * models.uniform(f"prune/{name}", tensor.shape[1:]) - 1) * bound
            tensor.copy_(torch.where(part.view_as(tensor), fresh, tensor))


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predicted distribution in nats, `[..., C]` to `[...]`."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)
