"""Random labels: train on everything, the forget set with labels that are wrong.

Each forget example gets a label drawn once from the classes that are not its own, differently for each model; the
network is fine-tuned on these and the retain set together.

Source: Graves, Nagisetty, Ganesh (2021), "Amnesiac Machine Learning", where it is called unlearning; the constants are
those with which it is compared in the code of Chundawat et al. (2023), "Can Bad Teaching Induce Forgetting?", and of
Foster et al. (2024), "Selective Synaptic Dampening".

Departures: none known.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found no learning rate better by a point on
validation data.
"""

import torch

from untrain.methods.base import Method, Request
from untrain.methods.targets import drawn_labels, relabeled
from untrain.population import Adam, Population, Recipe


class RandomLabels(Method, frozen=True, tag="random-labels"):
    """Fine-tune on the retain set and on wrong labels of the forget set."""

    title = "random labels"
    reads_forget = True

    recipe: Recipe = Recipe(optimizer=Adam(lr=1e-4), epochs=3, batch_size=128)

    def forget(self, models: Population, request: Request) -> Population:
        drawn = drawn_labels(models, request.forget, "labels", wrong=True)
        labels = torch.cat([drawn, models.resident(request.retain)[1].expand(len(models), -1)], dim=1)
        training = models.training(self.recipe, loss=relabeled, purpose="finetune")
        training.run(request.training_set, validation=request.validation, targets=labels)
        return models
