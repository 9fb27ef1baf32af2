"""The kinds of data that people have: one small case each, as docs/own-data.md lists them."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow.csv import write_csv
from torch.utils.data import DataLoader, TensorDataset

from untrain.data import Prepare, as_examples, load
from untrain.errors import InputError

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = [0, 1, 2, 0, 1, 2]


class Samples:
    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> Any:
        return self.samples[position]


def png(seed: int, size: tuple[int, int] = (5, 4)) -> bytes:
    file = io.BytesIO()
    draw = np.random.default_rng(seed)
    Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


NUMBERS = [
    *(pa.array([3, 1, 2], kind) for kind in (pa.int8(), pa.int16(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64())),
    *(pa.array(np.array([3, 1, 2], kind)) for kind in ("float16", "float32", "float64")),
    *(pa.array([Decimal(n) for n in (3, 1, 2)], kind) for kind in (pa.decimal128(5, 2), pa.decimal256(40, 2))),
    pa.array([3, 1, 2]).dictionary_encode(),
]


@pytest.mark.parametrize("column", NUMBERS, ids=lambda column: str(column.type))
def test_every_type_of_arrow_that_means_numbers(column: pa.Array, tmp_path: Path) -> None:
    table = pa.table({"a": column, "label": ["x", "y", "x"]})
    pq.write_table(table, tmp_path / "t.parquet")
    for data in (table, tmp_path / "t.parquet"):
        assert as_examples(data).inputs.tolist() == [[3], [1], [2]]


def test_embeddings_of_every_type_of_list(tmp_path: Path) -> None:
    values = [[1, 2], [3, 4]]
    kinds = (pa.list_(pa.float32()), pa.large_list(pa.float16()), pa.list_(pa.float32(), 2), pa.list_view(pa.int8()))
    for kind in (*kinds, pa.list_(pa.decimal128(5, 1))):
        cells: Any = [[Decimal(cell) for cell in row] for row in values] if "decimal" in str(kind) else values
        cells = [np.array(row, "float16") for row in values] if "halffloat" in str(kind) else cells
        assert as_examples(pa.table({"v": pa.array(cells, kind), "label": [0, 1]})).inputs.tolist() == values


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_tables_of_text_with_exact_ids(mark: str, bom: str, tmp_path: Path) -> None:
    lines = [
        ["id", "a", "b", "label"],
        ["007", "1.5", "2", "cat"],
        [" 8 ", "-3", "1e2", "true"],
        ["1.10", "0", "0", ""],
    ]
    path = tmp_path / "t.csv"
    path.write_text(bom + "\r\n".join(mark.join(line) for line in lines[:3]) + "\r\n", encoding="utf-8")
    found = load(path)
    assert found.ids.tolist() == ["007", " 8 "]
    assert found.inputs.tolist() == [[1.5, 2], [-3, 100]]
    assert found.classes == ("cat", "true")


def test_decimal_commas_and_an_index_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(";a;b;label\n03;1,5;2,0;1\n05;2,5;3;2\n")
    found = load(tmp_path / "t.csv")
    assert found.inputs.tolist() == [[1.5, 2], [2.5, 3]]
    assert found.ids.tolist() == ["03", "05"]
    assert (found.classes, found.labels.tolist()) == (("1", "2"), [0, 1])


def test_an_index_that_pandas_wrote_is_never_a_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.5], "label": [0, 1, 0]})[lambda table: table.a > 1]
    frame.to_csv(tmp_path / "t.csv")
    pq.write_table(pa.table({"__index_level_0__": [1, 2], "a": [1.5, 2.5], "label": [1, 0]}), tmp_path / "t.parquet")
    again = pd.read_csv(tmp_path / "t.csv")
    for data in (frame, tmp_path / "t.csv", tmp_path / "t.parquet", again, frame.reset_index()):
        found = as_examples(data)
        assert found.inputs.tolist() == [[1.5], [2.5]]
        assert found.ids.tolist() == ["1", "2"]


def test_loaders_and_samples_of_three_and_of_dictionaries() -> None:
    x, y = torch.from_numpy(ROWS), torch.tensor(LABELS)
    triples = Samples([(row, label, number) for number, (row, label) in enumerate(zip(ROWS, LABELS, strict=True))])
    late = Samples([(row, row, label) for row, label in zip(ROWS, LABELS, strict=True)])
    named = Samples(
        [{"x": row, "target": label, "id": f"n{label}{row[0]}"} for row, label in zip(ROWS, LABELS, strict=True)]
    )
    for data, options in (
        (DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True), {}),
        (TensorDataset(x, y, y), {}),
        (triples, {}),
        (late, {"inputs": 0, "label": 2}),
        (named, {"inputs": "x", "label": "target"}),
        (list(zip(ROWS, np.asarray(LABELS, "float32")[:, None], strict=True)), {}),
        ((ROWS, torch.tensor(LABELS).float()[:, None]), {}),
    ):
        found = as_examples(data, **options)
        assert found.inputs.tolist() == ROWS.tolist()
        assert found.labels.tolist() == LABELS
    with pytest.raises(InputError, match=r"second of 3 parts .* inputs=0, label=2"):
        as_examples(late)


def test_two_candidates_are_asked_about_and_tokens_go_together() -> None:
    columns = {"front": [[1, 2]] * 2, "back": [[3, 4]] * 2, "label": [0, 1]}
    with pytest.raises(InputError, match=r"could be front or back .* inputs= \(--inputs\)"):
        as_examples(columns)
    assert as_examples(columns, inputs="back").inputs.tolist() == [[3, 4]] * 2
    assert set(as_examples(columns, inputs=["front", "back"]).inputs) == {"front", "back"}
    tokens = {"input_ids": [[1, 2]] * 2, "attention_mask": [[1, 1]] * 2, "label": [0, 1]}
    assert set(as_examples(tokens).inputs) == {"input_ids", "attention_mask"}
    with pytest.raises(InputError, match="could be image or embedding"):
        as_examples({"image": [png(0), png(1)], "embedding": [[1.0], [2.0]], "label": [0, 1]})
    with pytest.raises(InputError, match=r"no column 'bak' .* did you mean 'back'"):
        as_examples(columns, inputs="bak")


def test_classes_say_which_label_is_which_output() -> None:
    assert as_examples((ROWS, [1, 2] * 3)).labels.tolist() == [0, 1] * 3
    assert as_examples((ROWS, [-1, 1] * 3), classes=["-1", "1"]).labels.tolist() == [0, 1] * 3
    found = as_examples((ROWS, ["cat", "dog"] * 3), classes={"dog": 0, "cat": 1})
    assert (found.classes, found.labels.tolist()) == (("dog", "cat"), [1, 0] * 3)
    with pytest.raises(InputError, match="outputs 0 to 1, each once"):
        as_examples((ROWS, ["cat", "dog"] * 3), classes={"dog": 1, "cat": 1})


def test_a_transform_makes_the_inputs() -> None:
    different = {"image": [png(0, (5, 4)), png(1, (9, 8))], "label": [0, 1]}
    with pytest.raises(InputError, match="resize them"):
        as_examples(different)
    found = as_examples(different, transform=Prepare(size=(3, 3), mean=(0.5,), std=(0.25, 0.5, 1.0)))
    assert found.inputs.shape == (2, 3, 3, 3)
    plain = as_examples(different, transform=lambda image: image.resize((3, 3), Image.Resampling.BILINEAR))
    factors = np.array([4, 2, 1], "float32").reshape(3, 1, 1)
    np.testing.assert_allclose(found.inputs, (plain.inputs - 0.5) * factors, rtol=1e-6)
    texts = as_examples({"text": ["ab", "cd"], "label": [0, 1]}, transform=lambda t: {"input_ids": [ord(c) for c in t]})
    assert texts.inputs["input_ids"].tolist() == [[97, 98], [99, 100]]
    draw = np.random.default_rng(0)
    with pytest.raises(InputError, match="leave out random augmentation"):
        as_examples((ROWS, LABELS), transform=lambda row: row + draw.normal())
    draw = np.random.default_rng(1)  # which spares the first example
    with pytest.raises(InputError, match=r"that of example [1-5] changed: leave out random augmentation"):
        as_examples((ROWS, LABELS), transform=lambda row: row[::-1] if draw.random() < 0.5 else row)
    with pytest.raises(InputError, match=r"transform fails for example 0 .*ZeroDivisionError"):
        as_examples((ROWS, LABELS), transform=lambda row: 1 / 0)


@pytest.mark.parametrize("choice", [{"label": "a"}, {"inputs": "a"}])
def test_columns_are_chosen_of_tables_alone(choice: dict[str, Any]) -> None:
    for data in ((ROWS, LABELS), {"inputs": ROWS, "labels": LABELS}):
        with pytest.raises(InputError, match="two arrays have none: leave them out"):
            as_examples(data, **choice)
    with pytest.raises(InputError, match="these are Examples already: leave them out"):
        as_examples(as_examples((ROWS, LABELS)), **choice)


def test_ids_are_read_from_numbers_tensors_series_and_masks() -> None:
    examples = as_examples((ROWS, LABELS))
    mask = np.arange(6) % 2 == 1
    numbers = ([1, 3, 5], torch.tensor([1, 3, 5]), np.array(["1", "3", "5"]), pd.Series([1, 3, 5]))
    for ids in (*numbers, mask, torch.from_numpy(mask), mask.tolist()):
        assert examples.positions(ids).tolist() == [1, 3, 5]
    with pytest.raises(InputError, match="each of the 6 examples, got 3"):
        examples.positions([True, False, True])
    with pytest.raises(InputError, match="such as '0', '1', '2', got the unknown id '9'"):
        examples.positions(["9"])
    with pytest.raises(InputError, match="single text '12'"):
        examples.positions("12")


def test_pictures_named_by_a_table_are_read_below_its_folder_only(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for name in ("t/a.png", "t/b.png", "secret.png"):
        (tmp_path / name).write_bytes(png(len(name)))
    (tmp_path / "t" / "t.csv").write_text("file,label\na.png,0\nb.png,1\n")
    assert load(tmp_path / "t" / "t.csv").inputs.shape == (2, 3, 4, 5)
    paths = pa.table({"image": [{"bytes": None, "path": "a.png"}, {"bytes": png(0), "path": None}], "label": [0, 1]})
    pq.write_table(paths, tmp_path / "t" / "t.parquet")
    assert load(tmp_path / "t" / "t.parquet").inputs.shape == (2, 3, 4, 5)
    (tmp_path / "t" / "t.csv").write_text("file,label\n../secret.png,0\nb.png,1\n")
    with pytest.raises(InputError, match="links outside"):
        load(tmp_path / "t" / "t.csv")


def numbers() -> pa.Table:
    return pa.table({"a": np.zeros(20_000), "label": np.zeros(20_000, int)})


def pictures() -> pa.Table:
    """Small in the file, and 24 MB once they are decoded."""
    return pa.table({"image": [png(0, (100, 100))] * 200, "label": [0, 1] * 100})


def long_cells() -> pa.Table:
    """Long only in memory, where a few rows at a time share their bytes."""
    return pa.table({"image": [{"bytes": b"x" * 300_000}] * 300, "label": [0, 1] * 150})


@pytest.mark.parametrize(
    ("table", "write", "ending"),
    [
        (numbers, pq.write_table, "parquet"), (numbers, write_csv, "csv"), (pictures, pq.write_table, "parquet"),
        (long_cells, pq.write_table, "parquet"),
    ],
)  # fmt: skip
def test_one_number_caps_the_memory(
    table: Callable[[], pa.Table], write: Callable[[pa.Table, Path], None], ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{ending}"
    write(table(), path)
    with pytest.raises(InputError, match=r"GB of memory .*limit is 0.001 GB.*\(--memory-limit\)"):
        load(path, memory_limit=0.001)
    with pytest.raises(InputError, match="the limit is nan GB"):
        load(path, memory_limit=float("nan"))


def test_one_number_caps_the_memory_of_ids() -> None:
    with pytest.raises(InputError, match="ids would take"):
        as_examples((ROWS, LABELS), ids=["a" * 10_000, *"bcdef"], memory_limit=1e-4)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0\r\n"'), min_size=1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_tables_may_have_the_line_ends_of_any_system(end: str, tmp_path: Path) -> None:
    lines = ["id;a;label", "7 ;1,5;x", "07;2,5;y", ""]
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    examples = load(tmp_path / "t.csv")
    assert examples.ids.tolist() == ["7 ", "07"]
    assert examples.inputs.tolist() == [[1.5], [2.5]]


def test_other_encodings_and_spaces_around_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a,label\nx,1,y\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"no text in UTF-8 .*: save it as UTF-8"):
        load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("id, a, label\nx,1,y\n")
    with pytest.raises(InputError, match="' label' has spaces around its name"):
        load(tmp_path / "t.csv")


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=1, unique=True))
def test_ids_of_a_text_table_are_exact(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("id,a,label\n" + "".join(f'"{name}",1,0\n' for name in ids), encoding="utf-8", newline="")
    assert load(path).ids.tolist() == ids


@pytest.mark.parametrize("inputs", [None, ["a", "b"]])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_group_column_of_any_name_is_read_as_it_is_written(
    form: str, inputs: list[str] | None, tmp_path: Path
) -> None:
    path = tmp_path / f"train.{form}"
    columns = {"user": ["007", "7", "007", "8"], "a": [1.0, 2.0, 3.0, 4.0], "b": [0.5] * 4, "label": [0, 1, 0, 1]}
    if form == "csv":
        path.write_text(
            "\n".join(["user,a,b,label", *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))])
        )
    else:
        pq.write_table(pa.table(columns), path)
    for examples in (
        load(path, group="user", inputs=inputs),
        as_examples(path, group="user", inputs=inputs),
        as_examples(pa.table(columns), group="user", inputs=inputs),
    ):
        assert examples.groups is not None
        assert examples.groups.tolist() == ["007", "7", "007", "8"]
        assert examples.array.tolist() == [[1, 0.5], [2, 0.5], [3, 0.5], [4, 0.5]]
