"""Drawn faces are read back as what they are, come out the same, and teach a network both ages and persons."""

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_groups, load, split, synthesize_surf
from untrain.data.surf import synthesize
from untrain.data.surf.draw import photographs
from untrain.data.surf.synthesize import CLASS_COUNTS, age_classes
from untrain.errors import InputError
from untrain.models import CNN, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe


def digests(root: Path) -> dict[str, str]:
    """Of every file, by its path below the root."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    synthesize_surf(tmp_path / "new" / "faces", 40, photographs=4)
    root = tmp_path / "new" / "faces"
    assert sorted(path.name for path in root.iterdir()) == ["Age_Gender.txt", "WBackground"]
    found = load(str(root))
    assert found.inputs.shape == (160, 3, 32, 32)
    assert 0 <= found.inputs.min() < 30
    assert 200 < found.inputs.max() <= 255
    assert found.groups is not None
    people, counts = np.unique(found.groups, return_counts=True)
    assert counts.tolist() == [4] * 40
    listed = {line.split()[0]: line.split()[1:] for line in (root / "Age_Gender.txt").read_text().splitlines()}
    assert sorted(listed) == people.tolist()
    assert {gender for _, gender in listed.values()} == {"F", "M"}
    assert found.classes[0] == "20-25"
    assert found.classes[9] == "74-79"
    for person, label in zip(found.groups, found.labels, strict=True):
        assert int(listed[str(person)][0]) in range(20 + 6 * label, 26 + 6 * label)
    assert [found.labels[found.groups == person][0] for person in people] == age_classes(40)


@pytest.mark.parametrize("persons", [60, 150, 1000])
def test_classes_have_the_published_shares(persons: int) -> None:
    counts = np.bincount(age_classes(persons), minlength=10)
    exact = np.asarray(CLASS_COUNTS) / sum(CLASS_COUNTS) * persons
    assert counts.sum() == persons
    assert np.abs(counts - exact).max() < 1
    assert sorted(age_classes(persons)[:10]) == list(range(10))


def test_the_same_seed_gives_the_same_bytes_and_persons_do_not_depend_on_their_number(tmp_path: Path) -> None:
    for name, persons, seed in (("one", 12, 0), ("same", 12, 0), ("more", 20, 0), ("other", 12, 1)):
        synthesize_surf(tmp_path / name, persons, seed, photographs=2)
    one, same, more, other = (digests(tmp_path / name) for name in ("one", "same", "more", "other"))
    assert one == same
    assert {name: more[name] for name in one if name != "Age_Gender.txt"}.items() <= one.items()
    assert len(more) == 41
    assert one.keys() == other.keys()
    assert not set(one.values()) & set(other.values())
    assert len(set(one.values())) == len(one)


def test_a_face_ages_and_stays_the_same_person() -> None:
    def drawn(person: str, years: float) -> npt.NDArray[np.float64]:
        return photographs(Streams(0).child(person), years, False, 8).astype(np.float64)

    young, older, old, someone = drawn("a", 21), drawn("a", 24), drawn("a", 75), drawn("b", 21)
    assert np.abs(young - older).mean() < np.abs(young - old).mean()
    assert np.abs(young - older).mean() < np.abs(young - someone).mean() / 3
    assert np.abs(young[0] - young[1]).mean() > 10  # no photograph is like another


def test_progress_is_told_in_a_few_words(tmp_path: Path) -> None:
    told: list[str] = []
    synthesize_surf(tmp_path / "faces", 41, photographs=1, progress=told.append)
    assert told[:2] == ["drawing person 1 of 41", "drawing person 4 of 41"]
    assert len(told) <= 20


@pytest.mark.parametrize(("persons", "number"), [(9, 1), (10, 0), (1_000_000, 1), (-1, 1)])
def test_numbers_out_of_range_are_refused(tmp_path: Path, persons: int, number: int) -> None:
    with pytest.raises(InputError, match=f"10 to 999999 persons and .* got {persons} and {number}"):
        synthesize_surf(tmp_path / "faces", persons, photographs=number)
    assert not list(tmp_path.iterdir())


def test_only_an_empty_directory_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt': name a new or an empty directory"):
        synthesize_surf(tmp_path, 10, photographs=1)
    with pytest.raises(InputError, match=r"notes.txt is no directory that can be written to"):
        synthesize_surf(tmp_path / "notes.txt", 10, photographs=1)
    assert digests(tmp_path).keys() == {"notes.txt"}
    (tmp_path / "empty").mkdir()
    synthesize_surf(tmp_path / "empty", 10, photographs=1)
    written = digests(tmp_path / "empty")
    with pytest.raises(InputError, match=r"holds 'Age_Gender.txt'"):
        synthesize_surf(tmp_path / "empty", 10, seed=1, photographs=1)
    assert digests(tmp_path / "empty") == written


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (OSError(28, "No space left on device"), InputError, r"faces cannot be written \(No space left on device"),
    ],
)
def test_an_interrupted_call_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: type[BaseException], message: str
) -> None:
    def stops(streams: Streams, years: float, male: bool, count: int) -> npt.NDArray[np.uint8]:
        drawn.append(streams)
        if len(drawn) == 7:
            raise error
        return photographs(streams, years, male, count)

    drawn: list[Streams] = []
    monkeypatch.setattr(synthesize, "drawn", stops)
    with pytest.raises(kind, match=message):
        synthesize_surf(tmp_path / "faces", 10, photographs=1)
    assert not list(tmp_path.iterdir())
    (tmp_path / "faces").mkdir()
    drawn.clear()
    with pytest.raises(kind, match=message):
        synthesize_surf(tmp_path / "faces", 10, photographs=1)
    assert not list((tmp_path / "faces").iterdir())


def test_what_a_killed_call_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".surf.123.tmp" / "WBackground" / "SYNT_000000"
    left.mkdir(parents=True)
    with pytest.raises(InputError, match="no images"):
        load(str(tmp_path))
    synthesize_surf(tmp_path, 10, photographs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Age_Gender.txt", "WBackground"]


def accuracy(models: Population, examples: Examples) -> float:
    return float(models.accuracy(examples)[0])


def test_a_network_learns_persons_by_heart_and_the_ages_of_strangers_roughly(tmp_path: Path) -> None:
    synthesize_surf(tmp_path, 120, photographs=16)
    parts = forget_groups(load(str(tmp_path)), 50)
    known = split(parts.retain)
    build = factory(CNN(widths=(8, 16)), (3, 32, 32), 10)
    recipe = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=12, class_balance=1)
    models = Population.create(build, 1, engine=Engine(1)).train(known.train, recipe)
    predicted = models.logits(parts.forget).argmax(-1)[0].numpy()
    within_a_class = (np.abs(predicted - parts.forget.labels) <= 1).mean()
    by_chance = (np.abs(np.random.default_rng(0).permutation(predicted) - parts.forget.labels) <= 1).mean()
    assert accuracy(models, known.test) > 0.85
    assert accuracy(models, parts.forget) < accuracy(models, known.test) - 0.1
    assert within_a_class > by_chance + 0.15


def test_killed_or_failing_between_the_last_two_renames_it_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".surf.1.tmp").mkdir()
    (tmp_path / ".surf.1.tmp" / "Age_Gender.txt").touch()
    (tmp_path / "WBackground").mkdir()
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if target.name == "Age_Gender.txt":
            raise OSError(28, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", failing)
        with pytest.raises(InputError, match="No space left"):
            synthesize_surf(tmp_path, 10, photographs=1)
    assert list(tmp_path.iterdir()) == []
    synthesize_surf(tmp_path, 10, photographs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"WBackground", "Age_Gender.txt"}


def test_a_draft_that_cannot_be_removed_does_no_harm_and_goes_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rmdir", failing)
        synthesize_surf(tmp_path, 10, photographs=1)
    assert len(load(str(tmp_path))) == 10
    with pytest.raises(InputError, match="name a new or an empty directory"):
        synthesize_surf(tmp_path, 10, photographs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Age_Gender.txt", "WBackground"]
