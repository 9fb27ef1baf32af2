"""The catalogs: every text of every page is in each language, none is left over, and values keep their places."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.records.samples import record
from tests.report.test_report import results, row, typed
from tests.report.test_suspects import found
from tests.report.texts import PLACE, SOURCE, named, sentences, shapes, tabled
from untrain.errors import ConfigError
from untrain.records import Ground, Outcome, Verdict
from untrain.records.serialization import content
from untrain.report.html import render
from untrain.report.language import LANGUAGES, Translator, catalog
from untrain.report.record import record_page, reply
from untrain.report.results import MislabelResults
from untrain.report.suspects import summary
from untrain.review.page import render as review

OTHERS = [language for language in LANGUAGES if language != "en"]
MEMORIES = ((0.01, -0.1, 0.12), (0.22, 0.15, 0.29), (0.1, -0.02, 0.22), (0.4, -0.1, 0.9))


def comparisons() -> Iterator[dict[str, Any]]:
    """Results with every kind of winner."""
    for score in (0.0, 0.05):
        for rival in (None, 0.01, 0.9):
            yield results() | {"rows": [row("finetune", score, 0.5, same_cost_score=rival, originals=2)]}
        for memory in MEMORIES:
            for others in ([], [row("renew", 0.01, 1.0, memory_left=estimate(MEMORIES[0]))]):
                told = {"value": 0.5 if memory == MEMORIES[2] else 0.0, "low": 0.0, "high": 1.0}
                first = row("finetune", score, 0.5, memory_left=estimate(memory), told_apart=told, memory_models=32)
                yield results() | {"rows": [first, *others]}
    yield results() | {"rows": [row("retrain", 0.1, 1.0)]}


def estimate(ends: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), ends, strict=True))


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """The same, with confidences of all methods."""
    confidences = {each["method"]: [1.0, 2.0] for each in content["rows"]} | {"reference": [1.0, 1.5]}
    content["shown"][0]["examples"][0]["confidences"] = confidences
    return content


def mislabelings() -> Iterator[MislabelResults]:
    """Results with every kind of row."""
    for seeds, note in ((1, None), (5, "Note")):
        common = {"setting": 0, "dataset": "digits", "noise": "symmetric", "noise_ratio": 0.2, "title": "original"}
        figures = {"precision": 99.0, "recall": 98.0, "estimated_noise_ratio": 0.21, "flagged": 0.2}
        spread = {"precision": 0.5} if seeds > 1 else {}
        rows = [
            {**common, "scorer": "auto", "seeds": seeds, "spread": spread, **figures},
            {**common, "scorer": "loss", "seeds": seeds, "told": True, **figures},
            {**common, "method": "original", "seeds": seeds, "test_accuracy": 90.0},
            {**common, "method": "retrain", "scorer": "auto", "target": "detected", "seeds": seeds},
            {**common, "method": "retrain", "target": "mislabelled", "seeds": seeds, "test_accuracy": 95.0},
        ]  # fmt: skip
        if note:
            rows += [{**each, "setting": 1, "noise_ratio": 0.5, "seeds": 1, "note": note} for each in rows]
        yield msgspec.convert(
            {
                "schema": 1, "kind": "mislabel", "experiment": "x", "title": "x", "configuration": {},
                "environment": {},
                "rows": rows, "shown": [], "seeds": seeds, "sizes": {"train": 1, "test": 1, "classes": 2},
            },
            MislabelResults,
        )  # fmt: skip


def texts_of(value: Any) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_of(item)
    elif isinstance(value, str):
        yield value


def test_every_text_of_a_page_is_in_every_language() -> None:
    texts = named() | tabled()
    assert len(texts) > 250
    for language in OTHERS:
        known = catalog(language)
        assert {PLACE.sub("{}", text) for text in texts} <= {PLACE.sub("{}", text) for text in known}
        for text, translated in known.items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", translated)), text


def whole(text: str) -> str | None:
    """What a sentence of the source looks like with values; None for a part of one."""
    filled = re.sub(r"^\{\} \{\} (?=[A-Z])", "", text).replace("{}", "7")
    if not filled.endswith(".") or len(filled) < 12 or re.fullmatch(r"[\W\d]*", filled):
        return None
    return filled if filled[0].isupper() or filled[0] == "7" else f"7 {filled}"


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_a_record_is_recognized(language: str) -> None:
    say = Translator(language)
    asked = [text for shape in sentences() if (text := whole(shape))]
    assert len(asked) > 35
    for text in asked:
        for sentence in re.split(r"(?<=\.)\s+", text):
            if len(sentence) > 12:
                assert say(sentence) != sentence, sentence


def pages(language: str) -> str:
    """All kinds of pages."""
    made = [render(typed(shown(each)), language) for each in comparisons()]
    made += [render(each, language) for each in mislabelings()]
    for outcome in Outcome:
        grounds = (Ground.BY_AUDIT, Ground.BY_CONSTRUCTION) if outcome is Outcome.FORGOTTEN else (None,)
        for ground in grounds:
            changed = record(verdict=Verdict(outcome=outcome, ground=ground, sentences=()))
            if outcome is not Outcome.DOUBTFUL:
                changed = msgspec.structs.replace(changed, reply=tuple(reply(content(changed))))
            made.append(record_page(content(changed), language).decode())
    return "\n".join([*made, review(language)])


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_a_page_is_left_in_english(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missed, real = set[str](), Translator.__call__

    def noted(self: Translator, text: str, **values: object) -> str:
        said = real(self, text, **values)
        if said == text and len(re.findall(r"[a-z]{2,}", text)) > 2:
            missed.add(text)
        return said

    monkeypatch.setattr(Translator, "__call__", noted)
    pages(language)
    say = Translator(language)
    for interval in ([0.1, 0.1], [0.1, 0.3], None):
        say(summary({**found(), "interval": interval, "evidence": {}}))
    assert missed <= set(texts_of(content(record())))  # what the record of the tests says is made up


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_of_a_catalog_is_stale(language: str) -> None:
    source = "\n".join(text for path in SOURCE.rglob("*.py") for text in shapes(path))
    source += "\n".join(named() | tabled())
    pieces = {key: re.split(r"\{\w*\}|[.,:;()]", key) for key in catalog(language)}
    stale = [key for key, parts in pieces.items() if any(part.strip() not in source for part in parts)]
    assert not stale


@pytest.mark.parametrize("language", OTHERS)
def test_a_page_of_another_language_says_so(language: str) -> None:
    for page in (
        review(language),
        render(typed(results()), language),
        record_page(content(record()), language).decode(),
    ):
        assert f'<html lang="{language}">' in page


def test_sentences_with_values_are_recognized() -> None:
    say = Translator("ja")
    assert say("3 of 9 decided") == "9 件中 3 件を判定済み"
    assert say("{done} of {all} decided", done=3, all=9) == "9 件中 3 件を判定済み"
    assert say("never heard") == "never heard"
    assert say("More models narrow this. More models narrow this.") == 2 * "モデルを増やせば範囲が狭まる。"
    assert Translator()("3 of 9 decided") == "3 of 9 decided"


def test_data_in_a_sentence_are_not_translated() -> None:
    assert "wrong" in catalog("ja")
    assert Translator("ja")("labeled wrong") == "ラベル wrong"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be en or ja, got 'xx'"):
        catalog("xx")
