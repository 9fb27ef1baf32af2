"""Fisher forgetting: noise on every parameter, more on those that the retain set needs less.

Each parameter gets normal noise of variance `alpha / F`, where F is the diagonal of the Fisher information on the
retain set: the expected square of an example's gradient, over labels drawn from the network's own prediction.
There is no training.

Source: Golatkar, Achille, Soatto (2020), "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
with what their code adds: 1 / (F + 1e-8) is at most 1000, in the last layer at most 100; it is averaged over the inputs
of a unit or channel; the variance is ten times as large for the last layer and for vectors such as biases and batch
norm. As there, a tensor with as many rows as classes counts as part of the last layer. Alpha is the authors'
value for forgetting some examples of a class.

Departures: F is not summed label by label. The expected square of J^T (p - e_y) is the diagonal of
J^T (diag(p) - p p^T) J, and so the sum of C - 1 squares for any square root of the middle: the same numbers, in double
precision.

Cost: C - 1 backward passes for each example of the retain set and each model, one model after another. This can cost
as much as retraining, or more.
"""

import torch
from torch import Tensor

from untrain.data import Examples
from untrain.influence.derivatives import AllParameters
from untrain.influence.loss import cross_entropy
from untrain.methods.base import Method, Request
from untrain.models.weights import Tensors
from untrain.population import Population
from untrain.population.recipe import NotNegative

_LARGEST, _LARGEST_LAST, _MORE = 1e3, 1e2, 10


class Fisher(Method, frozen=True, tag="fisher"):
    """Add noise in inverse proportion to the Fisher information of the retain set."""

    title = "Fisher forgetting"

    alpha: NotNegative = 1e-6

    def forget(self, models: Population, request: Request) -> Population:
        of_models = [information(models.select([row]), request.retain) for row in range(len(models))]
        for name in of_models[0]:
            variance = self._variance(torch.stack([each[name] for each in of_models]), len(request.retain.classes))
            noise = models.normal(f"noise/{name}", models.tensors[name].shape[1:])
            models.tensors[name].add_(noise * variance.sqrt().to(models.dtype))
        return models

    def _variance(self, fisher: Tensor, classes: int) -> Tensor:
        """Of the noise on one tensor `[N, ...]`, or what broadcasts to it."""
        last, vector = fisher.shape[1:2] == (classes,), fisher.ndim < 3
        variance = self.alpha * (1 / (fisher + 1e-8)).clamp(max=_LARGEST_LAST if last else _LARGEST)
        if not vector:
            variance = variance.mean(2, keepdim=True)
        return variance * (_MORE if last or vector else 1)


def information(model: Population, examples: Examples) -> Tensors:
    """Diagonal of the Fisher information of one model, the mean over the examples, by name."""
    derivatives = AllParameters(model, examples)
    roots = cross_entropy(derivatives.logits, derivatives.labels).roots
    total = torch.zeros(derivatives.size).to(roots)
    for rows in derivatives.rows(roots):
        total += rows.square().sum((0, 1))
    return derivatives.named(total / len(examples))
