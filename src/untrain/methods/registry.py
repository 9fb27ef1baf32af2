"""Methods by name. A method is an entry point in the group `untrain.methods`."""

from collections.abc import Mapping

from untrain.core.registry import Registry
from untrain.methods.base import Method

METHODS = Registry("untrain.methods", Method, "method", "forget")  # type: ignore[type-abstract]
"""All installed methods."""


def method_names() -> list[str]:
    """Names of all installed methods, in alphabetical order."""
    return METHODS.names()


def build_method(spec: str, *, preset: str | None = None, settings: Mapping[str, object] | None = None) -> Method:
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
    return METHODS.build(spec, preset=preset, settings=settings)
