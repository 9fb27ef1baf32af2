"""A model before and after: accuracy on the same examples, and whether the validation examples may be used."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untrain.core.estimate import Estimate
from untrain.data import Examples
from untrain.errors import InputError
from untrain.population import Population

_CONFIDENT = 1.96
"""Standard errors on each side of an interval that covers 95 %."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same examples.

    Attributes:
        examples: how many.
        before: accuracy of the first model, in 0..1.
        after: accuracy of the second model, in 0..1.
        lost: number of examples that only the first classifies correctly.
        won: number of examples that only the second classifies correctly.
    """

    examples: int
    before: float
    after: float
    lost: int
    won: int

    @classmethod
    def of(cls, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> "Comparison":
        """From which examples each classifies correctly, `[n]`, n at least 1."""
        lost, won = int((before & ~after).sum()), int((after & ~before).sum())
        return cls(len(before), float(before.mean()), float(after.mean()), lost, won)

    @property
    def drop(self) -> float:
        """Accuracy of the first model minus that of the second."""
        return (self.lost - self.won) / self.examples

    @property
    def standard_error(self) -> float:
        """Standard error of the paired difference."""
        return math.sqrt(self.lost + self.won) / self.examples

    def interval(self) -> tuple[float, float]:
        """95 % interval of `after - before`.

        Source: Bonett, Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based
        on paired data". One example is added to those lost and one to those won, so the interval has a width even where
        nothing differs.

        >>> low, high = Comparison(100, 0.5, 0.5, 0, 0).interval()
        >>> round(low, 3), round(high, 3)
        (-0.027, 0.027)
        """
        count = self.examples + 2
        lost, won = (self.lost + 1) / count, (self.won + 1) / count
        half = _CONFIDENT * math.sqrt((lost + won - (won - lost) ** 2) / count)
        return max(-1.0, won - lost - half), min(1.0, won - lost + half)

    @property
    def change(self) -> Estimate:
        """`after - before` with its interval."""
        return Estimate(self.after - self.before, *self.interval())


def added_up(change: Estimate, earlier: Iterable[Estimate]) -> Estimate:
    """A change of accuracy since the first of several requests, with an interval that covers 95 % or more.

    Changes add up, and so do the squares of half the widths of their intervals: exactly where the requests were
    compared on different examples, and as an upper limit on the same ones, since the examples that the first and the
    last model classify differently are at most those that any two in between do.
    """
    changes = [change, *earlier]
    if len(changes) == 1:
        return change
    center = sum((one.low + one.high) / 2 for one in changes)
    half = math.sqrt(sum(((one.high - one.low) / 2) ** 2 for one in changes))
    return Estimate(sum(one.value for one in changes), max(-1.0, center - half), min(1.0, center + half))


def logits_of(models: Population, examples: Examples) -> npt.NDArray[np.float32]:
    """Logits of a population of one, `[n, C]`, as NumPy floats whatever type the model computes in."""
    return np.asarray(models.logits(examples)[0].float().cpu().numpy())


def correct(models: Population, examples: Examples) -> npt.NDArray[np.bool_]:
    """Which examples a population of one classifies correctly, `[n]`; none where its logits are not finite."""
    logits = logits_of(models, examples)
    return np.asarray(np.isfinite(logits).all(1) & (logits.argmax(1) == examples.labels))


def check_validation(examples: Examples, validation: Examples) -> None:
    """Check that validation examples have the form of the training examples, and that none is one of them.

    Raises:
        InputError: they do not, or one is.
    """
    if not len(validation):
        raise InputError("The validation set is empty; give at least one validation example.")
    if validation.classes != examples.classes or validation.form != examples.form:
        raise InputError(
            f"Validation examples must have the {len(examples.classes)} classes and the inputs {examples.form} of the "
            f"training examples, got {len(validation.classes)} classes {', '.join(validation.classes[:3])}... and the "
            f"inputs {validation.form}."
        )
    leaks = np.intersect1d(examples.ids, validation.ids)
    if len(leaks):
        raise InputError(
            f"The validation example {str(leaks[0])!r} is also in the training set: leave it out of one, or give the "
            "rows ids of their own if they are two examples."
        )
