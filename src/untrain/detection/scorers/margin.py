"""Area under the margin: by how much the given label led, or trailed, on average over a training.

The logit of the given label less the largest other logit, averaged over the epochs of a training on all examples. A
network learns what it can generalise first, so that right labels lead early and wrong ones trail until they are
learned by heart.

Source: Pleiss, Zhang, Elenberg, Weinberger (2020), "Identifying Mislabeled Data using the Area Under the Margin
Ranking".

Departures: logits are those after each epoch, not those of the forward passes of training. A label is taken for
wrong where the area is below zero; the authors find the threshold by a second training, in which some examples get a
label of a class that does not exist.
"""

import msgspec
import numpy as np

from untrain.detection.base import Finding, Scorer, Subject
from untrain.population import Engine


class Margin(Scorer, frozen=True, tag="margin"):
    """Rank by the area under the margin."""

    title = "area under the margin"
    trains = True

    def score(self, subject: Subject) -> Finding:
        """Cost: one training, and a forward pass an epoch."""
        recipe = msgspec.structs.replace(subject.trainable("margin"), keep_best_from_epoch=None)
        rows, labels = np.arange(len(subject.labels)), subject.labels
        model = subject.untrained(1, subject.streams.child("margin"))
        model.engine = Engine()
        training = model.training(recipe)
        margins = []
        for _ in range(int(np.ceil(recipe.epochs))):
            training.run(subject.examples, epochs=1)
            logits = model.logits(subject.examples)[0].double().cpu().numpy()
            own = logits[rows, labels].copy()
            logits[rows, labels] = -np.inf
            margins.append(own - logits.max(1))
        area = np.mean(margins, axis=0)
        return Finding(-area, wrong=area < 0, noise_ratio=float((area < 0).mean()))
