"""Renewal (our own method): shrink the weights, retrain briefly, and restore the confidence of the original.

1. Every weight outside the normalization layers is multiplied by `keep` and a newly initialized weight is added, so
   that what was memorized about single examples fades and coarse features stay.
2. The network then learns the retain set by the recipe of the original, compressed to `share` of its epochs; the forget
   set is never read.
3. After such a short training, a network is less confident than after a full one. Comparisons of confidences show this.
4. Therefore the last layer is multiplied by one factor. With it, the mean log-odds of the predictions on the validation
   set equal those of the original.
5. The factor changes no predicted class. Learning rates, batch size and schedule are those of the original.

Source: ours. Shrinking and perturbing is that of Ash and Adams (2020), "On Warm-Starting Neural Network Training";
matching confidence by one factor is temperature scaling, Guo et al. (2017), "On Calibration of Modern Neural Networks",
with the original in place of the labels.

Without validation examples the last layer is left as it is. The constants were chosen on CIFAR-10, see docs/table1.md.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from untrain.methods.base import Method, Request, learned, output_layer
from untrain.population import Population, Recipe
from untrain.population.recipe import NotNegative

_MOST = 64.0
"""The factor on the last layer is at most this, and at least its inverse."""

_HALVINGS = 40


class Renew(Method, frozen=True, tag="renew"):
    """Shrink the weights toward new ones, train again briefly by the recipe, and match the original's log-odds."""

    title = "ours: renewal"
    needs_factory = True

    keep: NotNegative = 0.3
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.3

    def forget(self, models: Population, request: Request) -> Population:
        last = output_layer(models, request.retain)
        unseen = request.validation
        wanted = None if unseen is None else log_odds(models.logits(unseen))
        self.mix(models)
        models.train(request.retain, self.shortened(request.recipe), purpose="renew")
        if unseen is not None and wanted is not None:
            factors = matching_factors(models.logits(unseen), wanted)
            for name in (last, last.removesuffix("weight") + "bias"):
                if name in models.tensors:
                    models.tensors[name].mul_(factors.view(-1, *[1] * (models.tensors[name].ndim - 1)))
        return models

    def mix(self, models: Population) -> None:
        """Shrink every weight outside the normalization layers, and add a newly initialized one."""
        fresh = models.fresh()
        for name in learned(models):
            models.tensors[name].mul_(self.keep).add_(fresh.tensors[name])

    def shortened(self, recipe: Recipe) -> Recipe:
        """The recipe in `share` of its epochs; the last state is kept."""
        return msgspec.structs.replace(recipe.compressed(self.share), keep_best_from_epoch=None)

    def passes(self, recipe: Recipe) -> float:
        return self.shortened(recipe).epochs


def log_odds(logits: Tensor) -> Tensor:
    """Mean over examples of the log-odds of the most probable class, logits `[N, n, C]` to `[N]`."""
    most, others = logits.topk(1, dim=-1).values, logits.sort(dim=-1).values[..., :-1]
    return (most[..., 0] - others.logsumexp(-1)).mean(1)


def matching_factors(logits: Tensor, wanted: Tensor) -> Tensor:
    """The factors `[N]` on logits `[N, n, C]` that give them the `wanted` log-odds `[N]`, by bisection.

    The log-odds grow with the factor. A value that cannot be reached gives an end of the interval.
    """
    low = torch.full_like(wanted, 1 / _MOST).log()
    high = -low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_high = log_odds(logits * middle.exp()[:, None, None]) > wanted
        low, high = torch.where(too_high, low, middle), torch.where(too_high, middle, high)
    return ((low + high) / 2).exp()
