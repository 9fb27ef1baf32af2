"""Memory left by its definition: loops, scikit-learn's covariance, a full solve. Slow and obviously right."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slow:
    """Values of one model relative to reference models."""

    memory: float
    diagonal_memory: float
    distance: float
    rise: float


def slow(model: Array, reference: Array, original: Array) -> Slow:
    """One model `[S]` relative to n reference models `[n, S]`."""
    examples = reference.shape[1]
    mean = np.array([np.mean(reference[:, s]) for s in range(examples)])
    variance = np.array([np.var(reference[:, s], ddof=1) for s in range(examples)])
    variance = variance + (np.median(variance) or np.mean(variance)) / 2
    scaled = np.array([[(row[s] - mean[s]) / variance[s] ** 0.5 for s in range(examples)] for row in reference])
    covariance, _shrinkage = ledoit_wolf(scaled)

    def along(step: Array, weights: Array) -> float:
        done = sum(weights[s] * (model[s] - mean[s]) for s in range(examples))
        return float(done / sum(weights[s] * step[s] for s in range(examples)))

    def whitened(step: Array) -> Array:
        weights: Array = np.linalg.solve(covariance, step / variance**0.5) / variance**0.5
        return weights

    step = original - mean
    return Slow(
        memory=along(step, whitened(step)),
        diagonal_memory=along(step, step / variance),
        distance=float(np.mean([(model[s] - mean[s]) ** 2 / variance[s] for s in range(examples)])),
        rise=along(variance**0.5, whitened(variance**0.5)),
    )


def slow_bag(first: Array, retrained: Array, original: Array) -> list[Slow]:
    """The first model and the retrained ones, each relative to all others."""
    bag = [first, *retrained]
    return [slow(bag[j], np.array([bag[i] for i in range(len(bag)) if i != j]), original) for j in range(len(bag))]


def share_at_least_first(values: list[float]) -> float:
    """The p-value."""
    return sum(value >= values[0] for value in values) / len(values)
