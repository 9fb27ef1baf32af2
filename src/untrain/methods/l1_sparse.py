"""L1-sparse: fine-tuning on the retain set with an L1 penalty on the weights.

To the cross-entropy is added `alpha(e) ||theta||_1` over all parameters, with alpha falling on a line from its full
value in the first epoch toward zero after the last. Weights that the retain set does not need fade.

Source: Jia, Liu, Ram, Yao, Liu, Liu, Sharma, Liu (2023), "Model Sparsity Can Simplify Machine Unlearning", with the
constants of their code for CIFAR-10, but for alpha.

Departures: `alpha` is ours, from the range 1e-5 to 1e-3 in which such comparisons usually search; the authors'
example line says 0.2, their default for other methods, which leaves nothing of a network.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found no learning rate better by a point on
validation data.
"""

import torch
from torch import Tensor

from untrain.methods.base import Method, Request
from untrain.population import SGD, Batch, Population, Recipe, cross_entropy
from untrain.population.recipe import NotNegative


class L1Sparse(Method, frozen=True, tag="l1-sparse"):
    """Fine-tune with a penalty on the weights' absolute values that fades."""

    title = "L1-sparse"

    alpha: NotNegative = 5e-4
    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-2, momentum=0.9, weight_decay=5e-4), epochs=10, batch_size=256)

    def forget(self, models: Population, request: Request) -> Population:
        epochs, shape = self.recipe.epochs, (len(models), len(request.retain))
        training = models.training(self.recipe, loss=_penalized, purpose="finetune")
        while training.epoch < epochs:
            left = epochs - training.epoch
            factors = torch.full(shape, self.alpha * left / epochs, dtype=models.dtype, device=models.device)
            training.run(request.retain, epochs=min(1, left), validation=request.validation, targets=factors)
        return models


def _penalized(batch: Batch) -> Tensor:
    """Cross-entropy and the penalty of each model `[K]`, with the present factor of the penalty as targets."""
    return cross_entropy(batch) + batch.targets[:, 0] * _l1(batch)


def _l1(batch: Batch) -> Tensor:
    """Sum of the absolute values of all parameters of each model `[K]`."""
    return torch.stack([tensor.abs().reshape(len(tensor), -1).sum(1) for tensor in batch.parameters.values()]).sum(0)
