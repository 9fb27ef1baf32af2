import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from tests.typed import call, interrupt
from untrain import __version__
from untrain.core.files import read_arrays
from untrain.data import load, mislabel, symmetric_noise
from untrain.models import MLP

SMALL = Path(__file__).parents[1] / "experiments" / "small.toml"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"untrain {__version__}\n"


def test_list_shows_experiments_and_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == 0
    out = capsys.readouterr().out
    experiments, methods = ("digits", "cifar10-small", "table1-cifar10", "table1-surf-small"), ("kl-contrast", "renew")
    for name in (*experiments, *methods, "kaggle"):
        assert name in out


def test_a_run_its_table_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", str(SMALL), "--out", str(tmp_path), "--workers", "1", "--models", "3"]
    asked += ["--methods", "transpose:kaggle, finetune", "--forget", "0.05,0.1", "--seed", "3"]
    assert call(*asked) == 0
    printed = capsys.readouterr()
    assert "transpose:kaggle" in printed.out
    assert "forgetting 5 % of the training data, 12 examples; N = 3" in printed.out
    assert "forgetting 10 %" in printed.out
    assert "report.html" in printed.out
    assert "starting" in printed.err
    assert call(*asked, "--json") == 0
    results = msgspec.json.decode(capsys.readouterr().out)
    assert [row["method"] for row in results["rows"]] == ["retrain", "transpose:kaggle", "finetune"] * 2
    assert {row["models"] for row in results["rows"]} == {3}
    (tmp_path / "report.html").unlink()
    assert call("report", str(tmp_path)) == 0
    assert (tmp_path / "report.html").is_file()


def test_scores_can_be_read_on_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    asked = ["run", str(SMALL), "--out", str(tmp_path), "--workers", "1", "--models", "2"]
    monkeypatch.setattr("untrain.cli.tables.console", lambda: Console(width=80))
    assert call(*asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    for method in ("transpose", "finetune", "short-retrain:half", "retrain"):
        (line,) = [line for line in lines if line.startswith(f"│ {method} ")]
        assert re.search(r"│ +0\.\d{4} │", line)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "diggits"], 3, "expected a .toml file or one of"),
        (["run", "digits", "--models", "1"], 3, "command line: Expected `int` >= 2"),
        (["run", "digits", "--models", "many"], 2, ""),
        (["run", "digits", "--methods", "amnesia"], 3, "expected one of the methods"),
        (["run", "digits", "--forget", "half"], 3, "a ratio, groups:COUNT, groups:RATIO or ids:FILE, got 'half'"),
        (["run", "digits", "--forget", "groups:3"], 3, "have no groups: forget a ratio"),
        (["run", "mnist", "--data-dir", "/no/such"], 3, "no file mnist/train-00000-of-00001.parquet below /no/such"),
        (["report", "/no/such"], 3, "expected results.json in /no/such"),
        (["remember"], 2, ""),
        ([], 2, ""),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if message:
        assert error.startswith("untrain: ")
        assert error.count("\n") == 1
        assert message in error
    assert not list(tmp_path.iterdir())


def test_detect_needs_nothing_but_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("detect") == 0
    printed = capsys.readouterr()
    assert " of 1797 labels are taken for wrong by auto; noise ratio " in printed.out
    assert printed.err.splitlines() == ["reading digits", "training a network", "looking for wrong labels"]
    assert sorted(path.name for path in (tmp_path / "detected").iterdir()) == [
        "suspects.csv", "suspects.html", "suspects.json",
    ]  # fmt: skip
    found = json.loads((tmp_path / "detected" / "suspects.json").read_text())
    assert (found["schema"], found["data"], found["examples"], found["scorer"]) == (1, "digits", 1797, "auto")
    assert found["interval"][0] <= found["noise_ratio"] <= found["interval"][1]
    assert set(found["versions"]) == {"untrain", "python", "torch", "numpy", "scikit-learn"}


def test_repair_needs_nothing_but_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("repair") == 0
    assert "359 examples held out at random" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "repaired").iterdir()) == [
        "model.safetensors", "repair.json", "suspects.csv",
    ]  # fmt: skip


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
    assert (done["schema"], done["method"], done["scorer"]) == (1, "finetune", "review")
    assert not (tmp_path / "first" / "suspects.csv").exists()
    arrays, metadata = read_arrays(tmp_path / "first" / "model.safetensors")  # its digest fits
    assert metadata["method"] in ("finetune", "none")

    weights = tmp_path / "first" / "model.safetensors"
    module = MLP().build((64,), 10)
    module.load_state_dict(safetensors.torch.load_file(weights))
    assert sorted(arrays) == sorted(module.state_dict())
    assert call("repair", "--data", str(table), "--weights", str(weights), "--out", second, "--limit", "500") == 0
    printed = capsys.readouterr()
    assert "by ssse" in printed.out
    assert "training" not in printed.err
    done = json.loads((tmp_path / "second" / "repair.json").read_text())
    assert done["evidence"]["note"].startswith("auto fell back to neighbours")
    assert done["examples"] == 500

    before = weights.read_bytes()
    again = str(tmp_path / "second" / ".." / "first")
    assert call("repair", "--data", str(table), "--weights", str(weights), "--out", again) == 3
    assert "the original would be replaced" in capsys.readouterr().err
    assert weights.read_bytes() == before

    assert call(*asked) == 3  # it would overwrite the answers
    assert "expected no answers in" in capsys.readouterr().err
    (tmp_path / "first" / "notes.txt").touch()
    assert call("repair", "--data", str(table), "--out", first) == 3
    assert "got 'notes.txt' there" in capsys.readouterr().err


def test_a_factory_beside_the_data_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "ones_own.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "def small(): return nn.Sequential(nn.Flatten(), nn.Linear(32, 10))\n"
        "def few(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))\n"
    )
    asked = ["detect", "--limit", "300", "--scorer", "loss", "--noise-ratio", "0.1", "--model"]
    assert call(*asked, "ones_own:build", "--out", "out") == 0
    assert "30 of 300 labels are taken for wrong by loss; noise ratio 10.0 % (as given)" in capsys.readouterr().out
    state = {"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}
    for name, content, message in (
        ("ones_own:small", None, "expected a model for inputs of shape (1, 8, 8) and 10 classes, got: mat1 and mat2"),
        ("ones_own:few", None, "got logits of shape (2, 9) for 2 examples"),
        ("ones_own:nothing", None, "expected package.module:factory that can be imported"),
        ("json:loads", None, "got: loads() missing 1 required positional argument"),
        ("os:getcwd", None, "expected a factory that builds a torch module, got str"),
        ("ones_own:build", {**state, "2.bias": torch.zeros(1)}, "the model lacks '2.bias'"),
        ("ones_own:build", {"1.bias": torch.zeros(10)}, "the file lacks '1.weight'"),
        ("ones_own:build", {**state, "1.bias": torch.zeros(3)}, "of shape (10,) in weights, got (3,)"),
        ("ones_own:build", {**state, "1.bias": torch.full((10,), torch.nan)}, "expected finite logits"),
        ("ones_own:build", b"not tensors at all", "expected a whole .safetensors file at weights"),
    ):
        if isinstance(content, bytes):
            (tmp_path / "weights").write_bytes(content)
        elif content:
            safetensors.torch.save_file(content, tmp_path / "weights")
        given = [] if content is None else ["--weights", "weights"]
        assert call(*asked, name, *given, "--out", "refused") == 3
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("untrain: ")
        assert message in error
        assert "Traceback" not in error
    assert not (tmp_path / "refused").exists()
    safetensors.torch.save_file(state | {"1.weight": torch.eye(10, 64)}, tmp_path / "weights")
    assert call(*asked, "ones_own:build", "--weights", "weights", "--out", "out") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "must be digits, mnist, cifar10"),
        (["--data", "mnist", "--data-dir", "/no/such"], "no file mnist/train-00000-of-00001.parquet below /no/such"),
        (["--model", "transformer"], "expected mlp, cnn, resnet18 or package.module:factory as model"),
        (["--weights", "/no/such.safetensors"], "expected weights as a .safetensors file at /no/such.safetensors"),
        (["--scorer", "guess"], "expected one of the scorers"),
        (["--noise-ratio", "2"], "expected a noise ratio in 0..1, got 2.0"),
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


def test_names_do_not_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile, harmless = "\x1b[2J[red]\u202e", r"\x1b[2J[red]\u202e"
    assert call("detect", "--data", hostile) == 3
    assert f"reading {harmless}\n" in capsys.readouterr().err
    assert call("run", str(SMALL), "--workers", "1", "--forget", "0.1", "--methods", "finetune", "--out", "run") == 0
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    for row in content["rows"]:
        row["forget"] = hostile
    content["experiment"], content["shown"][0]["forget"] = hostile, hostile
    (tmp_path / "run" / "results.json").write_text(json.dumps(content))
    (tmp_path / "run").rename(tmp_path / hostile)
    capsys.readouterr()
    assert call("report", hostile) == 0
    said, warned = capsys.readouterr()
    assert "\x1b" not in said
    assert f"{harmless}: forgetting" in said
    assert f"report: {harmless}/report.html" in said
    assert warned == ""


def test_labels_that_say_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    columns = {f"column{number}": generator.normal(size=200) for number in range(4)}
    pq.write_table(pa.table({"label": generator.integers(3, size=200), **columns}), tmp_path / "random.parquet")
    assert call("repair", "--data", str(tmp_path / "random.parquet"), "--out", str(tmp_path / "out")) == 3
    assert "untrain: nothing can be known of these labels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_repair_leaves_nothing(tmp_path: Path) -> None:
    interrupt("repair", "--out", str(tmp_path / "out"), at="looking", by=signal.SIGINT)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["list"], ["--version"], ["--help"]])
def test_output_that_cannot_be_printed_is_one_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "untrain", *words], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ended.returncode, ended.stderr) == (
        3,
        "untrain: the system refused: [Errno 28] No space left on device\n",
    )


def test_without_an_output_errors_are_told_all_the_same() -> None:
    for words, code, error in (("--version", 0, ""), ("report /no/such", 3, "untrain: expected results.json in ")):
        command = f"{sys.executable} -m untrain {words} >&-"
        ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
        assert ended.returncode == code
        assert ended.stderr.startswith(error)
        assert ended.stderr.count("\n") == bool(error)


def test_a_broken_pipe_of_another_kind_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("untrain.report.write_report", broken)
    assert call("report", "run") == 3
    assert capfd.readouterr().err == "untrain: the system refused: [Errno 32] Broken pipe\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "untrain", "--version"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "untrain", "--help"], check=True, capture_output=True, text=True)
    assert "run" in done.stdout


def test_faces_are_synthesized_and_looked_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = tmp_path / "surf"
    asked = ["synthesize", "surf", str(faces), "--persons", "20", "--photographs", "10", "--seed", "3"]
    assert call(*asked) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:2] == ["drawing person 1 of 20", "drawing person 2 of 20"]
    assert printed.out.splitlines()[0] == f"200 photographs of 20 drawn persons: {faces}"
    assert f"--data {faces} with detect" in printed.out
    assert len(load("surf", data_dir=faces)) == len(load("surf", data_dir=tmp_path)) == 200
    assert call(*asked) == 3
    assert "name a new or an empty directory" in capsys.readouterr().err
    asked = ["detect", "--data", str(faces), "--scorer", "neighbours", "--out", str(tmp_path / "found")]
    assert call(*asked) == 0
    assert " of 200 labels are taken for wrong by neighbours" in capsys.readouterr().out
    found = json.loads((tmp_path / "found" / "suspects.json").read_text())
    assert found["classes"][0] == "20-25"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["synthesize", "surf"], 2, ""),
        (["synthesize", "cats", "faces"], 2, ""),
        (["synthesize", "surf", "faces", "--persons", "9"], 3, "10 to 999999 persons"),
        (["synthesize", "surf", "/dev/null"], 3, "/dev/null is no directory that can be written to"),
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
