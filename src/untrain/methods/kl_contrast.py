"""KL and contrast: rank 1 of the NeurIPS 2023 competition (fanchuan).

First, one pass over the forget set pulls its predictions toward the uniform distribution. Each of the following eight
epochs has two parts: a contrastive round that makes a forget example equally similar to all retained ones, and a pass
of ordinary training on the retain set. The three parts have an optimizer each, with its own momentum.

Source: the winning entry, as described by Triantafillou et al. (2024), "Are we making progress in
unlearning?", and Cadet et al. (2024), "Deep Unlearn". Shibata et al. print the divergence the other way
round, a contrastive loss with an augmented positive, and a final fine-tuning; the entry has KL(uniform ||
prediction), no positive and no augmentation, works on logits, and alternates.

Departures: where more is forgotten than retained, a contrastive round is longer than a pass over the retain set, and
begins that pass again. The forget labels are not used.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found these learning rates best on
validation data.
"""

import math

from torch import Tensor

from untrain.methods.base import STUDY, Method, Request, check_whole
from untrain.population import SGD, Batch, Cosine, Population, Recipe
from untrain.population.recipe import Count, Positive


class KLContrast(Method, frozen=True, tag="kl-contrast"):
    """Erase the forget set's predictions, then alternate contrast and repair."""

    title = "1st: KL and contrast"
    reads_forget = True
    off_retain = ("erase", "contrast")
    presets = {"kaggle": {}, "study": {"repair": STUDY, "contrast": {"epochs": STUDY["epochs"]}}}

    erase: Recipe = Recipe(optimizer=SGD(lr=5e-3, momentum=0.9), epochs=1)
    contrast: Recipe = Recipe(optimizer=SGD(lr=3e-4, momentum=0.9), schedule=Cosine(floor=1e-6, per="step"), epochs=8)
    contrast_batch_size: Count = 256
    temperature: Positive = 1.15
    repair: Recipe = Recipe(optimizer=SGD(lr=4e-3, momentum=0.9, weight_decay=1e-2), epochs=8, batch_size=256)

    def __post_init__(self) -> None:
        check_whole("kl-contrast", self.repair)

    def forget(self, models: Population, request: Request) -> Population:
        models.training(self.erase, loss=_divergence_from_uniform, purpose="erase").run(request.forget)
        contrast = models.training(self.contrast, loss=self._similarity, purpose="contrast")
        repair = models.training(self.repair, purpose="repair")
        for _ in range(round(self.repair.epochs)):
            contrast.run(request.forget, epochs=1, beside=(request.retain, self.contrast_batch_size))
            repair.run(request.retain, epochs=1, validation=request.validation)
            if repair.converged:
                break
        return models

    def _similarity(self, batch: Batch) -> Tensor:
        """Cross-entropy between a uniform target and each forget example's similarities to retained ones, `[K]`."""
        assert batch.beside is not None  # noqa: S101 (the round above always draws a batch beside)
        similarities = batch.logits @ batch.beside.logits.detach().mT / self.temperature
        return -similarities.log_softmax(-1).mean((1, 2))


def _divergence_from_uniform(batch: Batch) -> Tensor:
    """KL(uniform || prediction), the mean over the examples of each model `[K]`."""
    log_p = batch.logits.log_softmax(-1)
    return (-log_p.mean(-1) - math.log(log_p.shape[-1])).mean(1)
