"""Splits: train, validation and test parts; forget set and retain set."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untrain.core.arguments import checked
from untrain.core.randomness import Streams
from untrain.core.text import nearest_file, printable
from untrain.data.examples import Examples
from untrain.errors import InputError


@dataclass(frozen=True, repr=False)
class Splits:
    """The three parts of a data set; no example is in two of them."""

    train: Examples
    validation: Examples
    test: Examples

    def __repr__(self) -> str:
        parts = (("train", self.train), ("validation", self.validation), ("test", self.test))
        return "\n".join(["Splits", *(f"  {name:<10}  {len(part):,} examples" for name, part in parts)])


@dataclass(frozen=True, repr=False)
class ForgetSplit:
    """A training set divided into the examples to be forgotten and the rest.

    Raises:
        InputError: a part is empty, or an example is in both.
    """

    forget: Examples
    retain: Examples

    def __post_init__(self) -> None:
        if not len(self.forget):
            raise InputError(f"None of the {len(self.retain)} examples would be forgotten: name at least one.")
        if not len(self.retain):
            raise InputError(f"All {len(self.forget)} training examples would be forgotten; nothing would be left.")
        leaks = np.intersect1d(self.forget.ids, self.retain.ids)
        if len(leaks):
            raise InputError(f"No example can be in the forget set and in the retain set, but {leaks[0]} is in both.")

    def __repr__(self) -> str:
        return f"ForgetSplit: {len(self.forget):,} examples to forget, {len(self.retain):,} to retain"


@checked
def split(examples: Examples, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Splits:
    """Divide examples at random into train, validation and test parts.

    Args:
        examples: at least three.
        validation: share of all examples, above 0.
        test: share of all examples, at least 0; the test part is empty at 0.
        seed: seed of the draw.

    Raises:
        InputError: a part would be empty that must not be.
    """
    count = len(examples)
    if not (0 < validation < 1 and 0 <= test < 1):
        raise InputError(
            f"The shares must be validation above 0 and test at least 0, both below 1, got {validation} and {test}."
        )
    for_validation, for_test = round(validation * count), round(test * count)
    if for_validation < 1 or (test > 0 and for_test < 1) or for_validation + for_test >= count:
        raise InputError(
            f"The shares leave a part of the {count} examples empty, got validation {validation} and test {test}: "
            "choose others."
        )
    order = Streams(seed).child("split").generator("order").permutation(count)
    parts = np.split(order, [for_validation, for_validation + for_test])
    validation_part, test_part, train = (examples.select(np.sort(part)) for part in parts)
    return Splits(train, validation_part, test_part)


def _divide(examples: Examples, chosen: npt.NDArray[np.bool_]) -> ForgetSplit:
    return ForgetSplit(examples.select(np.flatnonzero(chosen)), examples.select(np.flatnonzero(~chosen)))


@checked
def forget_ratio(examples: Examples, ratio: float, seed: int = 0) -> ForgetSplit:
    """Forget a share of the examples, drawn at random; `round(ratio * n)` of them.

    Raises:
        InputError: the ratio is not between 0 and 1, or so small or large that a part is empty.
    """
    if not 0 < ratio < 1:
        raise InputError(f"The forget ratio must be between 0 and 1, got {ratio}.")
    order = Streams(seed).child("forget").generator("ratio").permutation(len(examples))
    chosen = np.zeros(len(examples), dtype=np.bool_)
    chosen[order[: round(ratio * len(examples))]] = True
    return _divide(examples, chosen)


@checked
def forget_groups(examples: Examples, count: float, seed: int = 0) -> ForgetSplit:
    """Forget every example of some groups drawn at random, for example of 15 persons.

    Args:
        examples: with groups.
        count: number of groups; or, below 1, the share of the examples that they come nearest to.
        seed: seed of the draw.

    Raises:
        InputError: the examples have no groups, or not more than `count`; it is no whole number, or not above 0.
    """
    if examples.groups is None:
        raise InputError("These examples have no groups: forget a ratio or a list of ids.")
    groups, sizes = np.unique(examples.groups, return_counts=True)
    order = Streams(seed).child("forget").generator("groups").permutation(len(groups))
    if 0 < count < 1:
        shares = np.cumsum(sizes[order]) / len(examples)
        count = int(np.abs(shares - count).argmin()) + 1
    if not 0 < count < len(groups) or count != int(count):
        raise InputError(
            f"The number of groups to forget must be 1 to {len(groups) - 1}, or a share below 1, got {count:g}."
        )
    return _divide(examples, np.isin(examples.groups, groups[order[: int(count)]]))


@checked
def forget_ids(examples: Examples, ids: Iterable[object]) -> ForgetSplit:
    """Forget the examples with these ids.

    Raises:
        InputError: an id is unknown or occurs twice; none are given, or all.
    """
    chosen = np.zeros(len(examples), dtype=np.bool_)
    chosen[examples.positions(ids)] = True
    return _divide(examples, chosen)


@checked
def forget_class(examples: Examples, name: str) -> ForgetSplit:
    """Forget every example of one class.

    Raises:
        InputError: no class has this name, it has no examples, or there are no others.
    """
    if name not in examples.classes:
        known = ", ".join(map(printable, examples.classes[:10]))
        raise InputError(f"The class to forget must be one of {known}, got {name!r}.")
    return _divide(examples, examples.labels == examples.classes.index(name))


@checked
def forget_subjects(examples: Examples, subjects: Sequence[str]) -> ForgetSplit:
    """Forget every example of the groups with these names, for example of a person.

    Raises:
        InputError: the examples have no groups, or a subject is not among them.
    """
    if examples.groups is None:
        raise InputError("These examples have no groups, so a subject has no examples: forget a list of ids.")
    unknown = np.setdiff1d(np.asarray(subjects, dtype=np.str_), examples.groups)
    if len(unknown):
        raise InputError(f"The subject {str(unknown[0])!r} has no examples: look for its name among the groups.")
    return _divide(examples, np.isin(examples.groups, np.asarray(subjects, dtype=np.str_)))


@checked
def forget_ranked(examples: Examples, values: npt.ArrayLike, ratio: float, *, lowest: bool = False) -> ForgetSplit:
    """Forget the share of the examples with the highest, or lowest, values; `round(ratio * n)` of them.

    With losses (`untrain.population.losses`), these are the hardest or easiest examples to learn. With memorization
    (`untrain.population.memorized`), those that a model knows only because it was trained on them.

    Args:
        examples: what is divided.
        values: `[n]`, one for each example; of equal values, the example that comes first goes first.
        ratio: share of the examples, between 0 and 1.
        lowest: take the lowest values instead.

    Raises:
        InputError: the ratio is not between 0 and 1, or so small or large that a part is empty; there is not one
            finite value for each example.
    """
    ranked = np.asarray(values, dtype=np.float64)
    if ranked.shape != (len(examples),) or not np.isfinite(ranked).all():
        raise InputError(f"There must be {len(examples)} finite values, one for each example, got {ranked.shape}.")
    if not 0 < ratio < 1:
        raise InputError(f"The forget ratio must be between 0 and 1, got {ratio}.")
    order = np.argsort(ranked if lowest else -ranked, kind="stable")
    chosen = np.zeros(len(examples), dtype=np.bool_)
    chosen[order[: round(ratio * len(examples))]] = True
    return _divide(examples, chosen)


def read_ids(path: str | Path) -> list[str]:
    """Read ids from a text file in UTF-8, one a line.

    Ids are exact: spaces count. Empty lines are skipped; a byte order mark and Windows line ends are no part of an id.

    Raises:
        InputError: the file cannot be read as text.
    """
    try:
        lines = Path(path).read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, ValueError) as error:  # the latter of bytes that are no text, or of a name that no file can have
        reason = getattr(error, "strerror", None) or error
        advice = "; save it as UTF-8." if isinstance(error, UnicodeDecodeError) else nearest_file(Path(path)) or "."
        raise InputError(f"{path} cannot be read as a text file with one id a line: {reason}{advice}") from error
    return [name for line in lines if (name := line.removesuffix("\r"))]


_RANKED = {"highest-loss": ("loss", False), "lowest-loss": ("loss", True), "most-memorized": ("memorization", False)}
"""Of a text that asks for ranked examples: the values by which they are ranked, and whether the lowest are meant."""


def values_needed(request: str | float) -> str | None:
    """By which values of the examples a text for `forget_by` ranks them: `loss` or `memorization`; None if by none."""
    what, _ = _RANKED.get(str(request).partition(":")[0], (None, False))
    return what


def forget_by(
    examples: Examples,
    request: str | float,
    seed: int = 0,
    values: Callable[[str], npt.ArrayLike] | None = None,
) -> ForgetSplit:
    """Forget what a short text says.

    Args:
        examples: what is divided.
        request: a ratio (`0.02`), `groups:15`, `groups:0.02`, `ids:FILE`, `class:NAME`, `subject:NAME`,
            `highest-loss:RATIO`, `lowest-loss:RATIO` or `most-memorized:RATIO`.
        seed: of the draw, where there is one.
        values: gives the `loss` or the `memorization` of every example, `[n]`; called only where they are needed.

    Raises:
        InputError: the request is none of these, it does not fit the examples, or the values that it needs are not
            known.
    """
    kind, _, value = str(request).partition(":")
    try:
        if kind == "ids" and value:
            return forget_ids(examples, read_ids(value))
        if kind == "class" and value:
            return forget_class(examples, value)
        if kind == "subject" and value:
            return forget_subjects(examples, [value])
        if kind == "groups":
            return forget_groups(examples, float(value), seed)
        if kind in _RANKED:
            what, lowest = _RANKED[kind]
            ratio = float(value)
            if values is None:
                raise InputError(
                    f"the {what} of the examples is not known here; pass values=, a function that gives it."
                )
            return forget_ranked(examples, values(what), ratio, lowest=lowest)
        return forget_ratio(examples, float(request), seed)
    except InputError as error:
        raise InputError(f"Cannot forget {request}: {error}") from error
    except ValueError:
        raise InputError(
            "What to forget must be a ratio, groups:COUNT, groups:RATIO, ids:FILE, class:NAME, subject:NAME, "
            f"highest-loss:RATIO, lowest-loss:RATIO or most-memorized:RATIO, got {request!r}."
        ) from None
