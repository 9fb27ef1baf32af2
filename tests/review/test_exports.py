"""From wrong labels to a cleaned table and a repaired model, and what other tools read."""

import csv
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.review.conftest import Detected
from tests.typed import call
from untrain.data import load
from untrain.detection import Answer
from untrain.review.decisions import Decisions


@pytest.fixture
def answered(detected: Detected) -> Detected:
    """Two corrected, one dropped, one right, one unsure."""
    ids = detected.ids
    answers = {
        ids[0]: Answer("yes", detected.truth[ids[0]]), ids[1]: Answer("yes", detected.truth[ids[1]]),
        ids[2]: Answer("yes"), ids[3]: Answer("no"), ids[4]: Answer("unsure"),
    }  # fmt: skip
    Decisions(detected.directory / "suspects.csv").decide(answers, {})
    return detected


def test_a_cleaned_table_of_pictures_can_be_read_again(answered: Detected, tmp_path: Path) -> None:
    path = tmp_path / "cleaned.parquet"
    assert call("review", str(answered.directory), "--export", str(path)) == 0
    before, after = load(answered.folder), load(path)
    assert set(before.ids) - set(after.ids) == {answered.ids[2]}
    corrected = dict(zip(after.ids.tolist(), (after.classes[label] for label in after.labels), strict=True))
    for name, label in zip(before.ids.tolist(), before.labels, strict=True):
        if name in answered.ids[:2]:
            assert corrected[name] == answered.truth[name]
        elif name != answered.ids[2]:
            assert corrected[name] == before.classes[label]
    assert (after.inputs[0] == before.inputs[0]).all()


def test_a_table_keeps_its_columns_and_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {
        "name": pa.array(["x"] * 60).dictionary_encode(), "species": pa.array([3, 5, 5] * 20, pa.int16()),
        "width": [float(number % 3) for number in range(60)],
    }  # fmt: skip
    source = tmp_path / "table.parquet"
    del columns["name"]
    pq.write_table(pa.table(columns), source)
    examples = load(source, label="species")
    directory = tmp_path / "detected"
    directory.mkdir()
    label = examples.classes[examples.labels[0]]
    suspect = {"id": str(examples.ids[0]), "label": label, "suggested": None, "score": 2.5}
    content = {
        "data": str(source), "inputs": {"data": str(source), "label": "species"}, "examples": 60, "scorer": "loss",
        "noise_ratio": 0.1, "interval": [0, 1], "model_error": None, "evidence": {}, "versions": {},
        "flagged": [suspect],
    }  # fmt: skip
    (directory / "suspects.json").write_text(json.dumps(content))
    (directory / "suspects.csv").write_text(f"wrong,id,label,corrected\nyes,{suspect['id']},{label},5\n")
    assert call("review", str(directory), "--export", str(tmp_path / "out.parquet")) == 0
    assert "1 labels corrected, 0 examples dropped" in capsys.readouterr().out
    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    assert after.schema.equals(before.schema)
    assert after["species"].to_pylist() == [5, *before["species"].to_pylist()[1:]]
    assert after["width"].equals(before["width"])


def test_other_tools_read_scores_and_answers(answered: Detected, tmp_path: Path) -> None:
    scores, tasks = tmp_path / "scores.parquet", tmp_path / "tasks.json"
    asked = ["--export-scores", str(scores), "--export-label-studio", str(tasks)]
    assert call("review", str(answered.directory), *asked) == 0
    assert call("review", str(answered.directory), "--export-scores", str(tmp_path / "scores.csv")) == 0
    with (tmp_path / "scores.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == answered.ids
    table = pq.read_table(scores)
    assert table["id"].to_pylist() == answered.ids
    assert all(Path(path).is_file() for path in table["filepath"].to_pylist())
    assert table["wrong"].to_pylist()[:6] == ["yes", "yes", "yes", "no", "unsure", ""]
    content = json.loads(tasks.read_text())
    assert [len(task["annotations"]) for task in content[:6]] == [1, 1, 1, 1, 1, 0]
    asked_for = [parse_qs(urlsplit(task["data"]["image"]).query)["d"] for task in content]
    assert asked_for == [[name] for name in answered.ids]
    choice = content[0]["annotations"][0]["result"][0]
    assert choice["type"] == "choices"
    assert choice["value"] == {"choices": [answered.truth[answered.ids[0]]]}
    assert content[2]["annotations"][0]["was_cancelled"]
    assert all(task["predictions"][0]["score"] <= 1 for task in content)


def test_from_a_folder_to_a_repaired_model(answered: Detected, tmp_path: Path) -> None:
    asked = ["repair", "--data", str(answered.folder), "--review", str(answered.directory / "suspects.csv")]
    assert call(*asked, "--method", "finetune", "--out", str(tmp_path / "repaired")) == 0
    done = json.loads((tmp_path / "repaired" / "repair.json").read_text())
    assert sorted(done["forgotten"]) == sorted(answered.ids[:3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "suspects.json").unlink(), "holds no suspects.json"),
        (lambda folder: (folder / "suspects.json").write_text("{}"), "cannot be read"),
        (lambda folder: (folder / "suspects.csv").unlink(), "cannot be read"),
    ],
)
def test_a_directory_that_is_none_is_refused(
    detected: Detected, change: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    change(detected.directory)
    assert call("review", str(detected.directory), "--export-scores", str(detected.directory / "x.parquet")) == 3
    assert message in capsys.readouterr().err
    assert not (detected.directory / "x.parquet").exists()
