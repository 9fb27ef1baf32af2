"""Which state of each model a training keeps: the best one, or that at which the model had converged."""

import numpy as np
import numpy.typing as npt
import torch

from untrain.models.weights import Tensors
from untrain.population.engine import Chunk
from untrain.population.recipe import UntilConverged

Accuracies = npt.NDArray[np.float64]


class Kept:
    """A state of each model of a chunk; empty while none was kept."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.state: Tensors = {}

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Keep the present state of these models `[K]`."""
        if not which.any():
            return
        now = {name: tensor[self.chunk.rows] for name, tensor in self.chunk.tensors.items()}
        if not self.state:
            self.state = {name: tensor.clone() for name, tensor in now.items()}
        elif which.all():
            torch._foreach_copy_(list(self.state.values()), list(now.values()))
        else:
            device = next(iter(now.values())).device
            rows = torch.from_numpy(np.flatnonzero(which)).to(device)
            for name, tensor in now.items():
                self.state[name][rows] = tensor[rows]

    def restore(self) -> None:
        """Put back what was kept."""
        for name, state in self.state.items():
            self.chunk.tensors[name][self.chunk.rows].copy_(state)


class Best(Kept):
    """The state of the highest score, the first of equals."""

    def __init__(self, chunk: Chunk) -> None:
        super().__init__(chunk)
        self.score = np.full(chunk.size, -np.inf)

    def consider(self, scores: Accuracies) -> None:
        """Keep the present state of those models whose score `[1, K]` is higher than before."""
        score = scores[0]
        better = score > self.score
        self.score[better] = score[better]
        self.keep(better)


class Converging(Kept):
    """The state at which each model had converged, or its last one.

    Attributes:
        epochs: `[K]` epochs until then.
    """

    def __init__(self, chunk: Chunk, rule: UntilConverged) -> None:
        super().__init__(chunk)
        self.rule = rule
        self.best = np.full((2, chunk.size), -np.inf)
        self.waited = np.zeros(chunk.size, dtype=np.intp)
        self.epochs = np.zeros(chunk.size, dtype=np.intp)

    def consider(self, accuracies: Accuracies) -> None:
        """Judge every model by its accuracies `[2, K]` on retained and validation data after one more epoch."""
        training = self.waited < self.rule.patience
        risen = accuracies > self.best + self.rule.tolerance
        self.best[risen] = accuracies[risen]
        self.epochs[training] += 1
        self.waited[training] = np.where(risen.any(axis=0), 0, self.waited + 1)[training]
        self.keep(training)

    @property
    def done(self) -> bool:
        """Whether all models have converged."""
        return bool((self.waited >= self.rule.patience).all())
