"""A synthetic data set in the layout of CASIA-SURF: drawn persons, and photographs of them.

Forgetting can be measured on it. Every face looks some years older or younger than its person is, so a network can
only estimate the age of a stranger, but it can memorize the persons that it has seen.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from untrain.core.files import unwritable
from untrain.core.randomness import Streams
from untrain.data.surf.draw import photographs as drawn
from untrain.data.surf.read import AGES, CLASSES, COLOR, PHOTOGRAPHS
from untrain.errors import InputError

CLASS_COUNTS = (14637, 1606, 1062, 440, 556, 906, 2268, 1529, 595, 401)
"""Photographs of each age class in the training part of the competition, read off a figure of its organizers
("Evaluation for the NeurIPS Machine Unlearning Competition", 2023)."""
YOUNGEST, YEARS_A_CLASS = 20, 6
MOST_PERSONS = 999_999

_FIRST_TEN = (0, 9, 1, 2, 3, 4, 5, 6, 7, 8)
_LOOKS_DEVIATION = 2.0
"""Standard deviation of how many years older a face looks than its person is."""
_QUALITY = 90
_DRAFT = re.compile(r"\.surf\.\d+\.tmp")


@dataclass(frozen=True)
class _Person:
    """Somebody who is drawn.

    Attributes:
        name: of 11 characters, as the published ones have.
        age: age in whole years, as it is published.
        looks: age that the face shows, in years.
        gender: `M` or `F`.
    """

    name: str
    age: int
    looks: float
    gender: str


def synthesize_surf(
    directory: str | Path,
    persons: int = 1000,
    seed: int = 0,
    *,
    photographs: int = 30,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Draw persons and write photographs of them, in the layout that `load` reads as `surf`.

    Ages are 20 to 79. Persons have age classes in the proportions of the competition's photographs, as nearly as
    whole persons allow, but each class has at least one. Person i does not depend on the
    number of persons. The same arguments give the same bytes with the same versions of NumPy and Pillow.

    Photographs are JPEG of 64x64 pixels: twice what is learned from, so that resizing smooths edges and compression as
    it does with real photographs, at 2.5 KB each.

    Args:
        directory: a new or empty directory to write to. `Age_Gender.txt` appears there last, when all is written; what
            an interrupted call leaves is never read, and the same call can be made again.
        persons: number of persons, 10 to 999,999.
        seed: seed of all draws.
        photographs: number of photographs of each person.
        progress: called twenty times with a few words about the next step.

    Raises:
        InputError: a number is out of range, the directory holds something, or cannot be written to.

    Cost: 30 ms and 75 KB for a person with 30 photographs, on one core.
    """
    if not CLASSES <= persons <= MOST_PERSONS or photographs < 1:
        raise InputError(
            f"There must be {CLASSES} to {MOST_PERSONS} persons and at least 1 photograph of each, "
            f"got {persons} and {photographs}."
        )
    streams = Streams(seed).child("surf")
    classes = age_classes(persons)
    people = [_person(streams.child(str(number)), number, age_class) for number, age_class in enumerate(classes)]
    with _draft_of(Path(directory)) as draft:
        for number, person in enumerate(people):
            if progress is not None and number % -(-persons // 20) == 0:
                progress(f"drawing person {number + 1} of {persons}")
            images = drawn(streams.child(str(number), "face"), person.looks, person.gender == "M", photographs)
            folder = draft / PHOTOGRAPHS / person.name / COLOR
            folder.mkdir(parents=True)
            for row, image in enumerate(images):
                Image.fromarray(image).save(folder / f"{row + 1:03d}.jpg", quality=_QUALITY)
        lines = [f"{person.name} {person.age} {person.gender}\n" for person in people]
        (draft / AGES).write_text("".join(lines), encoding="utf-8")


def age_classes(persons: int) -> list[int]:
    """The age class of each person: one of each class, then always of the class that lags most behind its share.

    >>> age_classes(13)
    [0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0]
    """
    shares = np.asarray(CLASS_COUNTS) / sum(CLASS_COUNTS)
    chosen, counts = list(_FIRST_TEN[:persons]), np.ones(CLASSES)
    while len(chosen) < persons:
        chosen.append(int(np.argmax(shares * (len(chosen) + 1) - counts)))
        counts[chosen[-1]] += 1
    return chosen


def _person(streams: Streams, number: int, age_class: int) -> _Person:
    draw = streams.generator("person")
    within = int(draw.integers(YEARS_A_CLASS))
    if number < 2:  # the youngest and the oldest of all, so that the classes are the same at any number of persons
        within = 0 if age_class == 0 else YEARS_A_CLASS - 1
    age = YOUNGEST + YEARS_A_CLASS * age_class + within
    looks = age + 0.5 + draw.normal(0, _LOOKS_DEVIATION)
    return _Person(f"SYNT_{number:06d}", age, looks, "M" if draw.random() < 0.5 else "F")


@contextlib.contextmanager
def _draft_of(directory: Path) -> Iterator[Path]:
    """A hidden folder in `directory`; its content is moved up when it is complete, and removed otherwise."""
    _check_empty(directory)
    is_new = not directory.exists()
    draft = directory / f".surf.{os.getpid()}.tmp"
    try:
        draft.mkdir(parents=True)
        yield draft
        for name in (PHOTOGRAPHS, AGES):
            os.rename(draft / name, directory / name)
        with contextlib.suppress(OSError):  # all is there
            draft.rmdir()
    except BaseException as error:
        for leftover in (draft, directory / PHOTOGRAPHS):  # nothing was there before
            shutil.rmtree(leftover, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):
                directory.rmdir()
        if isinstance(error, OSError):
            raise unwritable(directory, error) from error
        raise


def _check_empty(directory: Path) -> None:
    """Refuse anything but an empty directory; the remains of a call that was killed are removed."""
    try:
        for draft in directory.glob(".surf.*.tmp"):
            with contextlib.suppress(OSError):  # only an empty one can be, whose files have all been moved
                draft.rmdir()
        entries = sorted(directory.iterdir()) if directory.exists() else []
        # A call that was killed between its last two renames has left the photographs beside its draft.
        ours = {PHOTOGRAPHS} if any(_DRAFT.fullmatch(entry.name) for entry in entries) else set()
        for entry in entries:
            if not _DRAFT.fullmatch(entry.name) and entry.name not in ours:
                raise InputError(f"{directory} holds {entry.name!r}: name a new or an empty directory.")
        for entry in reversed(entries):  # the draft last: it tells whose the photographs are
            shutil.rmtree(entry)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{directory} is no directory that can be written to: {reason}") from error
