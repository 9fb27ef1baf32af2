"""Lines of the documents are short enough to be read and compared; tables, code and links excepted."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES

WIDTH = 100
FRONT_PAGES = ("README.md", "README.ja.md")
"""These must be short instead: a line of them is a sentence or more."""


def long_lines(text: str) -> list[str]:
    """Lines of sentences that are longer than `WIDTH`, without the addresses of links."""
    text = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"\]\([^)]*\)|<http[^>]*>", "]", line) for line in text.splitlines() if not line.startswith("|")]
    return [line for line in lines if len(line) > WIDTH]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in FRONT_PAGES], ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    assert not long_lines(page.read_text())


def test_a_long_line_is_found() -> None:
    words = "word " * 30
    assert long_lines(f"short\n\n{words}\n") == [words.rstrip() + " "]
    assert not long_lines(f"| {words} |\n\n```text\n{words}\n```\n\n[a]({'x' * 120})\n")
