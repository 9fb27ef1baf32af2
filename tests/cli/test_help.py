"""The help of every command, and options by the names that they had before."""

from pathlib import Path

import pytest

from tests.records.samples import written
from tests.typed import call
from untrain.cli.main import COMMANDS
from untrain.cli.options import RENAMED

OWN = (
    "detect",
    "repair",
    "forget",
    "doctor",
    "audit",
    "convert",
    "recipe",
    "verify",
    "sign",
    "push",
    "synthesize",
    "run",
    "work",
)


@pytest.mark.parametrize("command", OWN)
def test_the_help_of_a_command_stands_alone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    out = capsys.readouterr().out
    assert f"usage: untrain {command}" in out
    assert f"\nexamples:\n  untrain {command} " in out
    for blemish in ("None", "False", "STR", "PATH", "INT "):
        assert blemish not in out


@pytest.mark.parametrize("command", ["detect", "repair", "forget", "doctor", "audit"])
def test_data_and_network_have_the_same_words_everywhere(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("detect", "--help") == 0
    expected = words(capsys.readouterr().out)
    assert call(command, "--help") == 0
    assert words(capsys.readouterr().out) == expected


def words(text: str) -> list[str]:
    """The words from --data to the end of the box."""
    box = text[text.index("--data SOURCE") : text.index("\nexamples:")]
    return [word for word in box.split() if not set(word) <= set("│╭╮╰╯─")]


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    out = capsys.readouterr().out
    assert "examples:" not in out
    for command in COMMANDS:
        assert f" {command} " in out


@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_an_option_by_its_old_name_is_taken_with_a_warning(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\n")
    option = form.format("--forget", tmp_path / "ids.txt").split(" ")
    assert call("verify", str(written(tmp_path / "request")), *option) == 0
    printed = capsys.readouterr()
    assert "all 2 given ids were requested" in printed.out
    assert printed.err == "untrain: --forget is now --ids; the old name will be removed.\n"


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_every_new_name_is_an_option(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forget", "--help") == 0
    out = capsys.readouterr().out
    assert f"{new} " in out
    assert f"{old} " not in out
