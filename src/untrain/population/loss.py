"""What a loss of many models sees, and cross-entropy."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from untrain.errors import InputError
from untrain.models.weights import Tensors


@dataclass(frozen=True)
class Batch:
    """What a loss sees of one step of K models.

    Attributes:
        logits: `[K, B, C]`.
        labels: `[K, B]`.
        positions: `[K, B]`, where the examples stand in the set that is trained on.
        models: which models of the population these are.
        class_weights: `[K, C]` or None, by the recipe's `class_balance`.
        parameters: the trainable tensors of these models `[K, ...]`, by name.
        beside: the batch drawn from a second set, if there is one; its logits have a gradient, too.
        given: `[K, B, ...]`, the targets that the run was given for these examples and models, or None.
    """

    logits: Tensor
    labels: Tensor
    positions: Tensor
    models: slice
    class_weights: Tensor | None
    parameters: Tensors
    beside: "Batch | None" = None
    given: Tensor | None = None

    @property
    def targets(self) -> Tensor:
        """`[K, B, ...]`, what the run was given for each of these examples and models.

        Raises:
            InputError: the run was given none.
        """
        if self.given is None:
            raise InputError("The loss needs targets, and the run has none: pass targets= to Training.run.")
        return self.given


Loss = Callable[[Batch], Tensor]
"""From a batch to one loss for each model, `[K]`.

On a GPU the captured steps of a function without a closure, or of a method of a frozen struct, are kept for later
trainings on the same data as long as there is room; other losses are captured anew in each run."""


def cross_entropy(batch: Batch) -> Tensor:
    """Mean cross-entropy of each model `[K]`; with class weights, the weighted mean."""
    models, count, _ = batch.logits.shape
    losses = F.cross_entropy(batch.logits.flatten(0, 1), batch.labels.flatten(), reduction="none").view(models, count)
    if batch.class_weights is None:
        return losses.mean(1)
    weights = batch.class_weights.gather(1, batch.labels)
    return (losses * weights).sum(1) / weights.sum(1)
