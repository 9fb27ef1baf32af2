"""An experiment as data: these types are the TOML schema, what a run stores, and what the command line changes."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from untrain.auditing import looks
from untrain.core.files import toml_text
from untrain.core.registry import base_name
from untrain.data.sources import WITH_TEST_PART
from untrain.detection import build_scorer
from untrain.errors import ConfigError, field_reason
from untrain.experiments.catalog import MODELS, SEEDS, check_published, packaged, packaged_text
from untrain.methods import METHODS, build_method
from untrain.models import Model
from untrain.population import Engine, Recipe
from untrain.population.recipe import Count

SplitRatio = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Settings = dict[str, dict[str, Any]]
"""Fields of methods and scorers by their names, such as `transpose:kaggle`; the values have the types of the fields."""


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which examples.

    Attributes:
        source: source of the examples, see `untrain.load`.
        limit: number of training examples to draw; None for all.
        test_limit: number of test examples to draw, where the source has a test part; None for all.
        classes: names of the classes to keep; None for all.
        per_class: number of training examples to draw from each class; None for all.
        label: column of the true labels in your own table.
        not_inputs: further columns of that table that a model must not see.
        validation: share of the training source that is held out for validation.
        test: share that is held out for testing, where the source has no test part.
    """

    source: str = "digits"
    limit: Count | None = None
    test_limit: Count | None = None
    classes: tuple[str, ...] | None = None
    per_class: Count | None = None
    label: str = "label"
    not_inputs: tuple[str, ...] = ()
    validation: SplitRatio = 0.1
    test: SplitRatio = 0.1

    @property
    def has_test_part(self) -> bool:
        """Whether the source has a test part."""
        return self.source in WITH_TEST_PART


class BaseExperiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """Settings of every kind of experiment.

    Attributes:
        name: name of the experiment and of its default run directory.
        title: one sentence for people.
        data: which examples.
        model: architecture.
        recipe: how models are trained.
        seed: root of all random streams.
        published: name of a table of published figures for this setting.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    data: Data = Data()
    model: Model
    recipe: Recipe
    seed: int = 0
    published: str | None = None


class Experiment(BaseExperiment, frozen=True, kw_only=True, tag="comparison"):
    """A comparison of unlearning methods by the competition's score.

    Attributes:
        forget: forget settings, as `untrain.data.forget_by` takes them: a ratio, `groups:COUNT`, `groups:RATIO`,
            `ids:FILE`, `class:NAME`, `subject:NAME`, `highest-loss:RATIO`, `lowest-loss:RATIO` or
            `most-memorized:RATIO` each.
        rankers: number of further models, none of which is compared, whose losses or memorization rank the examples
            where a forget setting asks for it.
        methods: methods to compare, each `name` or `name:preset`; retraining is always added as the reference.
        preset: preset of a bare method name, where the method has it; None for the defaults.
        settings: fields of a method, by its name in `methods`, applied after the preset.
        models: N, number of unlearned models per method and of retrained models; `auto` adds models at each forget
            setting until its methods are ranked by rank energy, known precisely enough, or `most_models` are there.
        most_models: largest N of `auto`.
        tolerance: for `auto`, half of the width of the interval of a method's rank energy, relative to it, that is
            precise enough.
        originals: K, number of originals from which the unlearned models start, in turn.
        chunk: number of models in one job and one file.
        engine: how models are computed; None to measure it when the run begins.
    """

    forget: Annotated[tuple[float | str, ...], msgspec.Meta(min_length=1)] = (0.005, 0.02)
    rankers: Annotated[int, msgspec.Meta(ge=2, multiple_of=2)] = 16
    methods: tuple[str, ...]
    preset: str | None = None
    settings: Settings = {}
    models: Annotated[int, msgspec.Meta(ge=2)] | Literal["auto"] = MODELS
    most_models: Annotated[int, msgspec.Meta(ge=8)] = 128
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.25
    originals: Count = 1
    chunk: Count = 16
    engine: Engine | None = None

    @property
    def looks(self) -> list[int]:
        """Numbers of models at which it is decided whether there are enough; one where N is given.

        Raises:
            InputError: no number of models is allowed.
        """
        return looks(self.most_models, self.chunk) if self.models == "auto" else [self.models]

    def resolved(self) -> "Experiment":
        """The same experiment with every field of every method written out.

        Raises:
            ConfigError: a method, preset or setting does not exist, or a method or forget setting occurs twice.
            InputError: no number of models is allowed.
        """
        check_published(self.published)
        if self.originals > (fewest := self.looks[0]):
            raise ConfigError(
                f"There are {self.originals} originals for {fewest} models, and a method starts from each: choose "
                "fewer originals or more models"
            )
        if self.preset is not None and not any(self.preset in METHODS.of(name).presets for name in METHODS.names()):
            raise ConfigError(f"No method has a preset {self.preset!r}: `untrain list` shows which exist")
        _check_distinct("forget settings", self.forget)
        _check_settings(self.settings, self.methods)
        build = functools.partial(build_method, preset=self.preset)
        return msgspec.structs.replace(self, settings=_written_out("methods", self.methods, self.settings, build))


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of label noise, at one or several noise ratios.

    Attributes:
        kind: `symmetric`; `pair`, each class into the next; `matrix`, class-dependent; `column`, labels by people.
        ratios: noise ratios, for `symmetric` and `pair`.
        exact: whether the number of wrong labels is exact; otherwise each label is wrong with that probability.
        matrix: for `matrix`, probabilities of given labels (columns) for true classes (rows).
        column: for `column`, the column of the given labels in your own table.
    """

    kind: Literal["symmetric", "pair", "matrix", "column"] = "symmetric"
    ratios: tuple[Annotated[float, msgspec.Meta(ge=0, le=1)], ...] = ()
    exact: bool = True
    matrix: tuple[tuple[float, ...], ...] | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        given = {"ratios": bool(self.ratios), "matrix": self.matrix is not None, "column": self.column is not None}
        needed = {"matrix": "matrix", "column": "column"}.get(self.kind, "ratios")
        present = [name for name, there in given.items() if there]
        if present != [needed]:
            raise ConfigError(
                f"Noise of kind {self.kind} takes `{needed}` and nothing else, got {', '.join(present) or 'none'}: set "
                f"`{needed}` alone."
            )
        if self.matrix is not None and any(len(row) != len(self.matrix) for row in self.matrix):
            raise ConfigError("The matrix of the noise is not square: it needs a row and a column for each class")


class Mislabel(BaseExperiment, frozen=True, kw_only=True, tag="mislabel"):
    """Wrong labels put into clean data, detected, and forgotten.

    The share `data.test` is held out where the source has no test part; `data.validation` is not used.

    Attributes:
        noise: kinds and ratios of label noise.
        scorers: scorers to compare, each `name` or `name:preset`.
        told: scorers that are told the true noise ratio.
        methods: methods that forget the wrong labels, each `name` or `name:preset`.
        settings: fields of scorers and methods, by the names above, applied after the preset.
        forgotten: what is forgotten: `mislabelled` for all wrong labels, or a scorer for what it flags.
        seeds: number of repetitions, each with other noise and other models.
        shown: noise ratio whose scores are drawn as histograms; None for none.
    """

    noise: Annotated[tuple[Noise, ...], msgspec.Meta(min_length=1)]
    scorers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    told: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    settings: Settings = {}
    forgotten: tuple[str, ...] = ("mislabelled",)
    seeds: Count = SEEDS
    shown: float | None = None

    def resolved(self) -> "Mislabel":
        """The same experiment with every field of every scorer and method written out.

        Raises:
            ConfigError: a scorer, method, preset or setting does not exist or occurs twice; `told` or `forgotten` names
                a scorer that is not there.
        """
        check_published(self.published)
        _check_distinct("noise settings", [repr(noise) for noise in self.noise])
        if unknown := {*self.told, *self.forgotten} - {*self.scorers, "mislabelled"}:
            raise ConfigError(
                f"`told` or `forgotten` names {min(unknown)!r}, which is none of the scorers {', '.join(self.scorers)}"
            )
        _check_settings(self.settings, [*self.scorers, *self.methods])
        settings = _written_out("scorers", self.scorers, self.settings, build_scorer)
        settings |= _written_out("methods", self.methods, self.settings, build_method)
        return msgspec.structs.replace(self, settings=settings)


AnyExperiment = Experiment | Mislabel
"""Every kind of experiment."""


def _check_distinct(what: str, values: Iterable[object]) -> None:
    texts = list(map(str, values))
    if len(set(texts)) < len(texts):
        raise ConfigError(f"The {what} {', '.join(texts)} are not distinct: name each once")


def _check_settings(settings: Settings, specs: Sequence[str]) -> None:
    if unknown := settings.keys() - set(specs):
        raise ConfigError(f"`settings` names {min(unknown)!r}, which is none of {', '.join(specs)}")


def _written_out(what: str, specs: Sequence[str], settings: Settings, build: Callable[..., msgspec.Struct]) -> Settings:
    """Every field of what the specs name."""
    _check_distinct(what, specs)
    if unnamed := [spec for spec in specs if not base_name(spec)]:
        raise ConfigError(f"`{what}` holds {unnamed[0]!r}, which names nothing: leave it out.")
    written = {spec: msgspec.to_builtins(build(spec, settings=settings.get(spec))) for spec in specs}
    for fields in written.values():
        fields.pop("type", None)
    return written


def read_experiment(name: str) -> AnyExperiment:
    """Read a packaged experiment by its name, or your own from the path of a TOML file.

    Raises:
        ConfigError: there is no such experiment, or a key is unknown, of the wrong type or out of range.
    """
    path = Path(name)
    if name in packaged():
        return parse(packaged_text(name), name)
    if path.suffix == ".toml" and path.is_file():
        return parse(read_text(path), name)
    raise ConfigError(f"There is no experiment {name!r}: name a .toml file or one of {', '.join(packaged())}")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from error


def parse(text: str, where: str) -> AnyExperiment:
    """Parse the TOML text of an experiment; without a `kind` it is a comparison. Errors name `where`.

    Raises:
        ConfigError: it is not TOML, or not an experiment.
    """
    try:
        fields = msgspec.toml.decode(text, type=dict[str, object])
        return _converted({"kind": "comparison", **fields})
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {field_reason(error)}.") from error


def changed(experiment: AnyExperiment, changes: Mapping[str, object], where: str) -> AnyExperiment:
    """The experiment with some settings changed, checked like one that is read; errors name `where`.

    Raises:
        ConfigError: a value is of the wrong type or out of range.
    """
    try:
        return _converted({**msgspec.to_builtins(experiment), **changes})
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {field_reason(error)}.") from error


def _converted(fields: Mapping[str, object]) -> AnyExperiment:
    experiment: AnyExperiment = msgspec.convert(fields, AnyExperiment)
    return experiment


def to_plain(experiment: BaseExperiment) -> dict[str, object]:
    """The experiment as plain JSON values with every default."""
    return msgspec.json.decode(msgspec.json.encode(experiment), type=dict[str, object])


def to_toml(experiment: BaseExperiment) -> str:
    """The experiment as TOML with every default; None is left out, since TOML has no such value."""
    return toml_text(msgspec.to_builtins(experiment))


def differences(mine: BaseExperiment, other: BaseExperiment) -> list[str]:
    """Settings in which two experiments differ, as dotted paths; title and engine.reason are ignored."""
    left, right = _flat(msgspec.to_builtins(mine)), _flat(msgspec.to_builtins(other))
    return sorted(
        f"{key}: {left.get(key, 'unset')!r} and {right.get(key, 'unset')!r}"
        for key in left.keys() | right.keys()
        if left.get(key) != right.get(key) and key not in ("title", "engine.reason")
    )


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Leaves of plain values by dotted path."""
    if not isinstance(value, dict):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    return {
        path: leaf
        for key, item in value.items()
        for path, leaf in _flat(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }
