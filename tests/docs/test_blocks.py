"""Every code block of the documents runs, and prints what the document shows."""

import sys
from pathlib import Path

import pytest

from tests.docs.blocks import LANGUAGES, PAGES, ROOT, agrees, blocks, run_document
from tests.docs.setups import SETUPS

DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in PAGES
    if path.suffixes != [".ja", ".md"] and any(block.language in ("python", "console") for block in blocks(path))
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_code_of_a_document_runs(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "net", raising=False)
    run_document(ROOT / document, SETUPS.get(document, dict)())
    sys.modules.pop("net", None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}, line {block.line}: {block.language or 'no language'}"


def test_outputs_are_compared_without_figures() -> None:
    assert agrees("memory left 0.48 (0.03 to 0.72)\n", "memory left  1.00 (-0.9 to 1.1)")
    assert not agrees("memory left 0.48", "memory found 0.48")
    assert agrees("first\n...\nlast 3", "first\nsecond\nthird\nlast 4")
    assert not agrees("first", "first\nsecond")


def test_a_wrong_output_and_a_failing_block_are_told(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("```python\nprint('yes')\n```\n\n```text\nno\n```\n")
    with pytest.raises(AssertionError, match="line 5 shows"):
        run_document(document, {})
    document.write_text("```python\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_document(document, {})
    document.write_text("```console\n$ untrain forget --nothing\n```\n")
    with pytest.raises(AssertionError, match="ended with 2"):
        run_document(document, {})
    document.write_text("```console\n$ python benchmarks/none.py\n```\n")
    with pytest.raises(AssertionError, match=r"no benchmarks/none\.py"):
        run_document(document, {})
