import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from untrain.data import load
from untrain.data.images import MOST_PIXELS, decode
from untrain.errors import InputError


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
    digits = load()
    assert digits.inputs.shape == (1797, 1, 8, 8)
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
    found = load(str(tmp_path))
    assert found.ids.tolist() == ["cat/1.png", "dog/a/2.png"]
    assert found.classes == ("cat", "dog")
    assert found.inputs.shape == (2, 3, 3, 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image": [{"bytes": b"no image", "path": None}], "label": [1]},
            "cannot be decoded in .*example t/00000",
        ),
        ({"image": [{"bytes": None, "path": None}], "label": [1]}, "cannot be decoded"),
        ({"image": [{"bytes": png()[:40], "path": None}], "label": [1]}, "cannot be decoded"),
        ({"image": [{"bytes": png()}, {"bytes": png(size=(5, 5))}], "label": [1, 0]}, "images of one shape"),
        ({"x": [1.0]}, "column 'label'"),
        ({"x": [1.0], "label": [-1]}, "got -1 for example t/00000"),
        ({"x": [1.0, 2.0], "label": [1, None]}, "got None for example t/00001"),
        ({"x": ["text"], "label": [1]}, "numeric columns"),
        ({"label": [1]}, "columns beside label"),
        ({"x": [1.0, 2.0], "label": [1, 0], "id": ["a", "a"]}, "distinct ids"),
        ({"x": [float("nan")], "label": [0]}, "finite"),
        ({"x": [1.0, 2.0], "label": [0, 1], "id": ["a", None]}, "every row of column 'id', got none in row 1"),
        ({"x": [1.0], "label": [3_000_000]}, "are they class numbers"),
        ({"image": [{"bytes": deep(), "path": None}], "label": [1]}, "8 bits a channel"),
        ({"x": pa.array([], pa.float32()), "label": pa.array([], pa.int64())}, "at least one row"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    path = write(tmp_path / "t.parquet", **columns)
    with pytest.raises(InputError, match=message):
        load(str(path))


def test_missing_or_broken_roots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNTRAIN_DATA", raising=False)
    with pytest.raises(InputError, match="set UNTRAIN_DATA"):
        load("mnist")
    with pytest.raises(InputError, match="found no such file"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(InputError, match="expected digits, mnist"):
        load("imagenet")
    with pytest.raises(InputError, match="without a test part"):
        load("digits", part="test")
    with pytest.raises(InputError, match="found no image"):
        load(str(tmp_path))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="whole parquet file"):
        load(str(tmp_path / "broken.parquet"))
    with pytest.raises(InputError, match="at least 1 example"):
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
