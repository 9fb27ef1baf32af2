"""Reset layers and distillation: rank 6 of the NeurIPS 2023 competition (Algorithmic Amnesiacs).

The first and the last layer are re-initialized. The network then learns from the original's softened predictions. It
begins with validation examples: the original never learned them, so it cannot pass on what it memorized. The retain
set follows, together with its labels.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in unlearning?", and
Cadet et al. (2024), "Deep Unlearn" (KDE). The former call the last term of the loss a symmetric divergence; the entry's
is one-sided, and has the gradient of the soft cross-entropy beside it. None is multiplied by the temperature's square.

Departures: the entry resets the first convolution and the last linear layer of ResNet-18; here they are the first layer
of convolutions or linear units, so that it works on any network, and the linear layer whose output is the logits. The
original's predictions are computed once, since it is frozen and sees no augmentation. The validation labels are not
used.

The preset `small`, for small data, has the learning rates that `benchmarks/tune.py` chose on validation data.
"""

from torch import Tensor, nn

from untrain.errors import InputError
from untrain.methods.base import Method, Request, output_layer, reset, trainable_weights
from untrain.methods.prune_entropy import entropy
from untrain.methods.targets import divergence
from untrain.population import SGD, Batch, Cosine, Population, Recipe, cross_entropy
from untrain.population.recipe import Positive


class ResetDistill(Method, frozen=True, tag="reset-distill"):
    """Reset the first and the last layer, then learn from the original's predictions."""

    title = "6th: reset layers and distillation"
    off_retain = ("warm_up",)
    presets = {
        "kaggle": {},
        "small": {"warm_up": {"optimizer": {"lr": 2.7e-2}}, "recipe": {"optimizer": {"lr": 3e-2}}},
    }

    temperature: Positive = 5.0
    warm_up: Recipe = Recipe(optimizer=SGD(lr=9e-4, momentum=0.9, weight_decay=5e-4), epochs=3)
    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=3)

    def forget(self, models: Population, request: Request) -> Population:
        if request.validation is None or not len(request.validation):
            raise InputError("reset-distill begins on validation examples, and there are none: pass validation=")
        unseen, retained = models.logits(request.validation), models.logits(request.retain)
        self.reset(models, request)
        warm_up = models.training(self.warm_up, loss=self._distance, purpose="warm up")
        warm_up.run(request.validation, validation=request.validation, targets=unseen)
        training = models.training(self.recipe, loss=self._with_labels, purpose="finetune")
        training.run(request.retain, validation=request.validation, targets=retained)
        return models

    def _distance(self, batch: Batch) -> Tensor:
        return divergence(batch.targets, batch.logits, self.temperature).mean(1)

    def _with_labels(self, batch: Batch) -> Tensor:
        apart = divergence(batch.targets, batch.logits, self.temperature)
        soft_cross_entropy = apart + entropy(batch.targets / self.temperature)
        return cross_entropy(batch) + (soft_cross_entropy + apart).mean(1)

    def reset(self, models: Population, request: Request) -> None:
        """Re-initialize the first and the last layer, once if they are the same."""
        last = output_layer(models, request.retain)
        first = next(iter(trainable_weights(models, nn.Conv2d, nn.Linear)), last)
        for weight in {first, last}:
            reset(models, weight, "reset")
