"""Confidences drawn from distributions that are known, to check intervals and bounds against the truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

KINDS = ("normal", "student", "correlated")


@dataclass(frozen=True, eq=False)
class Truth:
    """S forget examples: retrained confidences have mean 0 and one shape, unlearned ones are shifted and stretched.

    Attributes:
        kind: "normal", "student" (t with 5 degrees of freedom) or "correlated" (normal; the examples of one model share
            a factor with loadings near 0.55).
        shift: `[S]`.
        scale: `[S]`.
    """

    kind: str
    shift: Array
    scale: Array

    @classmethod
    def draw(cls, kind: str, examples: int, size: float = 1.0) -> "Truth":
        generator = np.random.default_rng(3)
        shift, log_scale = generator.normal(0.4, 0.6, examples), generator.normal(-0.1, 0.2, examples)
        return cls(kind, size * shift, np.exp(log_scale) if size else np.ones(examples))

    def unlearned(self, generator: np.random.Generator, models: int) -> Array:
        arm: Array = self.shift + self.scale * self.retrained(generator, models)
        return arm

    def retrained(self, generator: np.random.Generator, models: int) -> Array:
        shape = (models, len(self.shift))
        if self.kind == "student":
            return generator.standard_t(5, shape)
        if self.kind == "correlated":
            loading = np.random.default_rng(4).normal(0.55, 0.1, shape[1])
            own = np.sqrt(1 - loading**2) * generator.normal(size=shape)
            together: Array = loading * generator.normal(size=(models, 1)) + own
            return together
        return generator.normal(size=shape)

    def energies(self) -> Array:
        """`[2]`: the true rank energy and folded rank energy, means over the examples, by integration over ranks."""
        law = stats.t(5) if self.kind == "student" else stats.norm()
        means: Array = np.mean(
            [_energies(law, *example) for example in zip(self.shift, self.scale, strict=True)], axis=0
        )
        return means


def _energies(law: Any, shift: float, scale: float) -> list[float]:
    """With a(p) the unlearned share below the rank p, F - G is `2 a - 2 p`, and likewise for the fold."""
    reach = 40 * max(1.0, scale)
    at = np.sinh(np.linspace(-np.arcsinh(reach), np.arcsinh(reach + abs(shift)), 40_001)) + min(shift, 0)
    unlearned, retrained = law.cdf((at - shift) / scale), law.cdf(at)
    rank = np.linspace(0, 1, 4001)
    share = np.interp(rank, (unlearned + retrained) / 2, unlearned)
    within = np.interp((1 + rank) / 2, rank, share) - np.interp((1 - rank) / 2, rank, share)
    return [float(2 * np.trapezoid((2 * part - 2 * rank) ** 2, rank)) for part in (share, within)]


MEMBERSHIP_LAWS = ("normal", "narrow", "wide", "tail up", "tail down")


@dataclass(frozen=True)
class Cell:
    """Confidences of forget and held-out examples whose AUC is known, the same in every class.

    Attributes:
        forget: number of forget examples of each class.
        held_out: number of held-out examples of each class.
        auc: the true one.
        law: held-out confidences are standard normal, forget ones normal with a standard deviation of 1 ("normal"), 1/5
            ("narrow") or 5 ("wide"); or both are exponential with the long tail up or down.
    """

    forget: tuple[int, ...]
    held_out: tuple[int, ...]
    auc: float = 0.5
    law: str = "normal"

    def draw(self, generator: np.random.Generator) -> tuple[Array, Array, Labels, Labels]:
        """Confidences and labels, as the membership check takes them."""
        counts = (self.forget, self.held_out)
        forget_labels, held_out_labels = (np.repeat(np.arange(len(count)), count) for count in counts)
        forget, held_out = self._confidences(generator, len(forget_labels), len(held_out_labels))
        return forget, held_out, forget_labels, held_out_labels

    def _confidences(self, generator: np.random.Generator, forget: int, held_out: int) -> tuple[Array, Array]:
        if self.law.startswith("tail"):
            sign = 1 if self.law == "tail up" else -1
            scale = (self.auc / (1 - self.auc)) ** sign
            return sign * scale * generator.exponential(size=forget), sign * generator.exponential(size=held_out)
        spread = {"normal": 1, "narrow": 1 / 5, "wide": 5}[self.law]
        shift = np.hypot(1, spread) * special.ndtri(self.auc)
        return shift + spread * generator.normal(size=forget), generator.normal(size=held_out)
