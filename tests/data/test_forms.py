"""One table in every form gives the same examples: as a file, columns, a data frame, an Arrow table, a dataset."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from untrain.data import Examples, as_examples, load
from untrain.errors import InputError

Columns = dict[str, Any]

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), unique=True)
NUMBERS = ("int8", "int64", "uint8", "float32", "float64", "bool")


class Dataset:
    """A Hugging Face dataset from outside: columns of Python values, and features that know the types."""

    def __init__(self, table: pa.Table, names: list[str] | None = None) -> None:
        self._table, self.column_names = table, table.column_names
        self.features = {field.name: self._feature(field.type) for field in table.schema}
        if names is not None:
            self.features["label"] = SimpleNamespace(names=names, dtype="int64")

    @classmethod
    def _feature(cls, kind: pa.DataType) -> SimpleNamespace:
        if pa.types.is_list(kind):
            return SimpleNamespace(feature=cls._feature(kind.value_type))
        return SimpleNamespace(dtype={"double": "float64", "float": "float32"}.get(str(kind), str(kind)))

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, name: str) -> Iterator[Any]:
        return iter(self._table[name].to_pylist())


def same(one: Examples, other: Examples) -> bool:
    """Whether they are equal in everything, the type of the inputs included."""
    return one.digest() == other.digest()


def png(value: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 256, (4, 5, 3), dtype=np.uint8)).convert(mode).save(
        file, "PNG"
    )
    return file.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """Columns of numbers, or one of sequences; labels, and perhaps ids, groups and further labels."""
    count = draw(st.integers(1, 8))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    columns: Columns = {}
    if draw(st.booleans()):
        kind, shape = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from([(3,), (1,), (2, 3)]))
        columns["vector"] = list((generator.normal(size=(count, *shape)) * 50).astype(kind))
    else:
        for name in draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True)):
            columns[name] = (generator.normal(size=count) * 50).astype(draw(st.sampled_from(NUMBERS)))
    named = st.sampled_from(["cat", "dog ", "Ünder", "7"])
    label = draw(st.lists(named | st.none(), min_size=count, max_size=count).filter(lambda names: None not in names))
    columns["label"] = label if draw(st.booleans()) else generator.integers(0, 5, count)
    if draw(st.booleans()):
        columns["id"] = draw(IDS.filter(lambda names: len(names) >= count))[:count]
    if draw(st.booleans()):
        columns["group"] = draw(st.lists(st.sampled_from(["p", " p", "q"]), min_size=count, max_size=count))
    if draw(st.booleans()):
        columns["crowd_label"] = generator.integers(0, 3, count)
    return {name: columns[name] for name in draw(st.permutations(list(columns)))}


def arrow(columns: Columns) -> pa.Table:
    return pa.table(
        {name: [c.tolist() for c in v] if name == "vector" else v for name, v in columns.items()} | typed(columns)
    )


def typed(columns: Columns) -> Columns:
    """The column of sequences as a list column of its own type, however deep."""
    if "vector" not in columns:
        return {}
    kind = pa.from_numpy_dtype(columns["vector"][0].dtype)
    for _ in columns["vector"][0].shape:
        kind = pa.list_(kind)
    return {"vector": pa.array([cell.tolist() for cell in columns["vector"]], kind)}


def from_file(table: pa.Table, path: Path) -> Examples:
    """Read from a file; ids that are made from row numbers begin with the name of the file."""
    pq.write_table(table, path)
    found = load(path)
    if "id" in table.column_names:
        return found
    assert found.ids.tolist() == [f"{path.stem}/{row:05d}" for row in range(len(found))]
    return dataclasses.replace(found, ids=np.asarray([str(row) for row in range(len(found))]))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=tables())
def test_one_table_in_every_form(columns: Columns, tmp_path: Path) -> None:
    table = arrow(columns)
    frame = pd.DataFrame({name: pd.Series(list(v) if name == "vector" else v) for name, v in columns.items()})
    expected = as_examples(columns)
    assert same(as_examples(table), expected)
    assert same(as_examples(Dataset(table)), expected)
    assert same(from_file(table, tmp_path / "t.parquet"), expected)
    if not any(v[0].ndim > 1 for name, v in columns.items() if name == "vector"):  # frames hold no arrays of two axes
        assert same(as_examples(frame), expected)
        assert same(as_examples(table.to_pandas()), expected)
    if "id" in columns:
        assert expected.ids.tolist() == columns["id"]
        assert same(as_examples(tmp_path / "t.parquet"), expected)


@settings(deadline=None, max_examples=60)
@given(columns=tables(), data=st.data())
def test_columns_and_rows_may_come_in_any_order(columns: Columns, data: st.DataObject) -> None:
    if "id" not in columns:
        columns["id"] = [str(row) for row in range(len(columns["label"]))]
    order = data.draw(st.permutations(range(len(columns["label"]))))
    moved = {name: [values[row] for row in order] for name, values in columns.items()}
    one, other = as_examples(columns), as_examples(moved)
    assert [one.classes[label] for label in one.labels[order]] == [other.classes[label] for label in other.labels]
    assert one.ids[order].tolist() == other.ids.tolist()
    assert one.inputs[order].tolist() == other.inputs.tolist()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_in_every_form(tmp_path: Path, mode: str) -> None:
    files = [png(number, mode) for number in range(3)]
    pictures = [Image.open(io.BytesIO(file)) for file in files]
    labels, ids, structs = [0, 1, 0], ["x", "y", "z"], [{"bytes": file, "path": None} for file in files]
    expected = as_examples(list(zip(pictures, labels, strict=True)), ids=ids)
    assert expected.inputs.shape == (3, 3 if mode == "RGB" else 1, 4, 5)
    for number, column in enumerate((structs, files, pa.array(files, pa.large_binary()))):
        table = pa.table({"meta": [{"page": 1}] * 3, "image": column, "label": labels, "id": ids, "text": ["a"] * 3})
        pq.write_table(table, tmp_path / f"{number}.parquet")
        for data in (table, table.to_pandas(), Dataset(table), tmp_path / f"{number}.parquet"):
            assert same(as_examples(data), expected)
    for column in (pictures, structs, files):
        assert same(as_examples({"image": column, "label": labels, "id": ids}), expected)
    for name, label, file in zip(ids, labels, files, strict=True):
        (tmp_path / "root" / str(label)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / str(label) / f"{name}.png").write_bytes(file)
    folder = as_examples(tmp_path / "root").select([0, 2, 1])
    assert same(dataclasses.replace(folder, ids=expected.ids), expected)


def test_a_checksum_is_no_picture_and_two_pictures_are_refused() -> None:
    files, checksums = [png(0), png(1)], [b"\x00\x01", b"\x02\x03"]
    found = as_examples({"sha": checksums, "image": files, "label": [0, 1]})
    assert found.inputs.shape == (2, 3, 4, 5)
    with pytest.raises(InputError, match="could be image or mask in the dictionary: name one"):
        as_examples({"image": files, "mask": files, "label": [0, 1]})


def test_pictures_are_turned_upright() -> None:
    lying = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    tags = lying.getexif()
    tags[0x0112] = 6  # to be turned clockwise by a quarter
    file = io.BytesIO()
    lying.save(file, "PNG", exif=tags)
    upright = as_examples({"image": [file.getvalue()], "label": [0]}).inputs[0, 0]
    np.testing.assert_allclose(upright * 255, np.rot90(np.arange(20).reshape(4, 5), -1))


def test_an_index_names_rows_and_is_no_input(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(6.0), "label": [0, 1] * 3})
    for part, ids in (
        (frame[frame.x > 2], ["3", "4", "5"]),
        (frame[::2], ["0", "2", "4"]),
        (frame[2:4].set_axis(["a ", "b"]), ["a ", "b"]),
        (frame.set_axis(pd.Index(list("uvwxyz"), name="customer")), list("uvwxyz")),
    ):
        part.to_parquet(tmp_path / "t.parquet")
        for found in (as_examples(part), load(tmp_path / "t.parquet")):
            assert found.ids.tolist() == ids
            assert found.inputs.tolist() == [[x] for x in part.x]
    assert as_examples(frame, prefix="v/").ids.tolist()[:2] == ["v/0", "v/1"]
    own = as_examples(frame.assign(id=list("abcdef"))[::2])
    assert own.ids.tolist() == ["a", "c", "e"]
    many = frame.set_index([frame.x, frame.label])
    assert as_examples(many.assign(y=1)).ids.tolist() == list("012345")


def test_class_names_come_with_the_columns(tmp_path: Path) -> None:
    names = ["zebra", "ant"]
    table = pa.table({"x": [0.5, 1.5], "kind": [1, 0]})
    features = (
        '{"info": {"features": {"x": {"_type": "Value"}, "kind": {"names": ["zebra", "ant"], "_type": "ClassLabel"}}}}'
    )
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), tmp_path / "t.parquet")
    found = load(tmp_path / "t.parquet")
    assert (found.classes, found.labels.tolist()) == (("zebra", "ant"), [1, 0])
    found = as_examples(Dataset(table.rename_columns(["x", "label"]), names))
    assert (found.classes, found.labels.tolist()) == (("zebra", "ant"), [1, 0])


@pytest.mark.parametrize(
    "broken",
    [b"no json", b'{"info": 3}', b'{"info": {"features": {"kind": {"names": 3, "_type": "ClassLabel"}}}}'],
)
def test_class_names_that_cannot_be_read_are_none(broken: bytes) -> None:
    table = pa.table({"x": [0.5, 1.5], "kind": [1, 0]})
    with pytest.raises(InputError, match="only x, kind: rename"):
        as_examples(table.replace_schema_metadata({"huggingface": broken, "pandas": broken}))


def test_tensors_in_a_column_keep_their_shape(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    table = pa.table({"x": tensors, "label": [0, 1]})
    pq.write_table(table, tmp_path / "t.parquet")
    for found in (as_examples(table), load(tmp_path / "t.parquet"), as_examples({"x": values, "label": [0, 1]})):
        assert found.inputs.dtype == np.float32
        np.testing.assert_array_equal(found.inputs, values)


def test_categories_and_whole_floats_are_labels() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "label": pd.Categorical(["b", "a", "b"])})
    assert as_examples(frame).labels.tolist() == [1, 0, 1]
    assert as_examples(frame.assign(label=[1.0, 0.0, 1.0])).labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame({"x": [1.0, None], "label": [0, 1]}), "NaN or infinity in example 1"),
        (pa.table({"x": [1, None], "label": [0, 1]}), "NaN or infinity in example 1"),
        ({"x": [1, None], "label": [0, 1]}, "NaN or infinity in example 1"),
        (pd.DataFrame({"x": [1.0, 2.0], "label": [0, None]}), "that of example 1 is empty"),
        ({"x": [1.0, 2.0], "label": [0, 1], "id": ["a", None]}, "column 'id', got none in row 1"),
        ({"x": [1.0, 2.0], "label": ["a", " "]}, "needs a label, and that of example 1 is empty: fill it in"),
        ({"x": [1.0, 2.0], "label": [0, 1], "id": ["a", float("nan")]}, "column 'id', got none in row 1"),
        ({"x": [1.0, 2.0], "label": [0, 1], "id": ["a", "a\0"]}, "end with a null character"),
        ({"x": [1.0, 2.0], "label": [0, 1, 0]}, "one length, got {'x': 2, 'label': 3}"),
        ({"x": "text", "label": [0]}, "'x' must be a list or an array, got str"),
        (pd.DataFrame({"x": [1, "a"], "label": [0, 1]}), "DataFrame has a column that Arrow cannot hold"),
        (pd.DataFrame({"x": ["b", "a"], "label": [0, 1]}), "'x' of the DataFrame holds neither pictures nor numbers"),
        (pd.Series([1, 2]), "got Series"),
        (pd.DataFrame({"x": [1, 2], "label": [0, 1]}, index=["a", "a"]), "distinct, got a 2 times"),
        (
            pa.Table.from_arrays([pa.array([0])] * 3, names=["label", "x", "x"]),
            "Two columns of the Table are named 'x'",
        ),
        (pa.table({"v": [[1, 2], [1]], "label": [0, 1]}), r"one shape, got \(1,\) in column 'v' of the Table, row 1"),
        (pa.table({"v": [[1, 2], None], "label": [0, 1]}), "column 'v' of the Table, row 1"),
        ({"v": [["a"], ["b"]], "label": [0, 1]}, "column 'v' .* must hold numbers"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(data: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        as_examples(data)
    assert "\n" not in str(error.value)
