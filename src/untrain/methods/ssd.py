"""Selective synaptic dampening: shrink weights that matter more to the forget set than to the whole training set.

A parameter's importance for a set is the mean over batches of the squared gradient of a batch's mean loss, I_f on the
forget set and I_D on the whole training set. Where `I_f > alpha I_D`, the parameter is multiplied by
`min(1, lambda I_D / I_f)`. There is no training and no randomness: all copies of one original give the same result.

Source: Foster, Schoepf, Brintrup (2024), "Fast Machine Unlearning Without Retraining Through Selective Synaptic
Dampening", with the constants of their code for random examples and a ResNet.

Departures: batches are taken in the order of the examples, the forget set first, where the authors' training set has it
last.
"""

import math

import torch

from untrain.data import Examples
from untrain.methods.base import Method, Request
from untrain.models.weights import Tensors
from untrain.population import Population, gradients
from untrain.population.recipe import Count, NotNegative


class SSD(Method, frozen=True, tag="ssd"):
    """Dampen what is important to the forget set.

    Attributes:
        selection: alpha above, how many times as important a parameter must be.
        dampening: lambda above.
        batch_size: examples a batch.
    """

    title = "SSD"
    reads_forget = True

    selection: NotNegative = 10.0
    dampening: NotNegative = 1.0
    batch_size: Count = 128

    def forget(self, models: Population, request: Request) -> Population:
        of_forget = self._importance(models, request.forget)
        for name, overall in self._importance(models, request.training_set).items():
            selected = of_forget[name] > self.selection * overall
            factor = (self.dampening * overall / of_forget[name]).clamp(max=1)
            models.tensors[name].mul_(torch.where(selected, factor, 1.0))
        return models

    def _importance(self, models: Population, examples: Examples) -> Tensors:
        everything = torch.arange(len(examples), device=models.device).expand(len(models), -1)
        squares = gradients(models, examples, everything, self.batch_size, squared=True)
        return {name: total / math.ceil(len(examples) / self.batch_size) for name, total in squares.items()}
