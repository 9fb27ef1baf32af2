"""SCRUB: a student that follows the original on the retain set and moves away from it on the forget set.

The student begins as a copy of its teacher, the original. In each of the first epochs it passes once over the forget
set, away from the teacher's predictions; in every epoch it then passes over the retain set, toward labels and teacher:
`gamma CE + alpha KL(teacher || student)`. Divergences are taken at a temperature T, times T^2.

Source: Kurmanji, Triantafillou, Hayes, Triantafillou (2023), "Towards Unbounded Machine Unlearning", with the constants
of their code: the defaults are those for CIFAR-10, the preset `small-scale` those for five classes of a hundred
examples, for which their code names no batch size. Their variant that rewinds to the epoch with the right error on the
forget set is left out.

Departures: passes over the forget and the retain set have an optimizer each, with its own momentum, where the authors
have one for both. The teacher's predictions are computed once, since it is frozen and sees no augmentation; the numbers
are the same and the time is less.

The preset `small`, for small data, has the learning rate on the retain set that did best in `benchmarks/tune.py`, by
less than a point; the published one moves so little in so few steps that with batch norm the running statistics decide.
"""

from torch import Tensor

from untrain.methods.base import Method, Request, check_turns
from untrain.methods.targets import divergence
from untrain.population import SGD, Batch, Population, Recipe, cross_entropy
from untrain.population.recipe import NotNegative, Positive

_DECAYING = {
    "optimizer": {"name": "adam", "lr": 5e-4, "weight_decay": 0.1},
    "schedule": {"name": "per-epoch", "factors": [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.001]},
}


class Scrub(Method, frozen=True, tag="scrub"):
    """Alternate between leaving the teacher on the forget set and following it on the retain set."""

    title = "SCRUB"
    reads_forget = True
    off_retain = ("leave",)
    presets = {
        "published": {},
        "small-scale": {
            "alpha": 0.5,
            "gamma": 1.0,
            "temperature": 2.0,
            "leave": {**_DECAYING, "epochs": 3},
            "follow": {**_DECAYING, "epochs": 10},
        },
        "small": {"follow": {"optimizer": {"lr": 1.5e-2}}},
    }

    alpha: NotNegative = 0.001
    gamma: NotNegative = 0.99
    temperature: Positive = 4.0
    leave: Recipe = Recipe(optimizer=SGD(lr=5e-4, momentum=0.9, weight_decay=5e-4), epochs=2, batch_size=32)
    follow: Recipe = Recipe(optimizer=SGD(lr=5e-4, momentum=0.9, weight_decay=5e-4), epochs=3, batch_size=128)

    def __post_init__(self) -> None:
        check_turns("scrub", self.follow, self.leave)

    def forget(self, models: Population, request: Request) -> Population:
        forgotten, retained = models.logits(request.forget), models.logits(request.retain)
        leave = models.training(self.leave, loss=self._away, purpose="leave")
        follow = models.training(self.follow, loss=self._toward, purpose="follow")
        for epoch in range(round(self.follow.epochs)):
            if epoch < self.leave.epochs:
                leave.run(request.forget, epochs=1, targets=forgotten)
            follow.run(request.retain, epochs=1, validation=request.validation, targets=retained)
        return models

    def _away(self, batch: Batch) -> Tensor:
        return -self._distance(batch)

    def _toward(self, batch: Batch) -> Tensor:
        return self.gamma * cross_entropy(batch) + self.alpha * self._distance(batch)

    def _distance(self, batch: Batch) -> Tensor:
        """From the teacher's logits, the mean over the examples of each model `[K]`."""
        nats = divergence(batch.targets, batch.logits, self.temperature)
        return self.temperature**2 * nats.mean(1)
