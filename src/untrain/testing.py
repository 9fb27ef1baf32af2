"""The conformance suite for unlearning methods, ours and a plug-in's.

    from untrain.testing import check_method
    check_method(MyMethod())

It needs a few seconds, no data and no test framework. A failed check raises AssertionError with one sentence.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from untrain.core.randomness import Streams
from untrain.data import Examples, Splits, forget_ratio, split
from untrain.methods import Method, Request, frozen
from untrain.models import CNN, Model, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe

_RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15, batch_size=32)
_COPIES = 4


class SealedRequest(Request):
    """A request whose forget set must not be read anymore; reading it fails."""

    @classmethod
    def of(cls, request: Request) -> "SealedRequest":
        """The same request, sealed."""
        sealed = cls(request.forget, request.retain, request.recipe, request.validation)
        sealed.__dict__["sealed"] = True
        return sealed

    def __getattribute__(self, name: str) -> object:
        if name == "forget" and "sealed" in object.__getattribute__(self, "__dict__"):
            raise AssertionError("the method reads the forget set, although its `reads_forget` is false")
        return object.__getattribute__(self, name)


def toy_problem(seed: int = 0, count: int = 480) -> Splits:
    """Small images of four classes, a third of them mislabeled, so that there is something to memorize."""
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


@dataclass(frozen=True, eq=False)
class _Case:
    """What depends on the architecture alone.

    Attributes:
        original: a population of one.
        request: 10 % of the training set, to be forgotten.
        test: test set.
        accuracy: of the original on the test set.
        probabilities: mean probability of each forget example's label under retrained models, `[n]`.
    """

    original: Population
    request: Request
    test: Examples
    accuracy: float
    probabilities: npt.NDArray[np.float64]

    def gap(self, models: Population) -> float:
        """Mean distance of the label probabilities of the forget set from those under retrained models."""
        return float(np.abs(_label_probabilities(models, self.request.forget) - self.probabilities).mean())


@functools.lru_cache(maxsize=4)
def _case(model: Model) -> _Case:
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    original = _train_original(model, parts.train)
    request = Request(sets.forget, sets.retain, _RECIPE, parts.validation)
    retrained = original.repeat(_COPIES, streams=Streams(3).child("retrained")).fresh()
    retrained.engine = Engine(_COPIES)
    retrained.train(request.retain, request.recipe)
    accuracy = float(original.accuracy(parts.test).mean())
    return _Case(original, request, parts.test, accuracy, _label_probabilities(retrained, request.forget))


@functools.lru_cache(maxsize=4)
def _other_case(model: Model) -> tuple[Population, Request]:
    """An original that was trained on as many other forget examples, and the request to forget those."""
    case = _case(model)
    request = dataclasses.replace(case.request, forget=case.test.select(range(len(case.request.forget))))
    return _train_original(model, request.training_set), request


def _train_original(model: Model, examples: Examples) -> Population:
    build = factory(model, examples.array.shape[1:], len(examples.classes))
    return Population.create(build, 1, seed=1, dtype=torch.float64, engine=Engine()).train(examples, _RECIPE)


def _label_probabilities(models: Population, examples: Examples) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = models.logits(examples).softmax(-1).mean(0).cpu().numpy()
    return mean[np.arange(len(examples)), examples.labels]


def check_method(method: Method, model: Model | None = None) -> None:
    """Check that a method keeps the promises that the library makes for every method.

    Args:
        method: with settings that suit small data (480 images of 8x8, 30 % of them for validation and test).
        model: architecture; default a small CNN with batch norm.

    Raises:
        AssertionError: one of these does not hold. Weights move. A method whose `reads_forget` is false does not read
            the forget set. The same seed gives the same result. Model i does not depend on the models beside it. Test
            accuracy stays above half of the original's. The result is nearer to retrained models than the original is.
            A method that starts from the original leaves frozen parameters (`requires_grad` is false) as they are.
            A method whose `exact` is true gives the same bits for other forget examples, as many, and an original that
            was trained on those.
        NotSupportedError: the method refuses the architecture.
    """
    model = model or CNN(widths=(8, 16))
    case = _case(model)
    original = case.original
    streams = Streams(2).child(type(method).__name__)

    def forget(
        count: int, first: int = 0, original: Population = original, request: Request = case.request
    ) -> Population:
        models = original.repeat(count, streams=streams, first=first)
        models.engine = Engine(count)  # four models in one call, one model by itself
        return method.forget(models, request if method.reads_forget else SealedRequest.of(request))

    unlearned = forget(_COPIES)
    _expect(
        len(unlearned) == _COPIES and unlearned.indices == tuple(range(_COPIES)),
        f"The result must be {_COPIES} models with the indices of the originals, got {unlearned.indices}.",
    )
    moved = any(
        not torch.equal(tensor, original.tensors[name].expand_as(tensor)) for name, tensor in unlearned.tensors.items()
    )
    _expect(moved, "The method must change the weights; they are those of the original.")
    _expect(_distance(unlearned, forget(_COPIES)) == 0, "The same seed must give the same result; it gave another.")
    single = forget(1, first=2)
    difference = _distance(unlearned.select([2]), single)
    _expect(
        difference < 1e-6,
        f"Model 2 must not depend on the models beside it; without them it differs by {difference}.",
    )
    accuracy = float(unlearned.accuracy(case.test).mean())
    _expect(
        accuracy > case.accuracy / 2,
        f"Test accuracy must stay above half of the original's {case.accuracy:.3f}; it is {accuracy:.3f}.",
    )
    before, after = case.gap(original), case.gap(unlearned)
    _expect(
        after < before,
        f"The result must be nearer to retrained models than the original, whose distance is {before:.4f}; "
        f"it is {after:.4f}.",
    )
    if not (method.needs_factory or method.exact):
        _check_frozen(forget, original)
    if method.exact:
        _expect(
            _same_bits(single, forget(1, 2, *_other_case(model))),
            "The method is not exact, although its `exact` is true: its result depends on forget set or original.",
        )


def _check_frozen(forget: Callable[..., Population], original: Population) -> None:
    """Check that a method leaves the parameters of the first layer as they are where those are frozen."""
    module = original.module()
    first = next(layer for layer in module.modules() if dict(layer.named_parameters(recurse=False)))
    first.requires_grad_(False)
    models = Population.from_module(module, factory=original.factory, recipe=original.recipe)
    models.engine = original.engine
    unlearned = forget(1, original=models)
    for name in frozen(models):
        kept = torch.equal(unlearned.tensors[name], models.tensors[name])
        _expect(
            kept,
            f"The method changes {name}, which is frozen; it must leave parameters with requires_grad=False alone.",
        )


def _distance(left: Population, right: Population) -> float:
    return max(
        float((tensor.double() - right.tensors[name].double()).abs().max()) for name, tensor in left.tensors.items()
    )


def _same_bits(left: Population, right: Population) -> bool:
    return all(torch.equal(tensor, right.tensors[name]) for name, tensor in left.tensors.items())


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


__all__ = ["SealedRequest", "check_method", "toy_problem"]
