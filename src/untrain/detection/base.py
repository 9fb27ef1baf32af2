"""What a scorer is: settings in a frozen struct, and one function from a trained model and its data to scores."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.data.examples import Labels
from untrain.errors import InputError, NotSupportedError

if TYPE_CHECKING:
    from untrain.population import Population, Recipe

T = TypeVar("T")
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Evidence = dict[str, Any]
"""Plain values by name: numbers, texts, lists and dictionaries."""


@dataclass(eq=False)
class Subject:
    """A trained model and its training data, as scorers get them.

    Args:
        trained: the trained model, a population of one, or None if there are only features. Its factory, if it has
            one, builds new models.
        examples: the training data, mislabeled examples included; at least two of each class.
        recipe: how the model was trained, or None if that is not known.
        seed: root of all random draws.
        given_features: `[n, ...]` features of the examples from elsewhere, or None.

    Raises:
        InputError: there is a single class, or a class has fewer than two examples; the model is not one, or has
            another number of classes; its logits are not finite.
    """

    trained: "Population | None"
    examples: Examples
    recipe: "Recipe | None" = None
    seed: int = 0
    given_features: npt.NDArray[np.floating] | None = None
    _cache: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_classes(self.examples)
        if self.trained is not None:
            from untrain.population import check_fits, check_logits, settled

            self.trained = settled(self.trained)
            check_fits(self.trained, self.examples)
            check_logits(self.logits, self.examples)

    @property
    def model(self) -> "Population":
        """The trained model.

        Raises:
            NotSupportedError: there are only features.
        """
        if self.trained is None:
            raise NotSupportedError("This scorer needs a trained model; pass one, or use the scorer `linear`.")
        return self.trained

    @property
    def features(self) -> npt.NDArray[np.floating]:
        """The given features, else the penultimate features of the trained model, else the inputs, `[n, ...]`."""
        if self.given_features is not None:
            return self.given_features
        if self.trained is None:
            return self.examples.inputs
        return self.cached("features", lambda: self.model.features(self.examples)[0].float().cpu().numpy())

    @property
    def labels(self) -> Labels:
        """The given labels, `[n]`."""
        return self.examples.labels

    @property
    def streams(self) -> Streams:
        """Random streams of the detection."""
        return Streams(self.seed).child("detect")

    @property
    def logits(self) -> Scores:
        """Logits of the trained model, `[n, C]`."""
        return self.cached("logits", lambda: self.model.logits(self.examples)[0].double().cpu().numpy())

    @property
    def can_train(self) -> bool:
        """Whether a factory and a recipe are known, so that new models can be trained."""
        return self.recipe is not None and self.trained is not None and self.trained.factory is not None

    def training_recipe(self, scorer: str) -> "Recipe":
        """The recipe by which a scorer trains new models.

        Raises:
            NotSupportedError: no factory or no recipe is known; the message names `scorer`.
        """
        if self.recipe is None or not self.can_train:
            raise NotSupportedError(
                f"{scorer} trains models of its own: pass factory= and recipe=, or use linear, which needs only "
                "features or a trained model."
            )
        return self.recipe

    def new_models(self, count: int, streams: Streams) -> "Population":
        """Build `count` untrained models; the factory must be known, and the engine is left open."""
        from untrain.population import Population

        assert self.model.factory is not None  # noqa: S101 (`training_recipe` was asked before)
        return Population.create(
            self.model.factory, count, seed=streams, device=self.model.device, dtype=self.model.dtype
        )

    def cached(self, name: str, make: Callable[[], T]) -> T:
        """A value that several scorers share; it is made at the first call."""
        if name not in self._cache:
            self._cache[name] = make()
        return cast(T, self._cache[name])


def check_classes(examples: Examples) -> None:
    """Check that there are two classes at least, and two examples of each.

    Raises:
        InputError: there is a single class, or a class has fewer than two examples.
    """
    if len(examples.classes) < 2:
        raise InputError(f"There must be at least two classes to find wrong labels; there is {len(examples.classes)}.")
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    if counts.min() < 2:
        label = int((counts < 2).argmax())
        raise InputError(
            f"There must be at least two examples of each class, and class {examples.classes[label]!r} has "
            f"{counts[label]}; remove that class, and number the others from 0 without gaps."
        )


def model_error(probabilities: Scores, labels: Labels, kept: Mask) -> float:
    """Share of the kept examples whose label is not the most probable class of `[n, C]`."""
    return float((probabilities.argmax(1) != labels)[kept].mean()) if kept.any() else 0.0


@dataclass(frozen=True, eq=False)
class Finding:
    """The result of a scorer.

    Attributes:
        scores: `[n]`, higher is more suspicious.
        wrong: `[n]`, which examples are taken for mislabeled, or None if the scorer only ranks them.
        noise_ratio: estimated share of mislabeled examples, or None.
        interval: around the noise ratio, or None if the scorer has none.
        model_error: error rate, on the examples not taken for mislabeled, of predictions made without them (by
            held-out models, or by the neighbors); or None if there are none.
        suggested: `[n]`, estimated true class, or None.
        evidence: further results.
    """

    scores: Scores
    wrong: Mask | None = None
    noise_ratio: float | None = None
    interval: tuple[float, float] | None = None
    model_error: float | None = None
    suggested: Labels | None = None
    evidence: Evidence = field(default_factory=dict)


class Scorer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Gives every example a score. Its fields are its settings, with the published values as defaults.

    Attributes:
        presets: further named settings, each the parts that differ from the defaults.
        title: a few words for tables.
        trains: whether it trains models of its own.
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {}
    title: ClassVar[str] = ""
    trains: ClassVar[bool] = False

    @abc.abstractmethod
    def score(self, subject: Subject) -> Finding:
        """Score every example.

        Raises:
            NotSupportedError: the scorer needs something that is not there, such as a recipe.
            InputError: the scorer cannot use the data.
        """
        raise NotImplementedError

    def passes(self, recipe: "Recipe") -> float:
        """How many passes over the examples its trainings make, by the recipe of the model; for a bar."""
        return 0.0
