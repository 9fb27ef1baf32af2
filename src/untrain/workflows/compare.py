"""A model before and after: accuracy on the same examples, and whether what it is compared on may be used."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        before: share that the first model has right.
        after: share that the second has right.
        lost: examples that only the first has right.
        won: examples that only the second has right.
    """

    examples: int
    before: float
    after: float
    lost: int
    won: int

    @classmethod
    def of(cls, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> "Comparison":
        """From what each has right, `[n]`, n at least 1."""
        lost, won = int((before & ~after).sum()), int((after & ~before).sum())
        return cls(len(before), float(before.mean()), float(after.mean()), lost, won)

    @property
    def fall(self) -> float:
        """By how much the second model is worse, a share; negative if it is better."""
        return (self.lost - self.won) / self.examples

    @property
    def error(self) -> float:
        """One standard error of the paired difference, a share."""
        return math.sqrt(self.lost + self.won) / self.examples

    def interval(self) -> tuple[float, float]:
        """95 % interval of `after - before`.

        Source: Bonett, Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based
        on paired data": with one more example lost and one more won, so that it has a width where nothing differs.

        >>> low, high = Comparison(100, 0.5, 0.5, 0, 0).interval()
        >>> round(low, 3), round(high, 3)
        (-0.027, 0.027)
        """
        count = self.examples + 2
        lost, won = (self.lost + 1) / count, (self.won + 1) / count
        half = _CONFIDENT * math.sqrt((lost + won - (won - lost) ** 2) / count)
        return max(-1.0, won - lost - half), min(1.0, won - lost + half)


def logits_of(models: Population, examples: Examples) -> npt.NDArray[np.float32]:
    """Logits of the only model, `[n, C]`, as NumPy has them, whatever the model computes in."""
    return np.asarray(models.logits(examples)[0].float().cpu().numpy())


def right(models: Population, examples: Examples) -> npt.NDArray[np.bool_]:
    """Which examples the only model classifies rightly, `[n]`; none where its logits are not finite."""
    logits = logits_of(models, examples)
    return np.asarray(np.isfinite(logits).all(1) & (logits.argmax(1) == examples.labels))


def check_validation(examples: Examples, validation: Examples) -> None:
    """Check that validation examples are of the kind of the training examples, and none of them.

    Raises:
        InputError: they are not.
    """
    if not len(validation):
        raise InputError("expected at least one validation example, got none")
    if validation.classes != examples.classes or validation.inputs.shape[1:] != examples.inputs.shape[1:]:
        raise InputError(
            f"expected validation examples with the {len(examples.classes)} classes and inputs of shape "
            f"{examples.inputs.shape[1:]} of the training examples, got {len(validation.classes)} classes "
            f"{', '.join(validation.classes[:3])}... and shape {validation.inputs.shape[1:]}"
        )
    for leak in np.intersect1d(examples.ids, validation.ids)[:1]:
        raise InputError(f"expected validation examples outside the training set, got {str(leak)!r}")


def copies(of: Examples, among: Examples) -> npt.NDArray[np.bool_]:
    """Which examples `among` others have exactly the inputs of one `of` the first, `[n]`."""
    known = {row.tobytes() for row in np.ascontiguousarray(of.inputs)}
    return np.asarray([row.tobytes() in known for row in np.ascontiguousarray(among.inputs)], dtype=np.bool_)
