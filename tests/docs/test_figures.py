"""A table of a stored run in a document is what the command above it prints."""

import re
import runpy
import sys

import pytest

from tests.docs.blocks import ROOT

COMMAND = re.compile(
    r"^`python benchmarks/(markdown|auto|unfinished)\.py((?: docs/figures/\S+| --\w+| \w+)*)`\n\n", re.MULTILINE
)
"""Commands that read `docs/figures`; a run of the reader's own is in `runs`."""
SHOWN = {
    f"{path.name}: {command[1]}{command[2]}": (command[1], command[2].split(), text[command.end() :])
    for path in sorted((ROOT / "docs").glob("*.md"))
    for text in [path.read_text()]
    for command in COMMAND.finditer(text)
}
"""The script, its arguments, and what follows, by place."""


@pytest.mark.parametrize("place", SHOWN)
def test_a_table_is_what_its_command_prints(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, words, after = SHOWN[place]
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend("benchmarks")
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *words])
    runpy.run_path(f"benchmarks/{script}.py", run_name="__main__")
    assert after.startswith(capsys.readouterr().out.strip() + "\n\n")


def test_the_tables_are_found() -> None:
    assert len(SHOWN) >= 12
