"""Commands as they are typed, in this process or in one that is interrupted."""

import signal
import subprocess
import sys

import pytest

from untrain.cli.main import main


def call(*arguments: str) -> int:
    """Type a command here; its exit code."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def once(*arguments: str) -> list[str]:
    """The arguments with the last value of each option that is repeated."""
    places = {word: place for place, word in enumerate(arguments) if word.startswith("--")}
    dropped = {place for place, word in enumerate(arguments) if place < places.get(word, place)}
    return [word for place, word in enumerate(arguments) if not {place, place - 1} & dropped]


def interrupt(*arguments: str, at: str, by: signal.Signals) -> None:
    """Type a command, send it a signal when it prints a line that begins with `at`, and see that it says so."""
    words = [sys.executable, "-m", "untrain", *arguments]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(at):
                process.send_signal(by)
        assert line.startswith("untrain: stopped; nothing was written.")
    assert process.returncode == 130
