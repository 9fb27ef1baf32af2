"""Methods by name. A method is an entry point in the group `untrain.methods`; no list here names one."""

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from untrain.errors import ConfigError
from untrain.methods.base import Method


@functools.cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="untrain.methods")}


def method_names() -> list[str]:
    """Names of all installed methods, in alphabetical order."""
    return sorted(_entry_points())


def method_class(name: str) -> type[Method]:
    """The class behind a method name.

    Raises:
        ConfigError: there is no such method.
    """
    points = _entry_points()
    if name not in points:
        raise ConfigError(f"expected one of the methods {', '.join(method_names())}, got {name!r}")
    found = points[name].load()
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise ConfigError(f"expected {points[name].value} to be a subclass of Method, got {found!r}")
    return found


def build_method(
    spec: str, *, preset: str | None = None, settings: dict[str, Any] | None = None
) -> Method:
    """Build a method from `name` or `name:preset`.

    Args:
        spec: for example `transpose` or `transpose:kaggle`.
        preset: what a bare name means, for methods that have such a preset; default the class's own values.
        settings: fields that are set after the preset.

    Raises:
        ConfigError: no such method or preset, an unknown field, or a value of the wrong type or out of range.

    >>> build_method("transpose:kaggle").recipe.epochs
    3
    """
    name, _, named_preset = spec.partition(":")
    kind = method_class(name)
    if named_preset and named_preset not in kind.presets:
        raise ConfigError(f"expected one of the presets {', '.join(kind.presets) or '(none)'} of {name}, got {named_preset!r}")
    fields = {**kind.presets.get(named_preset or preset or "", {}), **(settings or {})}
    try:
        return msgspec.convert(msgspec.to_builtins(fields), kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings of {spec}: {error}") from error
