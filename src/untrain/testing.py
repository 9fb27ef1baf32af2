"""The conformance suite that every unlearning method passes, ours and a plug-in's.

    from untrain.testing import check_method
    check_method(MyMethod())

It needs half a minute, no data and no test framework; what fails raises AssertionError with a sentence.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from untrain.core.randomness import Streams
from untrain.data import Examples, Splits, forget_ratio, split
from untrain.methods import Method, Request
from untrain.models import CNN, Model, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe

_RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15, batch_size=32)


class SealedRequest(Request):
    """A request whose forget set must not be read any more; reading it fails."""

    @classmethod
    def of(cls, request: Request) -> "SealedRequest":
        """The same request, sealed."""
        sealed = cls(request.forget, request.retain, request.recipe, request.validation)
        sealed.__dict__["sealed"] = True
        return sealed

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 (any attribute)
        if name == "forget" and "sealed" in object.__getattribute__(self, "__dict__"):
            raise AssertionError("a method that says it does not read the forget set has read it")
        return object.__getattribute__(self, name)


def toy_problem(seed: int = 0, count: int = 480) -> Splits:
    """Small images of four kinds, a third of them with a wrong label, so that there is something to memorize."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=count)
    inputs = generator.normal(0, 0.7, size=(count, 1, 8, 8))
    for label in range(4):
        rows, columns = (
            slice(4 * (label // 2), 4 * (label // 2) + 4),
            slice(4 * (label % 2), 4 * (label % 2) + 4),
        )
        inputs[labels == label, 0, rows, columns] += np.linspace(0.4, 1.2, 4)
    wrong = generator.random(count) < 1 / 3
    labels[wrong] = (labels[wrong] + 1) % 4
    return split(Examples.of(inputs.astype(np.float32), labels), validation=0.15, test=0.15, seed=seed)


@functools.lru_cache(maxsize=4)
def _prepared(model: Model) -> tuple[Population, Request, Splits]:
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    build = factory(model, parts.train.inputs.shape[1:], len(parts.train.classes))
    original = Population.create(build, 1, seed=1, dtype=torch.float64).train(parts.train, _RECIPE)
    return original, Request(sets.forget, sets.retain, _RECIPE, parts.validation), parts


def check_method(method: Method, model: Model | None = None) -> None:
    """Check that a method keeps the promises that the library makes for every method.

    Args:
        method: with the settings to be checked, which must suit small data (480 images of 8x8, 22 % for validation and
            test).
        model: architecture; default a small CNN with batch norm.

    Raises:
        AssertionError: weights did not move; a method that says it does not read the forget set read it; the same seed
            gave another result; model i depended on the models beside it; test accuracy collapsed below half of the
            original's; or the result was not nearer to retrained models than the original is.
        NotSupportedError: the method refuses the architecture.
    """
    original, request, parts = _prepared(model or CNN(widths=(8, 16)))
    streams = Streams(2).child(type(method).__name__)
    asked = request if method.reads_forget else SealedRequest.of(request)

    def forget(count: int, first: int = 0) -> Population:
        models = original.repeat(count, streams=streams, first=first)
        models.engine = Engine(count)  # four models in one call, one model by itself
        return method.forget(models, asked)

    unlearned = forget(4)
    _expect(
        len(unlearned) == 4 and unlearned.indices == (0, 1, 2, 3),
        "expected as many models with the same indices",
    )
    moved = any(
        not torch.equal(tensor, original.tensors[name].expand_as(tensor)) for name, tensor in unlearned.tensors.items()
    )
    _expect(moved, "expected weights to move, got those of the original")
    again = forget(4)
    _expect(_distance(unlearned, again) == 0, "expected the same result for the same seed, got another")
    third = forget(1, first=2)
    difference = _distance(unlearned.select([2]), third)
    _expect(
        difference < 1e-6,
        f"expected model 2 not to depend on the models beside it, got a difference of {difference}",
    )
    before, after = original.accuracy(parts.test).mean(), unlearned.accuracy(parts.test).mean()
    _expect(after > before / 2, f"expected test accuracy to stay above half of {before:.3f}, got {after:.3f}")
    _check_nearer(original, unlearned, request)


def _check_nearer(original: Population, unlearned: Population, request: Request) -> None:
    """The mean probability of a forgotten example's label moves toward that under retrained models."""
    streams = Streams(3).child("retrained")
    retrained = original.repeat(4, streams=streams).fresh().train(request.retain, request.recipe)

    def probability(models: Population) -> npt.NDArray[np.float64]:
        rows = np.arange(len(request.forget))
        mean: npt.NDArray[np.float64] = models.logits(request.forget).softmax(-1).mean(0).cpu().numpy()
        return mean[rows, request.forget.labels]

    target = probability(retrained)

    def gap(models: Population) -> float:
        return float(np.abs(probability(models) - target).mean())

    before, after = gap(original), gap(unlearned)
    _expect(after < before, f"expected to come nearer to retrained models than {before:.4f}, got {after:.4f}")


def _distance(left: Population, right: Population) -> float:
    return max(
        float((tensor.double() - right.tensors[name].double()).abs().max()) for name, tensor in left.tensors.items()
    )


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


__all__ = ["SealedRequest", "check_method", "toy_problem"]
