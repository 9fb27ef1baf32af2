"""Methods and scorers by name: an entry point each; no list here names one.

A name stands for a frozen struct whose fields are settings, with published values as defaults and further
named presets: `name` or `name:preset`.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

import msgspec

from untrain.core.text import nearest
from untrain.errors import ConfigError, field_reason, first_line

T = TypeVar("T", bound=msgspec.Struct)


def base_name(spec: str) -> str:
    """The name in `name` or `name:preset`.

    >>> base_name("transpose:kaggle")
    'transpose'
    """
    return spec.partition(":")[0]


def claims(points: Iterable[EntryPoint]) -> dict[str, list[EntryPoint]]:
    """Entry points by name; those that name the same class count once."""
    named: dict[str, list[EntryPoint]] = {}
    for point in points:
        if point.value not in [other.value for other in named.setdefault(point.name, [])]:
            named[point.name].append(point)
    return named


def distribution(point: EntryPoint) -> str:
    """The distribution that registers an entry point, with its version."""
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def conflict(points: Sequence[EntryPoint]) -> str:
    """What is wrong where several distributions claim one name, in words; empty where one does."""
    owners = " and ".join(distribution(point) for point in points)
    return f"is registered by {owners}: uninstall one of them." if len(points) > 1 else ""


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
    def _points(self) -> dict[str, list[EntryPoint]]:
        """Entry points by name: more than one where two distributions claim a name for different classes."""
        return claims(entry_points(group=self.group))

    def names(self) -> list[str]:
        """Names of all that are installed, in alphabetical order."""
        return sorted(self._points)

    def of(self, name: str) -> type[T]:
        """The class behind a name.

        Raises:
            ConfigError: there is none, two distributions claim the name, it cannot be imported, or it is not a finished
                subclass of the base.
        """
        if name not in self._points:
            raise ConfigError(
                f"There is no {self.noun} {name!r}, only {', '.join(self.names())}{nearest(name, self.names()) or '.'}"
            )
        if problem := conflict(self._points[name]):
            raise ConfigError(f"The {self.noun} {name!r} {problem}")
        point = self._points[name][0]
        try:
            kind = point.load()
        except Exception as error:
            raise ConfigError(
                f"The {self.noun} {name!r} of {distribution(point)} cannot be imported ({type(error).__name__}: "
                f"{first_line(error)}): repair or uninstall it."
            ) from error
        fits = isinstance(kind, type) and issubclass(kind, self.base)
        if not fits or getattr(kind, self.verb) is getattr(self.base, self.verb):
            raise ConfigError(
                f"The {self.noun} {name!r} must be a subclass of {self.base.__name__} with `{self.verb}`, and "
                f"{point.value} is {kind!r}: repair or uninstall {distribution(point)}."
            )
        return kind  # type: ignore[no-any-return]  # just checked

    def origin(self, name: str) -> str:
        """The distribution, with its version, that registers a name; where its code lies does not matter.

        Raises:
            ConfigError: there is none.
        """
        self.of(name)
        source = self._points[name][0].dist
        return name if source is None else f"{source.name} {source.version}: {name}"

    def build(self, spec: str, *, preset: str | None = None, settings: Mapping[str, object] | None = None) -> T:
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
        presets: Mapping[str, Mapping[str, object]] = getattr(kind, "presets", {})
        if colon and named_preset not in presets:
            raise ConfigError(
                f"The {self.noun} {name!r} has no preset {named_preset!r}, only {', '.join(presets) or '(none)'}"
                f"{nearest(named_preset, presets) or '.'}"
            )
        fields = msgspec.to_builtins(kind())
        for changes in (presets.get(named_preset or preset or "", {}), settings or {}):
            fields = _merged(fields, changes)
        try:
            return msgspec.convert(fields, kind)
        except msgspec.ValidationError as error:
            raise ConfigError(f"The settings of {spec} are wrong: {field_reason(error)}.") from error


def _merged(fields: Mapping[str, object], changes: Mapping[str, object]) -> Mapping[str, object]:
    """Fields with changes, level by level; a part that gets another name, such as an optimizer, is replaced whole."""
    if changes.get("name", fields.get("name")) != fields.get("name"):
        return changes
    both = dict(fields)
    for key, value in changes.items():
        old = fields.get(key)
        both[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both
