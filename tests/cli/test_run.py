import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.typed import call
from untrain import __version__
from untrain.experiments import read_experiment, run_experiment
from untrain.report import Results
from untrain.report.results import parse_results

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
    assert "forgetting 5.0 % of the training data, 12 examples; N = 3" in printed.out
    assert "forgetting 10.0 %" in printed.out
    assert "report.html" in printed.out
    assert "starting" in printed.err
    assert call(*asked, "--json") == 0
    results = msgspec.json.decode(capsys.readouterr().out)
    assert [row["method"] for row in results["rows"]] == ["transpose:kaggle", "finetune", "retrain"] * 2
    assert {row["models"] for row in results["rows"]} == {3}
    (tmp_path / "report.html").unlink()
    assert call("report", str(tmp_path)) == 0
    assert (tmp_path / "report.html").is_file()


def test_what_a_library_prints_does_not_spoil_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run_experiment(read_experiment(str(SMALL)), tmp_path, workers=1)

    def noisy(*_: object, **__: object) -> Results:
        print("(raylet) A worker died")  # noqa: T201 (as Ray does)
        return results

    monkeypatch.setattr("untrain.experiments.run.run_experiment", noisy)
    assert call("run", str(SMALL), "--json") == 0
    printed = capsys.readouterr()
    assert parse_results(printed.out.encode(), "output") == results
    assert "(raylet)" in printed.err


def test_scores_can_be_read_on_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    asked = ["run", str(SMALL), "--out", str(tmp_path), "--workers", "1", "--models", "2"]
    monkeypatch.setattr("untrain.cli.tables.console", lambda: Console(width=80))
    assert call(*asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert any("memory left" in line for line in lines)
    for method in ("transpose", "finetune", "short-retrain:half", "retrain"):
        (line,) = [line for line in lines if line.startswith(f"│ {method} ")]
        assert re.search(r"│ +0\.\d{4} │", line)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "diggits"], 3, "There is no experiment 'diggits'"),
        (["run", "digits", "--models", "1"], 3, "--models must be a whole number from 2, or auto, got '1'"),
        (["run", "digits", "--models", "many"], 3, "--models must be a whole number from 2, or auto, got 'many'"),
        (["run", "digits", "--methods", "amnesia"], 3, "There is no method 'amnesia'"),
        (["run", "digits", "--forget", "half"], 3, "a ratio, groups:COUNT, groups:RATIO, ids:FILE"),
        (["run", "digits", "--forget", "groups:3"], 3, "have no groups: forget a ratio"),
        (["run", "mnist", "--data-dir", "/no/such"], 3, "no file mnist/train-00000-of-00001.parquet below /no/such"),
        (["report", "/no/such"], 3, "/no/such holds no results.json"),
        (["run", "digits", "--seeds", "2"], 3, "--seeds does not apply to the experiment digits"),
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


def test_names_do_not_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile, harmless = "\x1b[2J[red]\u202e", r"\x1b[2J[red]\u202e"
    assert call("detect", "--data", hostile) == 3
    assert f"got '{harmless}'.\n" in capsys.readouterr().err
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["list"], ["--version"], ["--help"]])
def test_output_that_cannot_be_printed_is_one_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "untrain", *words], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ended.returncode, ended.stderr) == (
        3,
        "untrain: [Errno 28] No space left on device\n",
    )


def test_without_an_output_errors_are_told_all_the_same() -> None:
    for words, code, error in (("--version", 0, ""), ("report /no/such", 3, "untrain: /no/such holds no results.json")):
        command = f"{sys.executable} -m untrain {words} >&-"
        ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
        assert ended.returncode == code
        assert ended.stderr.startswith(error)
        assert ended.stderr.count("\n") == bool(error)


BROKEN = """
import untrain.report
from untrain.cli.main import main

def broken(*_, **__):
    raise BrokenPipeError(32, "Broken pipe")

untrain.report.write_report = broken
main(["report", "run"])
"""


def test_a_broken_pipe_of_another_kind_is_told() -> None:
    """In a process of its own, since the command gives up the output for good."""
    ended = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (3, "untrain: [Errno 32] Broken pipe\n")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "untrain", "--version"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "untrain", "--help"], check=True, capture_output=True, text=True)
    assert "run" in done.stdout
