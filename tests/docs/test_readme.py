"""The front page: short, with links that work anywhere, and the same in both languages."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.blocks import ROOT, blocks
from untrain.core.catalog import catalog

ENGLISH, JAPANESE = ROOT / "README.md", ROOT / "README.ja.md"
SHORTEST_SHARE_OF_JAPANESE = 0.3


def figures(path: Path) -> list[str]:
    """The numbers outside of code, links and words such as `Apache-2.0`, in any order."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>|`[^`]*`", "", text)
    return sorted(re.findall(r"-?\d[\d,.]*\d|\d", text))


def test_the_front_page_is_short() -> None:
    assert len(ENGLISH.read_text().splitlines()) <= 130


def test_both_languages_have_the_same_code() -> None:
    assert [(block.language, block.text) for block in blocks(ENGLISH)] == [
        (block.language, block.text) for block in blocks(JAPANESE)
    ]


def test_both_languages_have_the_same_figures_and_sections() -> None:
    english, japanese = ([figure for figure in figures(path) if len(figure) > 1] for path in (ENGLISH, JAPANESE))
    assert english == japanese
    assert ENGLISH.read_text().count("\n## ") == JAPANESE.read_text().count("\n## ")
    assert ENGLISH.read_text().count("\n- ") == JAPANESE.read_text().count("\n- ")
    assert ENGLISH.read_text().count("\n| ") == JAPANESE.read_text().count("\n| ")


def test_the_japanese_page_is_japanese() -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\([^)]*\)|<[^>]*>", "", JAPANESE.read_text(), flags=re.DOTALL)
    japanese = re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]", text)
    assert len(japanese) > SHORTEST_SHARE_OF_JAPANESE * len(re.sub(r"\s", "", text))


@pytest.mark.parametrize("path", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_links_are_absolute_and_lead_to_files(path: Path) -> None:
    links = re.findall(r'\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"', path.read_text())
    assert links
    for link in (first or second for first, second in links):
        parts = urlsplit(link)
        assert parts.scheme == "https"
        assert "." in parts.netloc
        for before in ("/untrain/untrain/blob/main/", "/untrain/untrain/tree/main/", "/untrain/untrain/main/"):
            if parts.path.startswith(before):
                assert (ROOT / parts.path.removeprefix(before)).exists(), link


def test_the_counts_are_those_of_the_package() -> None:
    text = ENGLISH.read_text()
    assert f"| {len(catalog('untrain.methods'))} methods |" in text
    assert f"| {len(catalog('untrain.scorers'))} detectors |" in text


def test_the_figures_of_the_table_are_those_of_the_results_file() -> None:
    from untrain.report import read_results
    from untrain.report.results import ComparisonResults

    results = read_results(ROOT / "docs" / "figures" / "methods")
    assert isinstance(results, ComparisonResults)
    rows = {row.method: row for row in results.rows}
    for name in ("finetune", "gradient-reinit", "retrain"):
        row = rows[name]
        assert (
            f"| `{name}` | {row.memory_left:.2f} | {row.test_accuracy:.1f} % | {row.speedup:.1f} |"
            in ENGLISH.read_text()
        )


def rows(page: str) -> dict[str, list[str]]:
    """The cells of the tables of a page of the documentation, by the first one."""
    lines = [line for line in (ROOT / "docs" / page).read_text().splitlines() if line.startswith("| ")]
    return {first: cells for first, *cells in ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)}


def test_the_headline_figures_are_those_of_their_pages() -> None:
    text = ENGLISH.read_text()
    verdicts = [rows("verdicts.md")[group] for group in ("do nothing", "hide", "destroy")]
    called_forgotten, of = sum(int(row[1]) for row in verdicts), sum(int(row[0]) for row in verdicts)
    assert f" {called_forgotten} of {of} | `python -m benchmarks.verdicts" in text
    kills, wrong = rows("reliability.md")["Commands that are killed"]
    assert f" {kills}, {wrong} | `pytest tests/reliability" in text
    printed = re.search(r"digits MLP .* N = 64 +([\d.]+ times as fast)", (ROOT / "docs/performance.md").read_text())
    assert printed
    assert f" {printed[1]} | `python benchmarks/engine.py`" in text
