"""`untrain detect`, `repair` and `synthesize`: what is typed, printed and written."""

import csv
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from tests.typed import call, interrupt
from untrain.core.files import read_arrays
from untrain.data import load, mislabel, symmetric_noise
from untrain.models import MLP


def test_detect_needs_nothing_but_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("detect") == 0
    printed = capsys.readouterr()
    assert " of 1797 labels as wrong; noise ratio " in printed.out
    assert printed.err.splitlines() == ["reading digits", "training a network", "looking for wrong labels"]
    assert sorted(path.name for path in (tmp_path / "detected").iterdir()) == [
        "suspects.csv", "suspects.html", "suspects.json",
    ]  # fmt: skip
    found = json.loads((tmp_path / "detected" / "suspects.json").read_text())
    assert (found["schema"], found["data"], found["examples"], found["scorer"]) == (2, "digits", 1797, "auto")
    assert found["interval"][0] <= found["noise_ratio"] <= found["interval"][1]
    assert found["noise_ratio"] < 0.02
    assert len(found["flagged"]) < 20
    assert set(found["versions"]) == {"untrain", "python", "torch", "numpy", "scikit-learn"}


def test_repair_needs_nothing_but_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("repair") == 0
    assert "359 randomly held-out examples" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "repaired").iterdir()) == [
        "model.safetensors", "repair.json", "suspects.csv",
    ]  # fmt: skip


def test_repair_compares_on_validation_data(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = pq.read_table(table)
    for name, part in (("train", whole[:450]), ("held-out", whole[450:])):
        pq.write_table(part, tmp_path / f"{name}.parquet")
    asked = ["repair", "--data", str(tmp_path / "train.parquet"), "--scorer", "linear", "--out", str(tmp_path / "out")]
    assert call(*asked, "--validation", str(tmp_path / "held.parquet")) == 3
    assert "did you mean 'held-out.parquet'?" in capsys.readouterr().err
    assert call(*asked, "--validation", str(tmp_path / "held-out.parquet")) == 0
    assert "on the 150 validation examples, labels as given" in capsys.readouterr().out


NAMES = ("zero", "=two()", "<script>alert(1)</script>", *"3456789")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Digits with wrong labels, and with ids and class names that want to be computed."""
    noisy = mislabel(load(limit=600), symmetric_noise(10, 0.2), exact=True).examples
    columns = {f"pixel{number}": column for number, column in enumerate(noisy.inputs.reshape(600, 64).T)}
    ids = [f"=cmd({number})" if number % 2 else f"<script>{number}</script>\x1b[2J" for number in range(600)]
    path = tmp_path / "digits.parquet"
    pq.write_table(pa.table({"id": ids, "label": [NAMES[label] for label in noisy.labels], **columns}), path)
    return path


def test_suspects_are_found_reviewed_and_forgotten(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, first, second = (str(tmp_path / name) for name in ("found", "first", "second"))
    asked = ["detect", "--data", str(table), "--out", found, "--scorer", "neighbours"]
    assert call(*asked) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "more" in out
    assert call(*asked, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads((tmp_path / "found" / "suspects.json").read_text())
    assert sum(content["counts"].values()) == len(content["flagged"]) > 50
    assert "<script" not in (tmp_path / "found" / "suspects.html").read_text()
    review = tmp_path / "found" / "suspects.csv"
    with review.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert not any(cell.startswith("=") for row in rows for cell in row)
    ids = [each["id"] for each in content["flagged"]]
    assert [row[1].removeprefix("'") for row in rows] == ids
    with review.open("w", newline="") as file:
        csv.writer(file).writerows([head, *([answer, *row[1:]] for answer, row in zip("ynyn", rows[:4], strict=True))])

    assert call("repair", "--data", str(table), "--review", str(review), "--out", first, "--method", "finetune") == 0
    printed = capsys.readouterr()
    assert "forgetting 2 examples by finetune" in printed.out
    assert "looking" not in printed.err
    done = json.loads((tmp_path / "first" / "repair.json").read_text())
    assert sorted(done["forgotten"]) == sorted([ids[0], ids[2]])
    assert (done["schema"], done["method"], done["scorer"]) == (2, "finetune", "review")
    assert not (tmp_path / "first" / "suspects.csv").exists()
    arrays, metadata = read_arrays(tmp_path / "first" / "model.safetensors")  # its digest fits
    assert metadata["method"] in ("finetune", "none")

    weights = tmp_path / "first" / "model.safetensors"
    module = MLP(standardize=True).build((64,), 10)
    module.load_state_dict(safetensors.torch.load_file(weights))
    assert sorted(arrays) == sorted(module.state_dict())
    assert call("repair", "--data", str(table), "--weights", str(weights), "--out", second, "--limit", "500") == 0
    printed = capsys.readouterr()
    assert "by ssse" in printed.out
    assert "training" not in printed.err
    done = json.loads((tmp_path / "second" / "repair.json").read_text())
    assert done["evidence"]["note"].startswith("auto used linear on features")
    assert done["examples"] == pytest.approx(400, abs=5)  # a fifth is held out

    before = weights.read_bytes()
    again = str(tmp_path / "second" / ".." / "first")
    assert call("repair", "--data", str(table), "--weights", str(weights), "--out", again) == 3
    assert "would be replaced; choose another --out" in capsys.readouterr().err
    assert weights.read_bytes() == before

    assert call(*asked) == 3  # it would overwrite the answers
    assert "suspects.csv contains answers" in capsys.readouterr().err
    (tmp_path / "first" / "notes.txt").touch()
    assert call("repair", "--data", str(table), "--out", first) == 3
    assert "contains 'notes.txt', which is not from this command" in capsys.readouterr().err


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module of factories."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "my_factories", raising=False)
    (tmp_path / "my_factories.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "def small(): return nn.Sequential(nn.Flatten(), nn.Linear(32, 10))\n"
        "def few(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))\n"
    )
    return tmp_path


WITH_MODEL = ("detect", "--limit", "300", "--scorer", "loss", "--noise-ratio", "0.1", "--model")
STATE = {"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}


def test_a_factory_beside_the_data_is_found(factories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*WITH_MODEL, "my_factories:build", "--out", "out") == 0
    assert "30 of 300 labels as wrong; noise ratio 10.0 % (as given)" in capsys.readouterr().out
    safetensors.torch.save_file(STATE | {"1.weight": torch.eye(10, 64)}, factories / "weights")
    assert call(*WITH_MODEL, "my_factories:build", "--weights", "weights", "--out", "out") == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_factories:small", "The model fails on inputs of shape (1, 8, 8): mat1 and mat2"),
        ("my_factories:few", "9 outputs, and the labels have 10 classes"),
        ("my_factories:nothing", "has no attribute 'nothing'"),
        ("json:loads", "loads() missing 1 required positional argument"),
        ("os:getcwd", "a torch module, got str"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    name: str, message: str, factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*WITH_MODEL, name, "--out", "refused") == 3
    refused(factories, capsys.readouterr().err, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**STATE, "2.bias": torch.zeros(1)}, "the model lacks '2.bias'"),
        ({"1.bias": torch.zeros(10)}, "the file lacks '1.weight'"),
        ({**STATE, "1.bias": torch.zeros(3)}, "in weights must be of shape (10,), as in the model, got (3,)"),
        ({**STATE, "1.bias": torch.full((10,), torch.nan)}, "are NaN or infinite"),
        (b"not tensors at all", "safetensors file"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    content: bytes | dict[str, torch.Tensor], message: str, factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if isinstance(content, bytes):
        (factories / "weights").write_bytes(content)
    else:
        safetensors.torch.save_file(content, factories / "weights")
    assert call(*WITH_MODEL, "my_factories:build", "--weights", "weights", "--out", "refused") == 3
    refused(factories, capsys.readouterr().err, message)


def refused(folder: Path, error: str, message: str) -> None:
    assert error.splitlines()[-1].startswith("untrain: ")
    assert message in error
    assert "Traceback" not in error
    assert not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "did you mean 'digits'?"),
        (["--data", "mnist", "--data-dir", "/no/such"], "no file mnist/train-00000-of-00001.parquet below /no/such"),
        (
            ["--model", "transformer"],
            "--model must be mlp, cnn, resnet18 or PACKAGE.MODULE:FACTORY, got 'transformer'",
        ),
        (["--weights", "/no/such.safetensors"], "There is no weights file /no/such.safetensors"),
        (["--scorer", "guess"], "There is no scorer 'guess'"),
        (["--noise-ratio", "2"], "noise ratio must be in 0..1, got 2.0"),
        (["--limit", "0"], "limit must be at least 1 example, got 0"),
    ],
)
@pytest.mark.parametrize("verb", ["detect", "repair"])
def test_inputs_that_cannot_be_used_are_one_sentence(
    verb: str, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(verb, *arguments) == 3
    *doing, error = capsys.readouterr().err.splitlines()
    assert doing in ([], [f"reading {arguments[1] if arguments[0] == '--data' else 'digits'}"])
    assert error.startswith("untrain: ")
    assert message in error
    assert not list(tmp_path.iterdir())


def test_labels_that_say_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    columns = {f"column{number}": generator.normal(size=200) for number in range(4)}
    pq.write_table(pa.table({"label": generator.integers(3, size=200), **columns}), tmp_path / "random.parquet")
    assert call("repair", "--data", str(tmp_path / "random.parquet"), "--out", str(tmp_path / "out")) == 3
    assert "cannot be told right from wrong" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_repair_leaves_nothing(tmp_path: Path) -> None:
    interrupt("repair", "--limit", "300", "--out", str(tmp_path / "out"), at="looking", by=signal.SIGINT)
    assert not (tmp_path / "out").exists()


def test_faces_are_synthesized_and_looked_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = tmp_path / "surf"
    asked = ["synthesize", "surf", str(faces), "--persons", "20", "--photographs", "10", "--seed", "3"]
    assert call(*asked) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:2] == ["drawing person 1 of 20", "drawing person 2 of 20"]
    assert printed.out.splitlines()[0] == f"200 photographs of 20 drawn persons: {faces}"
    assert f"Use it as --data {faces}" in printed.out
    assert len(load("surf", data_dir=faces)) == len(load("surf", data_dir=tmp_path)) == 200
    assert call(*asked) == 3
    assert "name a new or an empty directory" in capsys.readouterr().err
    asked = [
        "detect",
        "--data",
        str(faces),
        "--model",
        "mlp",
        "--scorer",
        "neighbours",
        "--out",
        str(tmp_path / "found"),
    ]
    assert call(*asked) == 0
    assert "neighbours flags " in capsys.readouterr().out
    found = json.loads((tmp_path / "found" / "suspects.json").read_text())
    assert found["classes"][0] == "20-25"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["synthesize", "surf"], 2, ""),
        (["synthesize", "cats", "faces"], 2, ""),
        (["synthesize", "surf", "faces", "--persons", "9"], 3, "10 to 999999 persons"),
        (["synthesize", "surf", "/dev/null"], 3, "/dev/null"),
        (["detect", "--data", "surf", "--data-dir", "."], 3, "no Age_Gender.txt in . or in surf"),
    ],
)
def test_faces_that_cannot_be_are_one_sentence(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert message in error
    assert not list(tmp_path.iterdir())


def test_an_interrupted_synthesis_leaves_nothing(tmp_path: Path) -> None:
    interrupt("synthesize", "surf", str(tmp_path / "faces"), at="drawing person 51 ", by=signal.SIGTERM)
    assert not list(tmp_path.iterdir())
