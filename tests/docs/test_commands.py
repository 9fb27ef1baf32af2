"""Commands in the documents have the options that they are given, whether or not the tests run them."""

import argparse
import functools
import os
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, command
from untrain.cli import main

SCRIPT = re.compile(r"^(?:\S+=\S+ )*(?:python )?(?:-m )?benchmarks[./](\w+)(?:\.py)?(?= |$)(.*)", re.DOTALL)


class ParsedError(Exception):
    """The options of a script were taken."""


def in_blocks(path: Path) -> Iterator[str]:
    """The commands in the console blocks of a document."""
    for block in blocks(path):
        if block.language == "console":
            yield from re.findall(r"^\$ (.*)", block.text.replace("\\\n", " "), re.MULTILINE)


def in_sentences(path: Path) -> Iterator[str]:
    """Whole commands within the sentences and tables of a document; others are mentions, without what they need."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", text):
        if span.startswith(("python ", "untrain run ")):
            yield " ".join(span.split())


COMMANDS = sorted({line for path in PAGES for line in (*in_blocks(path), *in_sentences(path))})
SCRIPTS = [line for line in COMMANDS if SCRIPT.match(line)]
UNTRAIN = [line for line in COMMANDS if line.startswith("untrain ")]


@pytest.mark.parametrize("line", SCRIPTS)
def test_a_script_has_the_options(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = SCRIPT.match(line)
    assert found
    path, words = ROOT / "benchmarks" / f"{found[1]}.py", shlex.split(found[2], comments=True)
    if "ArgumentParser" not in path.read_text():
        assert not words
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_alone(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_alone)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(sys, "argv", [path.name, *words])
    monkeypatch.syspath_prepend(path.parent)
    with pytest.raises(ParsedError):
        runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("line", UNTRAIN)
def test_a_command_has_the_options(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(function: Callable[..., None]) -> Callable[..., None]:
        return functools.wraps(function)(lambda *_, **__: None)

    monkeypatch.setattr(main, "COMMANDS", {name: parsed(function) for name, function in main.COMMANDS.items()})
    code, printed = command(shlex.split(line, comments=True)[1:])
    assert code == 0, printed


def test_there_are_commands_of_both_kinds() -> None:
    assert len(SCRIPTS) > 20
    assert len(UNTRAIN) > 40
