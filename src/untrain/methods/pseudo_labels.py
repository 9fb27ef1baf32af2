"""Pseudo labels: rank 5 of the NeurIPS 2023 competition (toshi_k and marvelworld), second of its two methods.

A model that was unlearned by a simple method shows what a network predicts that does not know the forget set. Where its
prediction for a forget example differs markedly from the original's, the original is trained on that prediction,
together with the retain set.

Source: Shibata, Murakami and Yamauchi, "An experimental study to compare the performance of machine unlearning methods
with multiple datasets", whose three lines are the only description known to us. This is a reconstruction, so the
defaults are not the competition's and there is no preset `kaggle`. We chose the following:

* The simply unlearned model is that of the team's first method, `transpose`.
* Predictions differ markedly if their total variation distance, half the sum of the absolute differences of the
  probabilities, is above 0.1.
* The pseudo label is the whole prediction, since its class alone would often be the label.
* The original is fine-tuned by the recipe of `transpose`.
* Forget examples whose prediction did not change are replaced by random retain examples, so that all models take the
  same number of steps.

The preset `small`, for small data, has `transpose`'s learning rate of that name for the simply unlearned model. For the
original, `benchmarks/tune.py` found several learning rates equally good on validation data; it has the highest of them,
which teaches the pseudo labels most.
"""

from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from untrain.methods.base import Method, Request, convolutions
from untrain.methods.transpose import Transpose
from untrain.population import Batch, Population, Recipe


class PseudoLabels(Method, frozen=True, tag="pseudo-labels"):
    """Train the original on the predictions of a simply unlearned model where they differ."""

    title = "5th, second: pseudo labels"
    reads_forget = True
    needs_convolutions = True
    presets = {"small": {"simple": Transpose.presets["small"]["recipe"], "recipe": {"optimizer": {"lr": 3e-2}}}}

    change: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    simple: Recipe = Transpose().recipe
    recipe: Recipe = Transpose().recipe

    def forget(self, models: Population, request: Request) -> Population:
        convolutions(models, "pseudo-labels")
        before = models.logits(request.forget).softmax(-1)
        unlearned = Transpose(recipe=self.simple).forget(models.clone(), request)
        after = unlearned.logits(request.forget).softmax(-1)
        labels = F.one_hot(torch.from_numpy(request.retain.labels), before.shape[-1]).to(after)
        targets = torch.cat([after, labels.expand(len(models), -1, -1)], dim=1)
        training = models.training(self.recipe, loss=_soft_cross_entropy, purpose="pseudo-labels")
        subsets = self.subsets(models, before, after, len(request.retain))
        training.run(request.training_set, validation=request.validation, subsets=subsets, targets=targets)
        return models

    def subsets(self, models: Population, before: Tensor, after: Tensor, retained: int) -> npt.NDArray[np.intp]:
        """Which examples of the training set each model learns from, `[N, forgotten + retained]`.

        Args:
            models: whose streams are drawn from.
            before: the originals' probabilities for the forget set, `[N, forgotten, C]`.
            after: the simply unlearned models'.
            retained: size of the retain set.
        """
        count = before.shape[1]
        changed = ((after - before).abs().sum(-1) / 2 > self.change).cpu().numpy()
        generators = [models.streams.generator("instead", index) for index in models.indices]
        instead = np.stack([generator.integers(count, count + retained, size=count) for generator in generators])
        kept = np.broadcast_to(np.arange(count, count + retained), (len(models), retained))
        return np.concatenate([np.where(changed, np.arange(count), instead), kept], axis=1)


def _soft_cross_entropy(batch: Batch) -> Tensor:
    """Of whole predictions as labels, the weighted mean of each model `[K]`."""
    weights = batch.class_weights
    weighted = batch.targets if weights is None else batch.targets * weights[:, None]
    return -(weighted * batch.logits.log_softmax(-1)).sum((1, 2)) / weighted.sum((1, 2))
