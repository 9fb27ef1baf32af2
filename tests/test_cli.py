import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from untrain import __version__
from untrain.cli import main

SMALL = Path(__file__).parent / "experiments" / "small.toml"


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"untrain {__version__}\n"


def test_list_shows_experiments_and_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == 0
    out = capsys.readouterr().out
    for name in ("digits", "mnist", "cifar10-small", "cifar10", "kl-contrast", "short-retrain", "kaggle"):
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
    monkeypatch.setattr("untrain.cli._console", lambda: Console(width=80))
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
        (["run", "digits", "--forget", "half"], 3, "expected a ratio, groups:COUNT or ids:FILE"),
        (["run", "digits", "--forget", "groups:3"], 3, "expected examples with groups"),
        (["run", "mnist", "--data-dir", "/no/such"], 3, "found no such file"),
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


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "untrain", "--help"], check=True, capture_output=True, text=True)
    assert "run" in done.stdout
