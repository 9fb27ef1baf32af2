"""Area under the margin: the mean margin of the given label over a training.

The margin is the logit of the given label minus the largest other logit. It is averaged over the epochs of a training
on all examples. A network first learns patterns that generalize, so that correct labels have a positive margin early,
while wrong labels have a negative one until they are memorized.

Source: Pleiss, Zhang, Elenberg, Weinberger (2020), "Identifying Mislabeled Data using the Area Under the Margin
Ranking".

Departures: logits are computed after each epoch, not during the forward passes of training. An example is taken for
mislabeled if its area is below zero; the authors find the threshold by a second training, in which some examples get
the label of an additional class.
"""

import numpy as np

from untrain.detection.base import Finding, Scorer, Subject
from untrain.population import Engine, Recipe


class Margin(Scorer, frozen=True, tag="margin"):
    """Rank by the area under the margin."""

    title = "area under the margin"
    trains = True

    def score(self, subject: Subject) -> Finding:
        """Cost: one training, and a forward pass for each epoch."""
        recipe = subject.training_recipe("margin").for_all_epochs()
        rows, labels = np.arange(len(subject.labels)), subject.labels
        model = subject.new_models(1, subject.streams.child("margin"))
        model.engine = Engine()
        training = model.training(recipe)
        margins = []
        for _ in range(int(np.ceil(recipe.epochs))):
            training.run(subject.examples, epochs=1)
            logits = model.logits(subject.examples)[0].double().cpu().numpy()
            given = logits[rows, labels].copy()
            logits[rows, labels] = -np.inf
            margins.append(given - logits.max(1))
        area = np.mean(margins, axis=0)
        return Finding(-area, wrong=area < 0, noise_ratio=float((area < 0).mean()))

    def passes(self, recipe: Recipe) -> float:
        """Those of one training."""
        return recipe.epochs
