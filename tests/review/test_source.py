"""Tables whose rows are texts or numbers: what a reviewer sees, and the same table with other labels."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.typed import call
from untrain.data import load
from untrain.data.files import separator
from untrain.data.selection import Selection
from untrain.errors import InputError
from untrain.review.source import SourceTable

TEXTS = ["a fine film", "dull;\nand \"long\"", "<script>alert(1)</script>", "good, really", "bad", "so-so"]  # fmt: skip
LABELS = ["pos", "neg", "pos", "neg", "neg", "pos"]


def detected(folder: Path, source: Path, examples: list[str], **inputs: object) -> Path:
    """A directory as `untrain detect` writes it, the first example a suspect."""
    folder.mkdir()
    suspect = {"id": examples[0], "label": "pos", "suggested": "neg", "score": 0.9}
    content = {
        "data": str(source), "inputs": {"data": str(source), **inputs}, "examples": len(examples), "scorer": "linear",
        "noise_ratio": 0.1, "interval": None, "model_error": None, "evidence": {}, "versions": {}, "flagged": [suspect],
    }  # fmt: skip
    (folder / "suspects.json").write_text(json.dumps(content))
    rows = [("wrong", "id", "label", "corrected"), ("yes", examples[0], "pos", "neg"), ("yes", examples[2], "pos", "")]
    with (folder / "suspects.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def write_texts(path: Path) -> list[str]:
    """A parquet table of texts and their embeddings."""
    generator = np.random.default_rng(0)
    table = {"text": TEXTS, "embedding": generator.normal(size=(6, 4)).tolist(), "label": LABELS, "note": [7] * 6}
    pq.write_table(pa.table(table), path)
    return [f"{path.stem}/{row:05d}" for row in range(6)]


def test_a_text_is_known_by_the_id_of_its_row(tmp_path: Path) -> None:
    ids = write_texts(tmp_path / "reviews.parquet")
    table = SourceTable.read(tmp_path / "reviews.parquet", Selection(inputs=("embedding",)))
    assert table.texts() == dict(zip(ids, TEXTS, strict=True))
    (tmp_path / "two.csv").write_text("title,body,x,label\nA,one,1,pos\nB,two,2,neg\n")
    two = SourceTable.read(tmp_path / "two.csv", Selection(inputs=("x",)))
    assert two.texts() == {"two/00000": "title: A\nbody: one", "two/00001": "title: B\nbody: two"}
    (tmp_path / "none.csv").write_text("x,y,label\n1,2,pos\n3,4,neg\n")
    none = SourceTable.read(tmp_path / "none.csv", Selection())
    assert (none.texts(), none.numbers()) == ({}, ["x", "y"])


def test_a_page_shows_texts_and_exports_hold_them(tmp_path: Path) -> None:
    ids = write_texts(tmp_path / "reviews.parquet")
    directory = detected(tmp_path / "detected", tmp_path / "reviews.parquet", ids, inputs="embedding")
    tasks, page = tmp_path / "tasks.json", tmp_path / "page.html"
    assert call("review", str(directory), "--export-label-studio", str(tasks), "--static", str(page)) == 0
    (task,) = json.loads(tasks.read_text())
    assert task["data"]["text"] == TEXTS[0]
    assert task["annotations"][0]["result"][0]["to_name"] == "text"
    text = page.read_text()
    content = json.loads(text.split('id="static">')[1].split("</script>")[0])
    assert content["case"]["kind"] == "text"
    (example,) = content["details"].values()
    assert example["text"] == TEXTS[0]
    near = [snippet for group in content["alike"]["0"] for snippet in group["texts"]]
    assert set(near) <= {line for each in TEXTS for line in (each, each.replace("\n", "\n"))}
    assert "<script>alert" not in text


@pytest.mark.parametrize(("mark", "end"), [(",", "\n"), (";", "\r\n"), ("\t", "\n")])
def test_a_text_file_keeps_its_cells_and_its_separator(mark: str, end: str, tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    head = ["id", "width", "label", "remark"]
    rows = [[f"r{row}", f"{row}.50", label, text] for row, (label, text) in enumerate(zip(LABELS, TEXTS, strict=True))]
    with source.open("w", newline="") as file:
        csv.writer(file, delimiter=mark, lineterminator=end).writerows([head, *rows])
    ids = [row[0] for row in rows]
    directory = detected(tmp_path / "detected", source, ids, inputs="width")
    out = tmp_path / "cleaned.csv"
    assert call("review", str(directory), "--export", str(out)) == 0
    right = [head, [*rows[0][:2], "neg", rows[0][3]], rows[1], *rows[3:]]
    with out.open(newline="") as file:
        assert list(csv.reader(file, delimiter=mark)) == right
    assert out.read_bytes().count(end.encode()) >= len(right)
    assert call("review", str(directory), "--export", str(tmp_path / "cleaned.parquet")) == 0
    table = pq.read_table(tmp_path / "cleaned.parquet")
    assert table["label"].to_pylist() == [row[2] for row in right[1:]]
    assert table["width"].to_pylist() == [float(row[1]) for row in right[1:]]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_a_label_may_become_a_class_of_which_there_is_no_example(kind: pa.DataType, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    labels = pa.array([0, 2, 2, 0, 1, 0]).cast(kind)
    pq.write_table(pa.table({"id": list("abcdef"), "x": np.arange(6.0), "label": labels}), path)
    table, few = SourceTable.read(path, Selection()), load(path).select([0, 1, 2, 3])
    changed = table.corrected(few, {"a": "1"}, set())
    assert isinstance(changed, pa.Table)
    assert changed["label"].cast(pa.int64()).to_pylist() == [1, 2, 2, 0, 1, 0]
    assert changed.schema.field("label").type == kind


def test_a_label_may_become_a_named_class_of_which_there_is_no_example(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog", "owl"]}}
    schema = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"id": ["a", "b"], "x": [1.0, 2.0], "label": [0, 1]}).replace_schema_metadata(schema)
    pq.write_table(table, tmp_path / "table.parquet")
    source = SourceTable.read(tmp_path / "table.parquet", Selection())
    changed = source.corrected(load(tmp_path / "table.parquet"), {"a": "owl"}, set())
    assert isinstance(changed, pa.Table)
    assert changed["label"].to_pylist() == [2, 1]


def test_a_text_file_is_written_with_the_separator_that_it_was_read_with(tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_text("label;width, cm\npos;1\nneg;2\n")
    table = SourceTable.read(source, Selection())
    assert table.numbers() == ["width, cm"]
    examples = load(source)
    assert table.corrected(examples, {examples.ids[0]: "neg"}, ()) == "label;width, cm\nneg;1\nneg;2\n"


def test_a_table_takes_the_memory_that_it_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_texts(tmp_path / "reviews.PARQUET")
    asked = {"inputs": "embedding", "memory_limit": 1e-6}
    directory = detected(tmp_path / "detected", tmp_path / "reviews.PARQUET", ids, **asked)
    assert call("review", str(directory), "--export", str(tmp_path / "cleaned.parquet")) == 3
    assert "limit is 1e-06 GB" in capsys.readouterr().err
    directory = detected(tmp_path / "again", tmp_path / "reviews.PARQUET", ids, **{**asked, "memory_limit": 1.0})
    assert call("review", str(directory), "--export", str(tmp_path / "cleaned.parquet")) == 0
    assert pq.read_table(tmp_path / "cleaned.parquet")["label"].to_pylist()[0] == "neg"
    selection = Selection(inputs=("embedding",), memory_limit=1e-6)
    with pytest.raises(InputError, match="limit is 1e-06 GB"):
        SourceTable.read(tmp_path / "reviews.PARQUET", selection)


def test_a_table_that_text_cannot_hold_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_texts(tmp_path / "reviews.parquet")
    directory = detected(tmp_path / "detected", tmp_path / "reviews.parquet", ids, inputs="embedding")
    assert call("review", str(directory), "--export", str(tmp_path / "cleaned.csv")) == 3
    assert "pictures and lists need a .parquet file" in capsys.readouterr().err
    assert call("review", str(directory), "--export", str(tmp_path / "cleaned.xlsx")) == 3
    assert "must end in .parquet or .csv, got 'cleaned.xlsx'" in capsys.readouterr().err
    assert not list(tmp_path.glob("cleaned*"))


@pytest.mark.parametrize(
    ("head", "mark"),
    [
        ("id;a,b", ";"),
        ("id,a,b;c", ","),
        ("id\ta", "\t"),
        ("id|a", "|"),
        ("id", ","),
        ('"id";"a, b, c, ""d"""', ";"),
        ('"a, b, c"', ","),
    ],
)
def test_a_table_is_written_with_the_separator_that_it_is_read_with(head: str, mark: str) -> None:
    assert separator(head) == separator(f"{head}\r\n;;;;\t\t\t\t") == mark
