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
    if not (isinstance(found, type) and issubclass(found, Method)) or found.forget is Method.forget:
        raise ConfigError(f"expected {points[name].value} to be a subclass of Method with `forget`, got {found!r}")
    return found


def method_origin(name: str) -> str:
    """Which class of which version of which distribution a method name stands for.

    Raises:
        ConfigError: there is no such method.
    """
    kind, point = method_class(name), _entry_points()[name]
    origin = "" if point.dist is None else f"{point.dist.name} {point.dist.version} "
    return f"{origin}{kind.__module__}.{kind.__qualname__}"


def build_method(spec: str, *, preset: str | None = None, settings: dict[str, Any] | None = None) -> Method:
    """Build a method from `name` or `name:preset`.

    Args:
        spec: for example `transpose` or `transpose:kaggle`.
        preset: what a bare name means, for methods that have such a preset; default the class's own values.
        settings: fields that are set after the preset; of a nested value such as a recipe, those parts that
            differ.

    Raises:
        ConfigError: no such method or preset, an unknown field, or a value of the wrong type or out of range.

    >>> build_method("transpose:kaggle").recipe.epochs
    3.0
    """
    name, _, named_preset = spec.partition(":")
    kind = method_class(name)
    if named_preset and named_preset not in kind.presets:
        raise ConfigError(
            f"expected one of the presets {', '.join(kind.presets) or '(none)'} of {name}, got {named_preset!r}"
        )
    fields = msgspec.to_builtins(kind())
    for changes in (kind.presets.get(named_preset or preset or "", {}), settings or {}):
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
