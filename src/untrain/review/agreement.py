"""Two reviewers: how well they agree, and one file of both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untrain.core.estimate import Estimate
from untrain.detection import Answer, ReviewFile
from untrain.detection.review import NO, YES, unescape
from untrain.errors import InputError

_DRAWS = 20_000
_PRIOR = 0.5
"""Jeffreys' prior of a table of counts."""


@dataclass(frozen=True)
class Agreement:
    """How well two reviewers agree.

    Attributes:
        both: number of examples that both decided.
        same: how many of these got the same answer, the class included.
        kappa: Cohen's kappa of their answers yes and no, with a 95 % interval; None where not both words were used.
        conflicts: ids with different answers.
    """

    both: int
    same: int
    kappa: Estimate | None
    conflicts: tuple[str, ...]

    def __str__(self) -> str:
        if not self.both:
            return "The two reviews have no decided example in common, so their agreement is not known."
        words = f"Both decided {self.both} examples, {self.same} of them alike."
        if self.kappa is None:
            return f"{words} Cohen's kappa is not defined, since there is only one kind of answer."
        return f"{words} Cohen's kappa of wrong and correct is {self.kappa:.2f}, with its 95 % interval."


def kappa(table: npt.ArrayLike) -> float:
    """Cohen's kappa of a table of counts, `[answers of one, answers of the other]`; NaN where chance agrees wholly.

    Source: Cohen, 1960, "A coefficient of agreement for nominal scales".
    """
    counts = np.asarray(table, dtype=np.float64)
    shares = counts / counts.sum()
    chance = float(shares.sum(0) @ shares.sum(1))
    return (float(np.trace(shares)) - chance) / (1 - chance) if chance < 1 else float("nan")


def kappa_interval(table: npt.ArrayLike, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of Cohen's kappa: quantiles under a Dirichlet posterior of the table with Jeffreys' prior.

    Unlike an interval from a standard error, it keeps its width where two reviewers agree on everything.

    Args:
        table: counts, `[answers of one, answers of the other]`.
        seed: of the draws.
    """
    counts = np.asarray(table, dtype=np.float64)
    draws = np.random.default_rng(seed).dirichlet(counts.ravel() + _PRIOR, _DRAWS).reshape(-1, *counts.shape)
    agreed = np.trace(draws, axis1=1, axis2=2)
    chance = (draws.sum(1) * draws.sum(2)).sum(1)
    low, high = np.quantile((agreed - chance) / (1 - chance), [0.025, 0.975])
    return float(low), float(high)


def merge(ours: ReviewFile, theirs: ReviewFile) -> tuple[ReviewFile, Agreement]:
    """The answers of both. Where they differ, the example is undecided again and both answers are noted.

    A difference that was settled in `ours` before stays settled.

    Raises:
        InputError: the two have no id in common.
    """
    if not ours.rows.keys() & theirs.rows.keys():
        raise InputError(f"{ours.path} and {theirs.path} have no id in common: merge reviews of the same data.")
    merged, conflicts, pairs = dict[str, Answer](), list[str](), list[tuple[Answer, Answer]]()
    for name, other in theirs.answers.items():
        answer = ours.answers.get(name, Answer())
        if not other.wrong or (answer.wrong and answer.conflict):
            continue
        if not answer.wrong:
            merged[name] = other
            continue
        pairs.append((answer, other))
        if answer.words != other.words:
            conflicts.append(name)
            merged[name] = Answer(conflict=f"{answer.words} | {other.words}")
    new = {name: _cells(theirs, name) for name in merged if name not in ours.rows}
    return ours.with_answers(merged, new), _agreement(pairs, conflicts)


def _agreement(pairs: list[tuple[Answer, Answer]], conflicts: list[str]) -> Agreement:
    table = np.zeros((2, 2), dtype=np.int64)
    for answer, other in pairs:
        if {answer.wrong, other.wrong} <= {YES, NO}:
            table[int(answer.wrong == YES), int(other.wrong == YES)] += 1
    value = kappa(table) if table.sum() else float("nan")
    estimate = None if np.isnan(value) else Estimate(value, *kappa_interval(table))
    return Agreement(len(pairs), len(pairs) - len(conflicts), estimate, tuple(conflicts))


def _cells(file: ReviewFile, name: str) -> dict[str, str]:
    cells = dict(zip(file.head, file.rows[name], strict=True))
    return {column: unescape(cells[column]) for column in ("label", "suggested", "score") if column in cells}


def review_path(place: Path) -> Path:
    """The review file of a directory, or the file itself."""
    return place / "suspects.csv" if place.is_dir() else place
