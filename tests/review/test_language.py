"""Every text of the review page is in the catalog of each language, with the same places for values."""

import re
from importlib import resources
from pathlib import Path

import pytest

from untrain.cli.inputs import Inputs
from untrain.cli.review import _commands
from untrain.errors import ConfigError
from untrain.report.language import LANGUAGES, catalog, translator
from untrain.review.page import render

FILES = resources.files("untrain.review")
SCRIPT = FILES.joinpath("assets", "review.js").read_text(encoding="utf-8")
TEMPLATE = FILES.joinpath("templates", "review.html.j2").read_text(encoding="utf-8")


def texts() -> set[str]:
    found = re.findall(r"""\bt\((?:"([^"]+)"|'([^']+)')""", SCRIPT + TEMPLATE)
    return {first or second for first, second in found} | {what for what, _ in _commands(Path("x"), Inputs())}


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_no_text_of_the_page_is_missing(language: str) -> None:
    known = catalog(language)
    assert len(texts()) > 50
    assert not texts() - known.keys()
    for text, translated in known.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", translated)), text
    assert "ラベル誤り候補の確認" in render("ja")
    assert '<html lang="ja">' in render("ja")


def test_sentences_with_values_are_recognized() -> None:
    say = translator("ja")
    assert say("3 of 9 decided") == "9 件中 3 件を判定済み"
    assert say("never heard") == "never heard"
    assert translator("en")("3 of 9 decided") == "3 of 9 decided"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be en or ja, got 'xx'"):
        catalog("xx")
