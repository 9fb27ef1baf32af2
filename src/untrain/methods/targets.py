"""What methods train toward instead of the labels given: labels drawn at random, and what a teacher predicts."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from untrain.data import Examples
from untrain.population import Batch, Population, cross_entropy


def drawn_labels(models: Population, examples: Examples, purpose: str, *, wrong: bool) -> Tensor:
    """Labels `[N, n]`, each model's from its own stream, every class equally likely.

    Args:
        models: for which they are drawn.
        examples: that get them.
        purpose: names the random streams.
        wrong: leave out the class that is the example's own.
    """
    classes = len(examples.classes)
    shifts = [
        models.streams.generator(purpose, index).integers(int(wrong), classes, size=len(examples))
        for index in models.indices
    ]
    return (models.resident(examples)[1] + torch.from_numpy(np.stack(shifts)).to(models.device)) % classes


def relabeled(batch: Batch) -> Tensor:
    """Cross-entropy of each model `[K]` with the targets of the run, its own labels, instead of those given."""
    return cross_entropy(replace(batch, labels=batch.targets))


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of logits `[..., C]` divided by a temperature, in nats `[...]`."""
    log_p, log_q = (teacher / temperature).log_softmax(-1), (student / temperature).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)
