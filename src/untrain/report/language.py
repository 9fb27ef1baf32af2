"""The languages of reports and pages, each one catalog: from English texts to those of the language.

A text of a catalog may have places in braces, such as `{share} of the labels`. A sentence that was made with values in
these places is recognized and said in the other language with the same values. A place whose name ends in `_words`
holds a part that is translated itself; every other value is data and stays. What a catalog does not have stays English.
"""

import functools
import re
import tomllib
from importlib import resources

from untrain.errors import ConfigError

LANGUAGES = ("en", "ja")
_PLACE = re.compile(r"\{(\w+)\}")
_LONGEST = 2000
"""Letters of the longest text that is looked at; no text of ours is longer."""
_END = re.compile(r"(?<=\.)\s+")
"""Between two sentences."""


@functools.cache
def catalog(language: str) -> dict[str, str]:
    """Texts of a language by English text; empty for English.

    Raises:
        ConfigError: there is no such language.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"The language must be {' or '.join(LANGUAGES)}, got {language!r}.")
    if language == "en":
        return {}
    text = resources.files("untrain.report").joinpath("languages", f"{language}.toml").read_text(encoding="utf-8")
    return {str(key): str(value) for key, value in tomllib.loads(text).items()}


class Translator:
    """From English texts, sentences and rows of sentences to those of a language.

    Args:
        language: one of `LANGUAGES`.

    Raises:
        ConfigError: there is no such language.
    """

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self._texts = catalog(language)
        self._known = dict[str, str]()

    def __call__(self, text: str, **values: object) -> str:
        """The text in the language.

        Args:
            text: in English; a sentence that was made with values is recognized.
            **values: for the places of the text; these are not translated.
        """
        if values:
            return self._texts.get(text, text).format_map(values)
        if not self._texts or len(text) > _LONGEST:
            return text
        if text not in self._known:
            self._known[text] = _translated(self._texts, _patterns(self.language), text)
        return self._known[text]


@functools.cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Texts with places, those with the most fixed letters first."""
    with_places = [item for item in catalog(language).items() if _PLACE.search(item[0])]
    with_places.sort(key=lambda item: -len(_PLACE.sub("", item[0])))
    return tuple((_pattern(key), value) for key, value in with_places)


def _pattern(text: str) -> re.Pattern[str]:
    parts = _PLACE.split(text)
    seen = set[str]()
    made = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            made += re.escape(part)
        else:
            made += f"(?P={part})" if part in seen else f"(?P<{part}>.+?)"
            seen.add(part)
    return re.compile(made, re.DOTALL)


def _translated(texts: dict[str, str], patterns: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str:
    whole = _sentence(texts, patterns, text)
    if whole is not None:
        return whole
    sentences = _END.split(text)
    return "".join(_sentence(texts, patterns, sentence) or f"{sentence} " for sentence in sentences).strip()


def _sentence(texts: dict[str, str], patterns: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str | None:
    if text in texts:
        return texts[text]
    for pattern, value in patterns:
        if match := pattern.fullmatch(text):
            parts = match.groupdict().items()
            return value.format_map(
                {
                    name: (_sentence(texts, patterns, part) or part) if name.endswith("_words") else part
                    for name, part in parts
                }
            )
    return None
