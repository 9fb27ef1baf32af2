"""What a scorer is: settings in a frozen struct, and one function from a trained model and its data to suspicion."""

import abc
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.data.examples import Labels
from untrain.errors import InputError, NotSupportedError
from untrain.population import Population, Recipe, check_logits, settled

Scores = npt.NDArray[np.float64]


@dataclass(eq=False)
class Subject:
    """What a scorer may look at.

    Args:
        model: the trained model, a population of one; its factory, if it has one, builds new ones.
        examples: what it was trained on, wrong labels included; at least two of each class.
        recipe: how it was trained, or None if that is not known.
        seed: root of all random draws.

    Raises:
        InputError: there is a single class, or a class has fewer than two examples; the model is not one, or has
            another number of classes; its logits are not finite.
    """

    model: Population
    examples: Examples
    recipe: Recipe | None = None
    seed: int = 0
    _shared: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_classes(self.examples)
        self.model = settled(self.model)
        check_logits(self.logits, self.examples)

    @property
    def labels(self) -> Labels:
        """`[n]`, as they are given."""
        return self.examples.labels

    @property
    def streams(self) -> Streams:
        """Random streams of the detection."""
        return Streams(self.seed).child("detect")

    @property
    def logits(self) -> Scores:
        """Of the trained model, `[n, C]`."""
        logits: Scores = self.once("logits", lambda: self.model.logits(self.examples)[0].double().cpu().numpy())
        return logits

    @property
    def can_train(self) -> bool:
        """Whether it is known how to build and to train new models."""
        return self.recipe is not None and self.model.factory is not None

    def trainable(self, scorer: str) -> Recipe:
        """The recipe, where new models can be trained.

        Raises:
            NotSupportedError: no factory or no recipe is known; the message names `scorer`.
        """
        if self.recipe is None or not self.can_train:
            raise NotSupportedError(
                f"expected a factory and a recipe, since {scorer} trains models of its own: pass factory= and recipe=, "
                "or take neighbours, which needs the trained model alone"
            )
        return self.recipe

    def untrained(self, count: int, streams: Streams) -> Population:
        """`count` new models from the factory, which is known, with these streams; their engine is not settled."""
        assert self.model.factory is not None  # noqa: S101 (`trainable` was asked before)
        return Population.create(
            self.model.factory, count, seed=streams, device=self.model.device, dtype=self.model.dtype
        )

    def once(self, name: str, make: Any) -> Any:  # noqa: ANN401 (whatever it makes)
        """What several scorers share, made when it is first asked for."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


def check_classes(examples: Examples) -> None:
    """Check that there is something to tell apart.

    Raises:
        InputError: a single class, or one with fewer than two examples.
    """
    if len(examples.classes) < 2:
        raise InputError(f"expected at least two classes, got {len(examples.classes)}")
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    for label in np.flatnonzero(counts < 2)[:1]:
        raise InputError(
            f"expected at least two examples of each class, got {counts[label]} of class {examples.classes[label]!r}: "
            "number classes from 0 without gaps, or keep only those that occur (`classes`)"
        )


def model_error(probabilities: Scores, labels: Labels, kept: npt.NDArray[np.bool_]) -> float:
    """Share of the kept examples whose label is not the most probable class of `[n, C]`."""
    return float((probabilities.argmax(1) != labels)[kept].mean()) if kept.any() else 0.0


@dataclass(frozen=True, eq=False)
class Finding:
    """What a scorer found out.

    Attributes:
        scores: `[n]`, higher is more suspicious.
        wrong: `[n]`, which labels it takes for wrong, or None if it only ranks them.
        noise_ratio: its estimate of the share of wrong labels, or None.
        model_error: share of the labels taken for right that predictions made without them miss (held-out models', or
            the neighbours'), or None if there are none.
        suggested: `[n]` the class that it takes for the true one, or None.
        evidence: what else is worth knowing, as plain values by name.
    """

    scores: Scores
    wrong: npt.NDArray[np.bool_] | None = None
    noise_ratio: float | None = None
    model_error: float | None = None
    suggested: Labels | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


class Scorer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Gives every example a suspicion. Its fields are its settings, with the published values as defaults.

    Attributes:
        presets: further named settings, each the parts that differ from the defaults.
        title: a few words for tables.
        trains: whether it trains models of its own.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    title: ClassVar[str] = ""
    trains: ClassVar[bool] = False

    @abc.abstractmethod
    def score(self, subject: Subject) -> Finding:
        """Score every example.

        Raises:
            NotSupportedError: the scorer needs something that is not there, such as a recipe.
            InputError: the data do not let it say anything.
        """
        raise NotImplementedError
