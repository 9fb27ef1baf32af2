import io
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from untrain.data import Examples, load
from untrain.data.images import MOST_PIXELS, decode
from untrain.errors import InputError, SkippedWarning


def png(value: int = 7, size: tuple[int, int] = (4, 3), mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def deep() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((3, 4), 40_000, dtype=np.uint16)).save(file, "PNG")
    return file.getvalue()


def write(path: Path, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_digits_are_embedded() -> None:
    digits, theirs = load(), load_digits()
    assert digits.inputs.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(digits.inputs[:, 0], (theirs.images / 16).astype(np.float32))
    np.testing.assert_array_equal(digits.labels, theirs.target)
    assert digits.inputs.dtype == np.float32
    assert 0 <= digits.inputs.min() < digits.inputs.max() <= 1
    assert digits.ids[42] == "digits/0042"
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_limit_keeps_ids() -> None:
    some, again, other = load(limit=50), load(limit=50), load(limit=50, seed=1)
    assert len(some) == 50
    assert some.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    everything = load()
    np.testing.assert_array_equal(everything.inputs[everything.positions(some.ids)], some.inputs)


def test_parquet_in_the_hugging_face_layout(tmp_path: Path) -> None:
    images = [{"bytes": png(value), "path": None} for value in (0, 51, 255)]
    write(tmp_path / "mnist" / "train-00000-of-00001.parquet", image=images, label=[5, 0, 4])
    found = load("mnist", data_dir=tmp_path)
    assert found.inputs.shape == (3, 1, 3, 4)
    np.testing.assert_allclose(found.inputs[:, 0, 0, 0], [0, 0.2, 1])
    assert found.labels.tolist() == [5, 0, 4]
    assert found.ids.tolist() == ["mnist/train/00000", "mnist/train/00001", "mnist/train/00002"]
    assert len(found.classes) == 10


@pytest.mark.parametrize(("source", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_real_data(data_dir: Path, source: str, shape: tuple[int, ...]) -> None:
    found = load(source, part="test", data_dir=data_dir, limit=200)
    assert found.inputs.shape == (200, *shape)
    assert found.inputs.max() <= 1
    assert len(np.unique(found.labels)) == 10


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.parquet",
        age=[30, 40, 50], income=[1.5, 2.5, 3.5], label=["b", "a", "b"], id=["x", "y", "z"], group=["p", "p", "q"],
    )  # fmt: skip
    found = load(str(path))
    assert found.inputs.tolist() == [[30, 1.5], [40, 2.5], [50, 3.5]]
    assert found.classes == ("a", "b")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.ids.tolist() == ["x", "y", "z"]
    assert found.groups is not None
    assert found.groups.tolist() == ["p", "p", "q"]


def test_a_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "cat" / "folder.png").mkdir(parents=True)
    for name in ("cat/1.png", "dog/a/2.png", "cat/.hidden.png", "cat/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(mode="RGB"))
    with pytest.warns(SkippedWarning, match=r"^1 files .* were skipped, .*: cat/notes.txt\.$"):
        found = load(str(tmp_path))
    assert found.ids.tolist() == ["cat/1.png", "dog/a/2.png"]
    assert found.classes == ("cat", "dog")
    assert found.inputs.shape == (2, 3, 3, 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image": [{"bytes": b"no image", "path": None}], "label": [1]},
            "column 'image', example t/00000 cannot be decoded",
        ),
        ({"image": [{"bytes": None, "path": None}], "label": [1]}, "cannot be decoded"),
        ({"image": [{"bytes": png()[:40], "path": None}], "label": [1]}, "cannot be decoded"),
        ({"image": [{"bytes": png()}, {"bytes": png(size=(5, 5))}], "label": [1, 0]}, "images must have one shape"),
        ({"x": [1.0]}, "column 'label'"),
        ({"x": [1.0], "label": [-1]}, "got -1 for example t/00000"),
        ({"x": [1.0, 2.0], "label": [1, None]}, "that of example t/00001 is empty"),
        ({"x": ["text"], "label": [1]}, "'x' .* neither pictures nor numbers"),
        ({"label": [1]}, "Inputs must be .* got \\(none\\)"),
        ({"x": [1.0, 2.0], "label": [1, 0], "id": ["a", "a"]}, "Ids must be distinct, got a 2 times"),
        ({"x": [float("nan")], "label": [0]}, "finite"),
        ({"x": [1e300], "label": [0]}, "finite"),
        ({"x": [1.0, 2.0], "label": [0, 1], "id": ["a", None]}, "value in column 'id', got none in row 1"),
        ({"x": [1.0], "label": [3_000_000]}, "class numbers from 0 to 99999, got 3000000"),
        ({"image": [{"bytes": deep(), "path": None}], "label": [1]}, "8 bits a channel"),
        ({"x": pa.array([], pa.float32()), "label": pa.array([], pa.int64())}, "at least one row"),
        ({"x": [1.0], "label": [0], "id": pa.array([b"\xff"]).view(pa.string())}, "t.parquet cannot be read .* UTF8"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    path = write(tmp_path / "t.parquet", **columns)
    with pytest.raises(InputError, match=message):
        load(str(path))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("label", "that of example b is empty"),
        ("id", "column 'id', got none in row 1"),
        ("group", "'group', got none"),
    ],
)
def test_an_empty_cell_of_a_text_table_is_a_missing_value(tmp_path: Path, column: str, message: str) -> None:
    rows = {"id": ["a", "b", "c"], "x": ["1", "2", "3"], "label": ["cat", "dog", "cat"], "group": ["p", "q", "p"]}
    rows[column][1] = ""
    lines = [",".join(rows), *map(",".join, zip(*rows.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "t.csv")


def test_missing_or_broken_roots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNTRAIN_DATA", raising=False)
    with pytest.raises(InputError, match="set UNTRAIN_DATA"):
        load("mnist")
    with pytest.raises(InputError, match=r"no file mnist/train-00000-of-00001.parquet below"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"must be digits, mnist, .* got 'imagenet'"):
        load("imagenet")
    with pytest.raises(InputError, match="part must be train or test, got 'validation'"):
        load("digits", part="validation")  # type: ignore[arg-type]
    table = write(tmp_path / "mine.parquet", age=[30, 40], label=["b", "a"])
    with pytest.raises(InputError, match=r"mine\.parquet comes without a test part"):
        load(table, part="test")
    with pytest.raises(InputError, match="without a test part"):
        load("digits", part="test")
    with pytest.raises(InputError, match="no images"):
        load(str(tmp_path))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"broken.parquet cannot be read"):
        load(str(tmp_path / "broken.parquet"))
    with pytest.raises(InputError, match="at least 1 example, got 0"):
        load(limit=0)


def test_a_label_out_of_range_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path / "cifar10" / "train-00000-of-00001.parquet",
        img=[{"bytes": png(mode="RGB"), "path": None}], label=[10],
    )  # fmt: skip
    with pytest.raises(InputError, match="from 0 to 9, got 10 for example cifar10/train/00000"):
        load("cifar10", data_dir=tmp_path)


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    (tmp_path / "root" / "cat").mkdir(parents=True)
    (tmp_path / "root" / "cat" / "1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match="links outside"):
        load(str(tmp_path / "root"))


def test_columns_of_one_name_are_refused_in_one_line(tmp_path: Path) -> None:
    numbers = pa.array([0, 1])
    pq.write_table(pa.Table.from_arrays([numbers, numbers, numbers], names=["label", "x", "x"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"^[^\n]*t.parquet[^\n]* are named 'x'[^\n]*\Z"):
        load(str(tmp_path / "t.parquet"))


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        with pytest.raises(InputError, match=r"folders .* too deep|no images .*/<class>/<image>"):
            load(str(tmp_path))
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_what_is_no_picture_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(InputError, match="here cannot be decoded"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n", "here")


def test_enormous_images_are_refused_before_they_are_decoded() -> None:
    side = int(MOST_PIXELS**0.5) + 1
    with pytest.raises(InputError, match="at most"):
        decode(png(size=(side, side)), "here")


def test_mutated_images_decode_or_are_refused() -> None:
    generator = np.random.default_rng(0)
    data = np.frombuffer(png(size=(16, 16), mode="RGB"), dtype=np.uint8)
    refused = 0
    for _ in range(300):
        mutant = data.copy()
        mutant[generator.integers(len(data), size=3)] = generator.integers(256, size=3)
        try:
            assert decode(mutant.tobytes(), "mutant").dtype == np.uint8
        except InputError:
            refused += 1
    assert refused > 100


def by_hand(source: Examples, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Id and class name of each example of some classes, one after another."""
    return [
        (str(name), source.classes[label])
        for name, label in zip(source.ids, source.labels, strict=True)
        if source.classes[label] in names
    ]


WHOLE = load()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from("0123456789"), min_size=1, unique=True),
    st.none() | st.integers(1, 170),
    st.none() | st.integers(1, 2000),
    st.integers(0, 3),
)
def test_a_choice_is_a_part_of_the_whole(names: list[str], per_class: int | None, limit: int | None, seed: int) -> None:
    found = load(classes=names, per_class=per_class, limit=limit, seed=seed)
    assert found.classes == tuple(names)
    chosen, possible = by_hand(found, found.classes), by_hand(WHOLE, found.classes)
    assert chosen == [each for each in possible if each in set(chosen)]  # in the order of the source
    sizes = [sum(name == each for _, name in possible) for each in names]
    expected = sum(sizes) if per_class is None else per_class * len(names)
    assert len(found) == (expected if limit is None else min(limit, expected))
    if per_class is not None and limit is None:
        assert np.bincount(found.labels).tolist() == [per_class] * len(names)
    np.testing.assert_array_equal(found.inputs, WHOLE.inputs[WHOLE.positions(found.ids)])


def test_classes_keep_the_order_that_was_asked_for() -> None:
    found = load(classes=["7", "1"])
    assert found.labels[found.ids == "digits/0001"].tolist() == [1]
    assert found.labels[found.ids == "digits/0007"].tolist() == [0]


def test_a_draw_per_class_is_the_seeds() -> None:
    first, again, other = (load(per_class=5, seed=seed).ids.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_what_is_not_chosen_is_not_decoded(tmp_path: Path) -> None:
    images = [{"bytes": data, "path": None} for data in (png(), b"broken", png(51))]
    write(tmp_path / "mnist" / "train-00000-of-00001.parquet", image=images, label=[3, 5, 8])
    found = load("mnist", data_dir=tmp_path, classes=["8", "3"], per_class=1)
    assert found.labels.tolist() == [1, 0]
    assert found.ids.tolist() == ["mnist/train/00000", "mnist/train/00002"]
    with pytest.raises(InputError, match=r"example mnist/train/00001 cannot be decoded"):
        load("mnist", data_dir=tmp_path, classes=["5"])


def test_classes_of_a_folder_and_of_a_table(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "owl/1.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(png())
    found = load(str(tmp_path / "images"), classes=["owl", "cat"])
    assert found.ids.tolist() == ["cat/1.png", "cat/2.png", "owl/1.png"]
    assert found.labels.tolist() == [1, 1, 0]
    path = write(
        tmp_path / "t.parquet", x=[1, 2, 3, 4], label=["b", "a", "c", "b"], id=list("wxyz"), group=list("ppqq")
    )
    table = load(str(path), classes=["b", "c"], per_class=1, seed=5)
    assert table.classes == ("b", "c")
    assert [str(name) for name in table.ids] in (["w", "y"], ["y", "z"])
    assert table.groups is not None
    assert table.groups[table.ids == "y"].tolist() == ["q"]


def test_any_column_may_be_the_label_and_no_label_is_an_input(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.parquet", x=[1, 2, 3], verdict=[2, 0, 1], label=[0, 0, 1], crowd_label=[1, 1, 0], labels=[7, 8, 9]
    )
    for label, expected in (("verdict", [2, 0, 1]), ("label", [0, 0, 1]), ("crowd_label", [1, 1, 0])):
        found = load(str(path), label=label)
        assert found.labels.tolist() == expected
        beside = [[]] * 3 if label == "verdict" else [[2], [0], [1]]
        assert found.inputs.tolist() == [x + other for x, other in zip([[1], [2], [3]], beside, strict=True)]
    found = load(str(path), not_inputs=["verdict"])
    assert found.inputs.tolist() == [[1], [2], [3]]
    only = write(tmp_path / "only.parquet", label=[0, 1], noisy_label=[1, 1])
    with pytest.raises(InputError, match="Inputs must be"):
        load(str(only))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"classes": ["1", "x"]}, "Classes must be among 0, 1, .*, got 'x'"),
        ({"classes": ["1", "1"]}, "only once, got 1, 1"),
        ({"classes": []}, r"no examples of the classes \(none\)"),
        ({"per_class": 0}, "number per class must be at least 1 example, got 0"),
        ({"per_class": 175}, "175 examples of class 8 .* there are 174"),
        ({"limit": -3}, "limit must be at least 1 example, got -3"),
    ],
)
def test_what_cannot_be_chosen_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(**choice)


def test_what_a_table_lacks_is_refused(tmp_path: Path) -> None:
    images = [{"bytes": png(), "path": None}] * 3
    write(tmp_path / "mnist" / "train-00000-of-00001.parquet", image=images, label=[3, 3, 10])
    with pytest.raises(InputError, match="from 0 to 9, got 10 for example mnist/train/00002"):
        load("mnist", data_dir=tmp_path, classes=["3"])
    write(tmp_path / "mnist" / "train-00000-of-00001.parquet", image=images, label=[3, 3, 9])
    with pytest.raises(InputError, match="no examples of the classes 4"):
        load("mnist", data_dir=tmp_path, classes=["4"])
    with pytest.raises(InputError, match=r"1 examples of class 4 .* there are 0"):
        load("mnist", data_dir=tmp_path, classes=["3", "4"], per_class=1)


@pytest.mark.parametrize(
    "columns", [{"label": "verdict"}, {"not_inputs": ["verdict"]}, {"not_inputs": ["x", "verdict"]}]
)
def test_a_column_that_a_table_lacks_is_refused(columns: dict[str, Any], tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", x=[1], label=[0])
    with pytest.raises(InputError, match=r"column 'verdict' in .*t.parquet, only x, label"):
        load(str(table), **columns)


@pytest.mark.parametrize("columns", [{"label": "verdict"}, {"not_inputs": ["x"]}])
def test_columns_of_what_is_no_table_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"table only \(.parquet, .csv or .tsv\), got 'digits'"):
        load("digits", **columns)
