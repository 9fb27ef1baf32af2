"""The experiments that come with the package, and the published figures; no torch here."""

import csv
import io
from importlib import resources

import msgspec

from untrain.errors import ConfigError

MODELS = 64
"""N of a comparison that does not say it."""

SEEDS = 5
"""Repetitions of an experiment with mislabeled examples that does not say them."""


class Header(msgspec.Struct, frozen=True):
    """What a list of experiments shows of one.

    Attributes:
        title: one sentence for people.
        kind: of the experiment.
        models: N of a comparison.
        seeds: repetitions of an experiment with mislabeled examples.
    """

    title: str
    kind: str = "comparison"
    models: int = MODELS
    seeds: int = SEEDS

    @property
    def repeats(self) -> str:
        """How often everything is computed, such as `64 models`."""
        count, noun = (self.seeds, "seed") if self.kind == "mislabel" else (self.models, "model")
        return f"{count} {noun}{'s' * (count > 1)}"


def packaged() -> list[str]:
    """Names of the experiments that come with the package."""
    return _names("packaged", ".toml")


def packaged_text(name: str) -> str:
    """The TOML text of a packaged experiment."""
    return _text("packaged", f"{name}.toml")


def header(name: str) -> Header:
    """What a list shows of a packaged experiment."""
    return msgspec.toml.decode(packaged_text(name), type=Header)


def check_published(name: str | None) -> None:
    """Check that a table of published figures exists, if one is named.

    Raises:
        ConfigError: it does not.
    """
    tables = _names("published", ".csv")
    if name is not None and name not in tables:
        raise ConfigError(f"There are no published figures {name!r}: choose {' or '.join(tables)}")


def published_rows(table: str) -> list[dict[str, str]]:
    """The rows of a table of published figures, by the names of its columns."""
    return list(csv.DictReader(io.StringIO(_text("published", f"{table}.csv"))))


def _names(folder: str, suffix: str) -> list[str]:
    files = (resources.files("untrain.experiments") / folder).iterdir()
    return sorted(file.name.removesuffix(suffix) for file in files if file.name.endswith(suffix))


def _text(folder: str, name: str) -> str:
    return (resources.files("untrain.experiments") / folder / name).read_text(encoding="utf-8")
