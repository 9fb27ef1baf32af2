"""CASIA-SURF as published: photographs of persons, to be classified by age.

Source of the classes and the size: the organisers' code for the NeurIPS 2023 competition (google-deepmind/
unlearning_evaluation, surf.py; Triantafillou et al., 2024, "Are we making progress in unlearning?").

    <root>/Age_Gender.txt                                     a line a person: name, age in years, gender
    <root>/WBackground/<person>/real.rssdk/color/<any>.jpg    or, as the organisers read it, with one more folder
                                                              between WBackground and the person
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from untrain.data.examples import Examples, Labels, Positions
from untrain.data.images import check_inside, decode, read_bytes, stack
from untrain.errors import InputError

NAME = "surf"
AGES = "Age_Gender.txt"
PHOTOGRAPHS = "WBackground"
COLOR = Path("real.rssdk", "color")
SIDE = 32
"""Height and width in pixels of what is learned from."""
CLASSES = 10
OLDEST = 120
"""A larger number in the place of the age is taken for a mistake."""
_SUFFIXES = {".jpg", ".jpeg"}

Choose = Callable[[Labels, tuple[str, ...]], tuple[Positions, Labels, tuple[str, ...]]]


def find_surf(source: str, data_dir: str | Path | None) -> Path | None:
    """The folder of the data set that a source names, or None if it names something else.

    Args:
        source: `surf`, or the path of a folder that holds `Age_Gender.txt` or `WBackground`.
        data_dir: for `surf`: that folder itself, or one in which it is named `surf`; default the variable
            `UNTRAIN_DATA`.

    Raises:
        InputError: `surf` is asked for and not there.
    """
    if source != NAME:
        return Path(source) if _looks_right(Path(source)) else None
    root = data_dir or os.environ.get("UNTRAIN_DATA")
    if not root:
        raise InputError(f"expected a folder that holds {NAME}/{AGES}: give --data-dir or set UNTRAIN_DATA")
    for folder in (Path(root), Path(root) / NAME):
        if _looks_right(folder):
            return folder
    raise InputError(f"expected {AGES} in {root} or in {Path(root) / NAME}, found no such file")


def _looks_right(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (AGES, PHOTOGRAPHS))


def read_surf(root: Path, choose: Choose) -> Examples:
    """Read the photographs that are chosen; nothing else is decoded.

    Persons without photographs are passed over, and their ages make no difference to the classes; in the organisers'
    code they do. Where everybody who is listed was photographed, the classes are the same.

    Args:
        root: folder of the data set.
        choose: which rows to keep, given the class number of each and the names of the classes; returns rows, their
            class numbers and the names.

    Returns:
        Inputs float32 `[n, 3, 32, 32]` with values 0 to 255, not scaled, as in the competition: the learning rates and
        the noise of its methods were found for them. Photographs of another size are resized without keeping the ratio
        of their sides, bilinearly over all pixels that a new one covers, as the organisers' code does it. Labels are
        classes of age, ten of equal width from the lowest age to the highest plus one, named by the ages in them, such
        as `20-25`. Groups are persons, ids paths below `root`.

    Raises:
        InputError: a file or folder is missing, cannot be read, or leads out of `root`; a line is not `name age
            gender`, an age is no whole number from 0 to 120, a person is listed twice, or photographed and not listed;
            ages span less than ten years; a photograph is corrupt or too large.

    Cost: of 30,000 photographs of 64x64 pixels, some 10 seconds and 460 MB.
    """
    ages = _read_ages(root)
    persons, files = _photographs(root)
    check_inside([root / AGES, *files], root)
    for person, file in zip(persons, files, strict=True):
        if person not in ages:
            raise InputError(f"expected the age of {person} in {root / AGES}, got a photograph {file} and no age")
        if not file.is_file():
            raise InputError(f"expected a photograph, got {file} that is no file")
    all_labels, names = _age_classes(np.asarray([ages[person] for person in persons]), root / AGES)
    rows, labels, names = choose(all_labels, names)
    ids = [files[row].relative_to(root).as_posix() for row in rows]
    images = [_resized(decode(read_bytes(files[row]), str(files[row]))) for row in rows]
    return Examples.of(stack(images, ids, str(root), unit=1), labels, ids, names, [persons[row] for row in rows])


def _read_ages(root: Path) -> dict[str, int]:
    """Age in years of each person that is listed."""
    file = root / AGES
    if not file.is_file():
        raise InputError(f"expected {AGES} in {root}, found no such file")
    check_inside([file], root)
    try:
        lines = read_bytes(file).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"expected text in UTF-8 in {file}, got other bytes: {error}") from error
    ages: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3:
            raise InputError(f"expected name, age and gender, got {line.strip()[:80]!r} in {file}, line {number}")
        person, age, _ = fields
        if not (age.isascii() and age.isdigit() and len(age) <= 3 and int(age) <= OLDEST):
            raise InputError(
                f"expected an age in whole years from 0 to {OLDEST}, got {age[:80]!r} in {file}, line {number}"
            )
        if person in ages:
            raise InputError(f"expected each person once, got {person[:80]!r} again in {file}, line {number}")
        ages[person] = int(age)
    return ages


def _photographs(root: Path) -> tuple[list[str], list[Path]]:
    """The person on each photograph, and its file."""
    persons, files = [], []
    try:
        for folder in _visible(root / PHOTOGRAPHS):
            for person in [folder] if (folder / COLOR).is_dir() else _visible(folder):
                found = [file for file in _visible(person / COLOR) if file.suffix.lower() in _SUFFIXES]
                persons += [person.name] * len(found)
                files += found
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror or error}") from error
    if not files:
        raise InputError(f"expected photographs {root / PHOTOGRAPHS}/<person>/{COLOR}/*.jpg, found none")
    return persons, files


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, in order of names; nothing if it is none."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith(".")) if folder.is_dir() else []


def _age_classes(ages: npt.NDArray[np.int64], file: Path) -> tuple[Labels, tuple[str, ...]]:
    """Class number of each age, and the names of the classes."""
    lowest, highest = int(ages.min()), int(ages.max())
    if highest + 1 - lowest < CLASSES:
        raise InputError(
            f"expected ages that span at least {CLASSES} years, one for each class, got {lowest} to {highest} in {file}"
        )
    edges = np.linspace(lowest, highest + 1, CLASSES + 1)
    years = np.arange(lowest, highest + 1)
    of_year = np.digitize(years, edges) - 1
    members = [years[of_year == number] for number in range(CLASSES)]
    names = tuple(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in members)
    return of_year[ages - lowest].astype(np.int64), names


def _resized(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A photograph `[1 or 3, height, width]` as `[3, 32, 32]`."""
    colored = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
    if pixels.shape[1:] != (SIDE, SIDE):
        image = Image.fromarray(np.ascontiguousarray(np.moveaxis(colored, 0, -1)))
        colored = np.moveaxis(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)), -1, 0)
    return colored
