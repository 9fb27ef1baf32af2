"""What is looked at before data are decoded, options of the data, and recipe files."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from tests.typed import call
from untrain.cli.inputs import Inputs, read_recipe, read_validation
from untrain.cli.terminal import Status
from untrain.population import Adam, Cosine, Recipe


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(60, 3)) + np.arange(60)[:, None] % 2 * 4
    lines = [f"{number},{a},{b},{c},{number % 2}" for number, (a, b, c) in enumerate(rows)]
    (tmp_path / "train.csv").write_text("\n".join(["id,a,b,c,label", *lines]))
    (tmp_path / "model.pt").write_bytes(b"x")
    (tmp_path / "ids.txt").write_text("1\n")
    return tmp_path / "train.csv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "trian.csv"], "There is no file or folder trian.csv; did you mean 'train.csv'?"),
        (["--data", "minst"], "did you mean 'mnist'?"),
        (["--data", "model.pt"], "model.pt is not a table that can be read"),
        (["--weights", "model.pt"], "convert it first: untrain convert model.pt model.safetensors"),
        (["--weights", "modle.pt"], "There is no weights file modle.pt; did you mean 'model.pt'?"),
        (["--model", "resnet"], "'resnet'; did you mean 'resnet18'?"),
        (["--recipe", "gone.toml"], "see `untrain recipe`"),
        (["--recipe", "train.csv"], "`untrain recipe` writes one"),
        (["--mean", "much"], "--mean must be numbers separated by ',', got 'much'"),
        (["--size", "1x2x3"], "--size must be HEIGHTxWIDTH or one whole number"),
        (["--std", "0"], "standard deviation above 0"),
    ],
)
def test_errors_come_before_data_are_read(
    words: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("detect", *([] if "--data" in words else ["--data", "train.csv"]), *words) == 3
    printed = capsys.readouterr().err
    assert message in printed
    assert "reading" not in printed
    assert not Path("detected").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--label", "lable"],
            "no column 'lable' in train.csv, only id, a, b, c, label: name one of them; did you mean",
        ),
        (["--inputs", "a,d"], "no column 'd'"),
        (["--size", "8"], "Only pictures can be resized"),
        (["--mean", "1,2"], "need 1 number or 3"),
        (["--memory-limit", "0.000001"], "limit is 1e-06 GB"),
    ],
)
def test_columns_and_preparation_are_checked(
    words: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("detect", "--data", "train.csv", *words) == 3
    assert message in capsys.readouterr().err


def test_preparation_is_in_the_record_and_columns_can_be_chosen(table: Path) -> None:
    words = [
        "detect",
        "--data",
        "train.csv",
        "--inputs",
        "a,b",
        "--mean",
        "1,2",
        "--std",
        "4",
        "--scorer",
        "neighbours",
    ]
    assert call(*words) == 0
    content = msgspec.json.decode(Path("detected/suspects.json").read_bytes())
    assert content["inputs"]["mean"] == "1,2"


def test_names_are_no_paths_although_files_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `untrain detect` stores is read again by `untrain review`, also where a folder of data is named as a set."""
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "label", "cnn"):
        (tmp_path / name).mkdir()
    (tmp_path / "digits").write_text("not the embedded ones")
    (tmp_path / "train.csv").write_text("label,x\n0,1\n")
    assert Inputs(data="mnist", label="label", model="cnn").stored() == {
        "data": "mnist", "label": "label", "model": "cnn"
    }  # fmt: skip
    assert Inputs(data="train.csv", inputs="label").stored() == {
        "data": str(tmp_path / "train.csv"), "inputs": "label"
    }  # fmt: skip
    assert len(Inputs(limit=20).examples(Status())) == 20


def test_a_recipe_file_is_written_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("recipe", "--optimizer", "adam", "--lr", "0.003", "--schedule", "cosine", "--epochs", "7") == 0
    (tmp_path / "recipe.toml").write_text(capsys.readouterr().out)
    assert read_recipe(tmp_path / "recipe.toml") == Recipe(optimizer=Adam(lr=0.003), schedule=Cosine(), epochs=7)
    assert call("recipe", "--optimizer", "adam", "--momentum", "0.9") == 3
    assert "--momentum applies to sgd" in capsys.readouterr().err
    assert call("recipe", "--lr", "-1") == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_bar_with_the_time_left_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from untrain.core.progress import advance, plan

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Status() as status:
        status.show("reading")
        assert status._bar.tasks[0].total is None
        plan(4)
        status.show("training")
        advance(1)
        status.show("looking")
        assert [(task.description, task.completed, task.total) for task in status._bar.tasks] == [("looking", 1, 4)]
    advance(2)
    assert status._bar.tasks[0].completed == 1


@pytest.mark.parametrize(
    ("head", "source", "first"),
    [
        ("id,a,b", "other/train.csv", "0"),
        ("id,a,b", "train.csv", "0"),
        ("c,a,b", "other/train.csv", "validation/train/00000"),
        ("c,a,b", "other/../train.csv", "train/00000"),
    ],
)
def test_numbers_of_rows_of_two_tables_name_different_examples(
    head: str, source: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    for name in ("train.csv", "other/train.csv"):
        Path(name).write_text("\n".join([f"{head},label", *(f"{row},1,2,{row % 2}" for row in range(6))]))
    assert read_validation(source, Inputs(data="train.csv", limit=4), Status()).ids[0] == first


def test_a_folder_is_not_validation_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        for label in "ab":
            Path(name, label).mkdir(parents=True)
            for number in range(3):
                Image.new("L", (4, 4), number).save(Path(name, label, f"{number}.png"))
    inputs = Inputs(data="one")
    assert read_validation("./one", inputs, Status()).ids[0] == "a/0.png"
    assert read_validation("two", inputs, Status()).ids[0] == "validation/a/0.png"
