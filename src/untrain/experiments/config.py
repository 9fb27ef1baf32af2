"""An experiment as data: the types are the TOML schema, the record that is stored, and what the command line sets."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec

from untrain.errors import ConfigError
from untrain.files import toml_text
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
        validation: share of the training source that is kept for validation.
        test: share that is kept for testing, where the source has no test part.
    """

    source: str = "digits"
    limit: Count | None = None
    test_limit: Count | None = None
    validation: Share = 0.1
    test: Share = 0.1


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A comparison of unlearning methods with the competition's score.

    Attributes:
        name: names the run's directory.
        title: one sentence for people.
        data: which examples.
        model: the architecture.
        recipe: how the original and the retrained models are trained.
        forget: what is forgotten, one setting each: a ratio, `groups:COUNT` or `ids:FILE`.
        methods: `name` or `name:preset`; retraining is always there, as the reference.
        preset: what a bare method name means where the method has such a preset; None for its defaults.
        settings: fields of a method, by its name as in `methods`, set after the preset.
        models: N, how many unlearned models of each method are compared with N retrained ones.
        chunk: how many models make one piece of work and one file.
        engine: how models are computed; None to measure it when the run begins.
        seed: root of all random streams.
        published: name of a table of published figures that were obtained in this setting.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    data: Data = Data()
    model: Model
    recipe: Recipe
    forget: Annotated[tuple[float | str, ...], msgspec.Meta(min_length=1)] = (0.005, 0.02)
    methods: tuple[str, ...]
    preset: str | None = None
    settings: dict[str, dict[str, Any]] = {}
    models: Annotated[int, msgspec.Meta(ge=2)] = 64
    chunk: Count = 16
    engine: Engine | None = None
    seed: int = 0
    published: str | None = None

    def resolved(self) -> "Experiment":
        """The same experiment with every field of every method written out.

        Raises:
            ConfigError: a method, preset or setting does not exist, or a method or forget setting occurs twice.
        """
        tables = _resources("published", ".csv")
        if self.published is not None and self.published not in tables:
            raise ConfigError(f"expected one of the published tables {', '.join(tables)}, got {self.published!r}")
        if self.preset is not None and not any(self.preset in METHODS.of(name).presets for name in METHODS.names()):
            raise ConfigError(f"expected a preset that some method has, got {self.preset!r}")
        for kind, values in (("methods", self.methods), ("forget settings", self.forget)):
            if len(set(map(str, values))) < len(values):
                raise ConfigError(f"expected distinct {kind}, got {', '.join(map(str, values))}")
        for name in self.settings.keys() - set(self.methods):
            raise ConfigError(f"expected settings of the methods {', '.join(self.methods)}, got settings of {name!r}")
        settings = {
            spec: msgspec.to_builtins(build_method(spec, preset=self.preset, settings=self.settings.get(spec)))
            for spec in self.methods
        }
        for fields in settings.values():
            fields.pop("type", None)
        return msgspec.structs.replace(self, settings=settings)


def packaged() -> list[str]:
    """Names of the experiments that come with the package."""
    return _resources("packaged", ".toml")


def _resources(folder: str, suffix: str) -> list[str]:
    files = (resources.files("untrain.experiments") / folder).iterdir()
    return sorted(file.name.removesuffix(suffix) for file in files if file.name.endswith(suffix))


def read_experiment(name: str) -> Experiment:
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


def parse(text: str, where: str) -> Experiment:
    """Parse the TOML text of an experiment; errors name `where`.

    Raises:
        ConfigError: it is not TOML, or not an experiment.
    """
    try:
        return msgspec.toml.decode(text, type=Experiment)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error


def changed(experiment: Experiment, changes: dict[str, Any], where: str) -> Experiment:
    """The experiment with some settings changed, checked like one that is read; errors name `where`.

    Raises:
        ConfigError: a value is of the wrong type or out of range.
    """
    try:
        return msgspec.convert({**msgspec.to_builtins(experiment), **changes}, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML, every default written out; what is None is absent, as TOML has no such value."""
    return toml_text(msgspec.to_builtins(experiment))


def differences(mine: Experiment, other: Experiment) -> list[str]:
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
