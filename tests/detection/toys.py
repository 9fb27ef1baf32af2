"""Small problems with wrong labels, whose networks are trained in a moment."""

import functools

import numpy as np
import torch

from untrain.data import Examples, Noisy, mislabel, symmetric_noise
from untrain.detection import Finding, Scorer, Subject, Suspects, detect
from untrain.models import MLP, Factory, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe

DIGITS = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15, batch_size=64
)  # as in the packaged experiment
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=12, batch_size=16)


def blobs(count: int = 300, classes: int = 3, spread: float = 0.5, seed: int = 0) -> Examples:
    """Gaussian clouds, one a class, whose centres stand in a circle of radius one; classes differ in size."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, size=count, p=np.arange(3, 3 + classes) / np.arange(3, 3 + classes).sum())
    labels[: 2 * classes] = np.tile(np.arange(classes), 2)
    angles = 2 * np.pi * labels / classes
    inputs = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(count), np.zeros(count)])
    inputs += generator.normal(0, spread, size=(count, 4))
    return Examples.of(inputs.astype(np.float32), labels, [f"blob {row}" for row in range(count)])


def build(examples: Examples) -> Factory:
    return factory(MLP(widths=(16,)), examples.inputs.shape[1:], len(examples.classes))


def trained(
    examples: Examples, recipe: Recipe = RECIPE, *, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Population:
    """A copy of a model that is trained only once in all tests."""
    return _trained(examples, recipe, dtype, seed).select([0])


@functools.cache
def _trained(examples: Examples, recipe: Recipe, dtype: torch.dtype, seed: int) -> Population:
    models = Population.create(build(examples), 1, seed=seed, dtype=dtype, engine=Engine())
    return models.train(examples, recipe)


@functools.cache
def noisy(ratio: float = 0.2, spread: float = 0.35, seed: int = 0) -> Noisy:
    """Three clouds, exactly this share of whose labels is wrong."""
    return mislabel(blobs(spread=spread, seed=seed), symmetric_noise(3, ratio), exact=True, seed=seed)


def subject(examples: Examples, recipe: Recipe | None = RECIPE, *, dtype: torch.dtype = torch.float32) -> Subject:
    return Subject(trained(examples, dtype=dtype), examples, recipe)


def detect_in(noise: Noisy, scorer: str | Scorer = "auto", noise_ratio: float | None = None, seed: int = 0) -> Suspects:
    models = trained(noise.examples, seed=seed)
    return detect(models, noise.examples, scorer=scorer, noise_ratio=noise_ratio, seed=seed, recipe=RECIPE)


def quality(noise: Noisy, found: Suspects) -> tuple[float, float]:
    """Precision and recall."""
    right = sum(bool(noise.mislabelled[position]) for position in found.flagged)
    return right / len(found.flagged), right / int(noise.mislabelled.sum())


class Told(Scorer, frozen=True, tag="told"):
    """Says what it is told."""

    ratio: float | None = 0.2
    error: float | None = None
    kind: str = "fine"

    def score(self, subject: Subject) -> Finding:
        scores = np.arange(float(len(subject.labels)))
        wrong = None
        if self.kind == "nan":
            scores[3] = np.nan
        elif self.kind == "infinite":
            scores[5] = np.inf
        elif self.kind == "short":
            scores = scores[:-1]
        elif self.kind == "column":
            scores = scores[:, None]
        elif self.kind == "flags":
            wrong = scores >= 250
        elif self.kind == "short flags":
            wrong = scores[:7] > 3
        return Finding(scores, wrong=wrong, noise_ratio=self.ratio, model_error=self.error)


def interval_of(found: Suspects) -> tuple[float, float]:
    """The interval, which is there."""
    assert found.interval is not None
    return found.interval
