"""CASIA-SURF as published: photographs of persons, to be classified by age.

Source of the classes and the size: the organizers' code for the NeurIPS 2023 competition (google-deepmind/
unlearning_evaluation, surf.py; Triantafillou et al., 2024, "Are we making progress in unlearning?").

    <root>/Age_Gender.txt                                     a line a person: name, age in years, gender
    <root>/WBackground/<person>/real.rssdk/color/<any>.jpg    or, as the organizers read it, with one more folder
                                                              between WBackground and the person
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from untrain.data.columns import Columns
from untrain.data.images import Pictures, Pixels, check_inside, read_bytes
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


def find_surf(source: str, data_dir: str | Path | None) -> Path | None:
    """The folder of the data set that a source names, or None if it names something else.

    Args:
        source: `surf`, or the path of a folder that holds `Age_Gender.txt` or `WBackground`.
        data_dir: for `surf`, that folder itself, or one in which it is named `surf`; default the variable
            `UNTRAIN_DATA`.

    Raises:
        InputError: `surf` is asked for and not there.
    """
    if source != NAME:
        return Path(source) if _looks_right(Path(source)) else None
    root = data_dir or os.environ.get("UNTRAIN_DATA")
    if not root:
        raise InputError(
            f"Reading {NAME} needs the folder that holds {NAME}/{AGES}: give --data-dir or set UNTRAIN_DATA."
        )
    for folder in (Path(root), Path(root) / NAME):
        if _looks_right(folder):
            return folder
    raise InputError(f"There is no {AGES} in {root} or in {Path(root) / NAME}: give --data-dir or set UNTRAIN_DATA.")


def _looks_right(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (AGES, PHOTOGRAPHS))


def read_surf(root: Path) -> Columns:
    """Find the photographs; they are decoded later.

    Persons without photographs are passed over, and their ages make no difference to the classes; in the organizers'
    code they do. Where everybody who is listed was photographed, the classes are the same.

    Args:
        root: folder of the data set.

    Returns:
        Inputs that become float32 `[n, 3, 32, 32]` with values 0 to 255, not scaled, as in the competition: the
        learning rates and the noise of its methods were found for them. Photographs of another size are resized without
        keeping the ratio of their sides, bilinearly over all pixels that a new one covers, as the organizers' code does
        it. Labels are classes of age, ten of equal width from the lowest age to the highest plus one, named by the ages
        in them, such as `20-25`. Groups are persons, ids paths below `root`.

    Raises:
        InputError: a file or folder is missing, cannot be read, or leads out of `root`; a line is not `name age
            gender`, an age is no whole number from 0 to 120, a person is listed twice, or photographed and not listed;
            ages span less than ten years.

    Cost: with decoding, some 10 seconds and 460 MB for 30,000 photographs of 64x64 pixels.
    """
    ages = _read_ages(root)
    persons, files = _photographs(root)
    check_inside([root / AGES, *files], root)
    for person, file in zip(persons, files, strict=True):
        if person not in ages:
            raise InputError(f"There is a photograph {file} but no age of {person} in {root / AGES}: add a line.")
        if not file.is_file():
            raise InputError(f"{file} is named as a photograph but is no file: remove it.")
    labels, names = _age_classes(np.asarray([ages[person] for person in persons]), root / AGES)
    ids = [file.relative_to(root).as_posix() for file in files]
    return Columns(Pictures(files, str(root), _resized, unit=1), labels, ids, persons, names)


def _read_ages(root: Path) -> dict[str, int]:
    """Age in years of each person that is listed."""
    file = root / AGES
    if not file.is_file():
        raise InputError(f"There is no {AGES} in {root}: copy it there, or name another folder.")
    check_inside([file], root)
    try:
        lines = read_bytes(file).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} must be text in UTF-8: {error}") from error
    ages: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3:
            raise InputError(
                f"A line must be name, age and gender, got {line.strip()[:80]!r} in {file}, line {number}."
            )
        person, age, _ = fields
        if not (age.isascii() and age.isdigit() and len(age) <= 3 and int(age) <= OLDEST):
            raise InputError(
                f"An age must be in whole years from 0 to {OLDEST}, got {age[:80]!r} in {file}, line {number}."
            )
        if person in ages:
            raise InputError(f"Each person must be listed once, got {person[:80]!r} again in {file}, line {number}.")
        ages[person] = int(age)
    return ages


def _photographs(root: Path) -> tuple[list[str], list[Path]]:
    """The person on each photograph, and its file."""
    persons, files = [], []
    try:
        for folder in _visible(root / PHOTOGRAPHS):
            for person in [folder] if (folder / COLOR).is_dir() else _visible(folder):
                photographs = [file for file in _visible(person / COLOR) if file.suffix.lower() in _SUFFIXES]
                persons += [person.name] * len(photographs)
                files += photographs
    except OSError as error:
        raise InputError(f"Cannot read {error.filename}: {error.strerror or error}") from error
    if not files:
        raise InputError(f"There are no photographs {root / PHOTOGRAPHS}/<person>/{COLOR}/*.jpg.")
    return persons, files


def _visible(folder: Path) -> list[Path]:
    """The content of a folder, sorted by name; nothing if it is no folder."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")) if folder.is_dir() else []


def _age_classes(ages: npt.NDArray[np.int64], file: Path) -> tuple[list[int], list[str]]:
    """Class number of each age, and the names of the classes."""
    lowest, highest = int(ages.min()), int(ages.max())
    if highest + 1 - lowest < CLASSES:
        raise InputError(
            f"Ages must span at least {CLASSES} years, one for each class, got {lowest} to {highest} in {file}."
        )
    edges = np.linspace(lowest, highest + 1, CLASSES + 1)
    years = np.arange(lowest, highest + 1)
    of_year = np.digitize(years, edges) - 1
    members = [years[of_year == number] for number in range(CLASSES)]
    names = [f"{years[0]}-{years[-1]}" if len(years) > 1 else f"{years[0]}" for years in members]
    return of_year[ages - lowest].tolist(), names


def _resized(pixels: Pixels) -> Pixels:
    """A photograph `[1 or 3, height, width]` as `[3, 32, 32]`."""
    colored = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
    if pixels.shape[1:] != (SIDE, SIDE):
        image = Image.fromarray(np.ascontiguousarray(np.moveaxis(colored, 0, -1)))
        colored = np.moveaxis(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)), -1, 0)
    return colored
