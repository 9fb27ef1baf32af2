"""Scorers by name. A scorer is an entry point in the group `untrain.scorers`."""

from collections.abc import Mapping

from untrain.core.registry import Registry
from untrain.detection.base import Scorer

SCORERS = Registry("untrain.scorers", Scorer, "scorer", "score")  # type: ignore[type-abstract]
"""All installed scorers."""


def build_scorer(spec: str, *, settings: Mapping[str, object] | None = None) -> Scorer:
    """Build a scorer from `name` or `name:preset`; see `untrain.build_method`.

    >>> build_scorer("neighbours").neighbors
    20
    """
    return SCORERS.build(spec, settings=settings)
