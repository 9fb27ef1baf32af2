"""Methods and scorers by name: an entry point each; no list here names one.

A name stands for a frozen struct whose fields are settings, with published values as defaults and further
named presets: `name` or `name:preset`.
"""

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import msgspec

from untrain.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def base_name(spec: str) -> str:
    """The name in `name` or `name:preset`.

    >>> base_name("transpose:kaggle")
    'transpose'
    """
    return spec.partition(":")[0]


class Registry(Generic[T]):
    """The classes of one kind that are installed.

    Args:
        group: of entry points, such as `untrain.methods`.
        base: that every class is derived from.
        noun: one of them in a word, such as `method`.
        verb: the function that every class must define, such as `forget`.
    """

    def __init__(self, group: str, base: type[T], noun: str, verb: str) -> None:
        self.group, self.base, self.noun, self.verb = group, base, noun, verb

    @functools.cached_property
    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Names of all that are installed, in alphabetical order."""
        return sorted(self._points)

    def of(self, name: str) -> type[T]:
        """The class behind a name.

        Raises:
            ConfigError: there is none, or it is not a finished subclass of the base.
        """
        if name not in self._points:
            raise ConfigError(f"expected one of the {self.noun}s {', '.join(self.names())}, got {name!r}")
        found = self._points[name].load()
        fits = isinstance(found, type) and issubclass(found, self.base)
        if not fits or getattr(found, self.verb) is getattr(self.base, self.verb):
            raise ConfigError(
                f"expected {self._points[name].value} to be a subclass of {self.base.__name__} with `{self.verb}`, "
                f"got {found!r}"
            )
        return found  # type: ignore[no-any-return]  # just checked

    def origin(self, name: str) -> str:
        """The distribution, with its version, that registers a name; where its code lies does not matter.

        Raises:
            ConfigError: there is none.
        """
        self.of(name)
        source = self._points[name].dist
        return name if source is None else f"{source.name} {source.version}: {name}"

    def build(self, spec: str, *, preset: str | None = None, settings: dict[str, Any] | None = None) -> T:
        """Build one from `name` or `name:preset`.

        Args:
            spec: for example `transpose` or `transpose:kaggle`.
            preset: what a bare name means, for classes that have such a preset; default the class's own values.
            settings: fields that are set after the preset; of a nested value such as a recipe, those parts that
                differ.

        Raises:
            ConfigError: no such name or preset, an unknown field, or a value of the wrong type or out of range.
        """
        name, colon, named_preset = spec.partition(":")
        kind = self.of(name)
        presets: dict[str, dict[str, Any]] = getattr(kind, "presets", {})
        if colon and named_preset not in presets:
            raise ConfigError(
                f"expected one of the presets {', '.join(presets) or '(none)'} of {name}, got {named_preset!r}"
            )
        fields = msgspec.to_builtins(kind())
        for changes in (presets.get(named_preset or preset or "", {}), settings or {}):
            fields = _merged(fields, changes)
        try:
            return msgspec.convert(fields, kind)
        except msgspec.ValidationError as error:
            raise ConfigError(f"settings of {spec}: {error}") from error


def _merged(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Fields with changes, level by level; a part that gets another name, such as an optimizer, is replaced whole."""
    if changes.get("name", fields.get("name")) != fields.get("name"):
        return changes
    both = dict(fields)
    for key, value in changes.items():
        old = fields.get(key)
        both[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both
