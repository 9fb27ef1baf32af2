"""A plug-in is an entry point: found by name, built with its settings, refused with a sentence."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from untrain.core import registry
from untrain.core.registry import Registry
from untrain.detection import SCORERS
from untrain.errors import ConfigError
from untrain.methods import METHODS
from untrain.population import SGD, Adam, Recipe


class Toy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def play(self) -> str:
        raise NotImplementedError


class Drum(Toy, frozen=True, tag="drum"):
    presets = {"loud": {"volume": 11, "recipe": {"epochs": 3}}, "soft": {"volume": 1}}

    volume: int = 5
    recipe: Recipe = Recipe(optimizer=SGD(lr=0.1, momentum=0.9), epochs=2)

    def play(self) -> str:
        return "boom" * self.volume


class Mute(Toy, frozen=True, tag="mute"):
    volume: int = 0


def toys(monkeypatch: pytest.MonkeyPatch, **targets: str) -> Registry[Toy]:
    """A registry in whose group these entry points, and no others, are installed."""

    def installed(*, group: str) -> list[EntryPoint]:
        assert group == "untrain.toys"
        return [EntryPoint(name, f"tests.core.test_registry:{target}", group) for name, target in targets.items()]

    monkeypatch.setattr(registry, "entry_points", installed)
    return Registry("untrain.toys", Toy, "toy", "play")


def test_a_plug_in_is_found_and_built(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toys(monkeypatch, drum="Drum", bell="gone")
    assert found.names() == ["bell", "drum"]  # nothing is imported to list them
    assert found.of("drum") is Drum
    assert found.origin("drum") == "drum"
    assert found.build("drum") == Drum()
    assert found.build("drum").play() == "boom" * 5


def test_settings_go_over_presets_and_presets_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toys(monkeypatch, drum="Drum")
    three = Recipe(optimizer=SGD(lr=0.1, momentum=0.9), epochs=3)
    assert found.build("drum:loud") == Drum(volume=11, recipe=three)
    assert found.build("drum", preset="loud") == Drum(volume=11, recipe=three)
    assert found.build("drum:loud", preset="soft") == Drum(volume=11, recipe=three)  # what was asked for by name counts
    assert found.build("drum", preset="quiet") == Drum()  # what a bare name means where there is such a preset
    assert found.build("drum:loud", settings={"volume": 2}) == Drum(volume=2, recipe=three)
    changed = found.build("drum:loud", settings={"recipe": {"optimizer": {"lr": 0.5}}})
    assert changed == Drum(volume=11, recipe=Recipe(optimizer=SGD(lr=0.5, momentum=0.9), epochs=3))
    other = found.build("drum", settings={"recipe": {"optimizer": {"name": "adam"}}})
    assert other == Drum(recipe=Recipe(optimizer=Adam(), epochs=2))


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("flute", {}, "There is no toy 'flute', only drum"),
        ("", {}, "There is no toy '', only drum"),
        ("drum:", {}, "'drum' has no preset '', only loud, soft"),
        ("drum:shy", {}, "'drum' has no preset 'shy', only loud, soft"),
        ("drum:loud:loud", {}, "no preset 'loud:loud'"),
        ("drum", {"volume": "much"}, "settings of drum are wrong: Expected `int`, got `str`"),
        ("drum", {"volumes": 1}, "unknown field `volumes`"),
        ("drum:loud", {"recipe": {"epochs": -1}}, "settings of drum:loud are wrong: Expected `float` > 0"),
        ("drum", {"recipe": 3}, "Expected `object`, got `int`"),
    ],
)
def test_wrong_names_and_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, spec: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        toys(monkeypatch, drum="Drum").build(spec, settings=settings)


@pytest.mark.parametrize("target", ["Mute", "Toy", "Recipe", "toys"])
def test_what_is_no_finished_subclass_is_refused(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    found = toys(monkeypatch, mute=target)
    with pytest.raises(
        ConfigError, match=f"'mute' must be a subclass of Toy with `play`, and tests.core.test_registry:{target} is <"
    ):
        found.build("mute")
    with pytest.raises(ConfigError, match="subclass of Toy"):
        found.origin("mute")


@pytest.mark.parametrize("kinds", [METHODS, SCORERS], ids=["methods", "scorers"])
def test_what_is_declared_is_installed(kinds: Registry[Any]) -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    for name in declared[kinds.group]:
        kind = kinds.of(name)
        assert kind.__struct_config__.tag == name
        assert kind.title
        assert kinds.origin(name).startswith("untrain ")
        for preset in kind.presets:
            assert isinstance(kinds.build(f"{name}:{preset}"), kind)


def test_a_broken_plug_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("drum", "no_such_module_here:Drum", "untrain.toys")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(
        ConfigError, match=r"'drum' of an unknown distribution cannot be imported \(ModuleNotFoundError"
    ):
        Registry("untrain.toys", Toy, "toy", "play").build("drum")


def test_a_name_that_two_distributions_claim_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("drum", f"tests.core.test_registry:{name}", "untrain.toys") for name in ("Drum", "Mute", "Drum")
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(ConfigError, match=r"'drum' is registered by an unknown .* and .*: uninstall one of them"):
        Registry("untrain.toys", Toy, "toy", "play").build("drum")
    monkeypatch.setattr(registry, "entry_points", lambda group: points[::2])
    assert Registry("untrain.toys", Toy, "toy", "play").build("drum") == Drum()
