"""An experiment as data: the types are the TOML schema, the record that is stored, and what the command line sets."""

import csv
import functools
import io
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from untrain.core.files import toml_text
from untrain.data.sources import WITH_TEST_PART
from untrain.detection import build_scorer
from untrain.errors import ConfigError
from untrain.methods import METHODS, build_method
from untrain.models import Model
from untrain.population import Engine, Recipe
from untrain.population.recipe import Count

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which examples.

    Attributes:
        source: as `untrain.load` takes it.
        limit: draw this many examples of the training source; None for all.
        test_limit: likewise of the source's test part.
        classes: names of the classes to keep; None for all.
        per_class: draw this many training examples of each class; None for all.
        label: the column of true labels in a table of one's own.
        not_inputs: further columns of such a table that a model must not see.
        validation: share of the training source that is kept for validation.
        test: share that is kept for testing, where the source has no test part.
    """

    source: str = "digits"
    limit: Count | None = None
    test_limit: Count | None = None
    classes: tuple[str, ...] | None = None
    per_class: Count | None = None
    label: str = "label"
    not_inputs: tuple[str, ...] = ()
    validation: Share = 0.1
    test: Share = 0.1

    @property
    def has_test_part(self) -> bool:
        """Whether the source comes with a test part of its own."""
        return self.source in WITH_TEST_PART


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """What every kind of experiment says.

    Attributes:
        name: names the run's directory.
        title: one sentence for people.
        data: which examples.
        model: the architecture.
        recipe: how models are trained.
        seed: root of all random streams.
        published: name of a table of published figures that were obtained in this setting.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    data: Data = Data()
    model: Model
    recipe: Recipe
    seed: int = 0
    published: str | None = None


class Experiment(Declared, frozen=True, kw_only=True, tag="comparison"):
    """A comparison of unlearning methods with the competition's score.

    Attributes:
        forget: what is forgotten, one setting each: a ratio, `groups:COUNT`, `groups:RATIO` or
            `ids:FILE`.
        methods: `name` or `name:preset`; retraining is always there, as the reference.
        preset: what a bare method name means where the method has such a preset; None for its defaults.
        settings: fields of a method, by its name as in `methods`, set after the preset.
        models: N, how many unlearned models of each method are compared with N retrained ones.
        chunk: how many models make one piece of work and one file.
        engine: how models are computed; None to measure it when the run begins.
    """

    forget: Annotated[tuple[float | str, ...], msgspec.Meta(min_length=1)] = (0.005, 0.02)
    methods: tuple[str, ...]
    preset: str | None = None
    settings: dict[str, dict[str, Any]] = {}
    models: Annotated[int, msgspec.Meta(ge=2)] = 64
    chunk: Count = 16
    engine: Engine | None = None

    def resolved(self) -> "Experiment":
        """The same experiment with every field of every method written out.

        Raises:
            ConfigError: a method, preset or setting does not exist, or a method or forget setting occurs twice.
        """
        _check_published(self.published)
        if self.preset is not None and not any(self.preset in METHODS.of(name).presets for name in METHODS.names()):
            raise ConfigError(f"expected a preset that some method has, got {self.preset!r}")
        _check_distinct("forget settings", self.forget)
        _check_settings(self.settings, self.methods)
        build = functools.partial(build_method, preset=self.preset)
        return msgspec.structs.replace(self, settings=_written_out("methods", self.methods, self.settings, build))


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of label noise, at one or several ratios.

    Attributes:
        kind: `symmetric`; `pair`, each class into the next; `matrix`, class-dependent; `column`, given by people.
        ratios: shares of wrong labels, for `symmetric` and `pair`.
        exact: wrong labels are exactly so many, instead of each with that probability.
        matrix: for `matrix`, probabilities of given labels (columns) for true classes (rows).
        column: for `column`, that of the given labels in a table of one's own.
    """

    kind: Literal["symmetric", "pair", "matrix", "column"] = "symmetric"
    ratios: tuple[Annotated[float, msgspec.Meta(ge=0, le=1)], ...] = ()
    exact: bool = True
    matrix: tuple[tuple[float, ...], ...] | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        given = {"ratios": bool(self.ratios), "matrix": self.matrix is not None, "column": self.column is not None}
        needed = {"matrix": "matrix", "column": "column"}.get(self.kind, "ratios")
        if [name for name, there in given.items() if there] != [needed]:
            raise ConfigError(
                f"expected {needed} alone for noise of kind {self.kind}, "
                f"got {', '.join(name for name, there in given.items() if there) or 'none'}"
            )


class Mislabel(Declared, frozen=True, kw_only=True, tag="mislabel"):
    """Wrong labels put into clean data, found, and forgotten.

    Of the data, `test` is held out where the source has no test part; `validation` is not used.

    Attributes:
        noise: kinds and ratios of wrong labels.
        scorers: that look for them, each `name` or `name:preset`.
        told: those of the scorers that are told the true noise ratio.
        methods: that forget them, each `name` or `name:preset`.
        settings: fields of scorers and methods, by name as above, set after the preset.
        forgotten: what is forgotten: `mislabelled`, all that is wrong, or the name of a scorer, what it flags.
        seeds: how often everything is repeated, with other noise and other models.
        shown: noise ratio whose scores are drawn as histograms; None for no figure.
    """

    noise: Annotated[tuple[Noise, ...], msgspec.Meta(min_length=1)]
    scorers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    told: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    settings: dict[str, dict[str, Any]] = {}
    forgotten: tuple[str, ...] = ("mislabelled",)
    seeds: Count = 5
    shown: float | None = None

    def resolved(self) -> "Mislabel":
        """The same experiment with every field of every scorer and method written out.

        Raises:
            ConfigError: a scorer, method, preset or setting does not exist or occurs twice; `told` or `forgotten` names
                a scorer that is not there.
        """
        _check_published(self.published)
        _check_distinct("noise settings", [repr(noise) for noise in self.noise])
        for name in {*self.told, *self.forgotten} - {*self.scorers, "mislabelled"}:
            raise ConfigError(f"expected one of the scorers {', '.join(self.scorers)}, got {name!r}")
        _check_settings(self.settings, [*self.scorers, *self.methods])
        settings = _written_out("scorers", self.scorers, self.settings, build_scorer)
        settings |= _written_out("methods", self.methods, self.settings, build_method)
        return msgspec.structs.replace(self, settings=settings)


AnyExperiment = Experiment | Mislabel
"""Every kind of experiment."""


def _check_published(name: str | None) -> None:
    tables = _resources("published", ".csv")
    if name is not None and name not in tables:
        raise ConfigError(f"expected one of the published tables {', '.join(tables)}, got {name!r}")


def _check_distinct(what: str, values: Sequence[Any]) -> None:
    if len(set(map(str, values))) < len(values):
        raise ConfigError(f"expected distinct {what}, got {', '.join(map(str, values))}")


def _check_settings(settings: dict[str, dict[str, Any]], specs: Sequence[str]) -> None:
    for name in settings.keys() - set(specs):
        raise ConfigError(f"expected settings of {', '.join(specs)}, got settings of {name!r}")


def _written_out(
    what: str, specs: Sequence[str], settings: dict[str, dict[str, Any]], build: Callable[..., msgspec.Struct]
) -> dict[str, dict[str, Any]]:
    """Every field of what the specs name."""
    _check_distinct(what, specs)
    written = {spec: msgspec.to_builtins(build(spec, settings=settings.get(spec))) for spec in specs}
    for fields in written.values():
        fields.pop("type", None)
    return written


def packaged() -> list[str]:
    """Names of the experiments that come with the package."""
    return _resources("packaged", ".toml")


def _resources(folder: str, suffix: str) -> list[str]:
    files = (resources.files("untrain.experiments") / folder).iterdir()
    return sorted(file.name.removesuffix(suffix) for file in files if file.name.endswith(suffix))


def published_rows(table: str) -> list[dict[str, str]]:
    """The rows of a table of published figures, by the names of its columns."""
    file = resources.files("untrain.experiments") / "published" / f"{table}.csv"
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def read_experiment(name: str) -> AnyExperiment:
    """Read a packaged experiment by name, or one's own from the path of a TOML file.

    Raises:
        ConfigError: there is no such experiment, or a key is unknown, of the wrong type or out of range.
    """
    path = Path(name)
    if name in packaged():
        text = (resources.files("untrain.experiments") / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
    elif path.suffix == ".toml" and path.is_file():
        text = read_text(path)
    else:
        raise ConfigError(f"expected a .toml file or one of {', '.join(packaged())} as experiment, got {name!r}")
    return parse(text, name)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected UTF-8 text in {path}: {error}") from error


def parse(text: str, where: str) -> AnyExperiment:
    """Parse the TOML text of an experiment, which is a comparison if it does not say; errors name `where`.

    Raises:
        ConfigError: it is not TOML, or not an experiment.
    """
    try:
        fields = msgspec.toml.decode(text, type=dict[str, Any])
        found: AnyExperiment = msgspec.convert({"kind": "comparison", **fields}, AnyExperiment)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error
    return found


def changed(experiment: AnyExperiment, changes: dict[str, Any], where: str) -> AnyExperiment:
    """The experiment with some settings changed, checked like one that is read; errors name `where`.

    Raises:
        ConfigError: a value is of the wrong type or out of range.
    """
    try:
        found: AnyExperiment = msgspec.convert({**msgspec.to_builtins(experiment), **changes}, type(experiment))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    return found


def to_toml(experiment: Declared) -> str:
    """The experiment as TOML, every default written out; what is None is absent, as TOML has no such value."""
    return toml_text(msgspec.to_builtins(experiment))


def differences(mine: Declared, other: Declared) -> list[str]:
    """Dotted paths of the settings in which two experiments differ; prose (a title, a reason) does not count."""
    left, right = _flat(msgspec.to_builtins(mine)), _flat(msgspec.to_builtins(other))
    return sorted(
        f"{key}: {left.get(key, 'unset')!r} and {right.get(key, 'unset')!r}"
        for key in left.keys() | right.keys()
        if left.get(key) != right.get(key) and key not in ("title", "engine.reason")
    )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    return {
        path: leaf
        for key, item in value.items()
        for path, leaf in _flat(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }
