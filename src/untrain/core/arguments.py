"""Arguments of public functions, checked against their annotations before anything is computed."""

import collections.abc
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

from untrain.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

_NUMBERS = {int: numbers.Integral, float: numbers.Real}
_LISTS = (collections.abc.Iterable, collections.abc.Sequence)
_WORDS = {
    "None": "None",
    "NoneType": "None",
    "bool": "True or False",
    "bytes": "bytes",
    "Callable": "a function",
    "Examples": "Examples (as_examples makes them)",
    "float": "a number",
    "int": "a whole number",
    "Iterable": "a list",
    "Module": "a torch module",
    "Sequence": "a list",
    "str": "a text",
}
"""Names of annotations as a person says them; others are said as they are."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse arguments of another type than the function's annotations say, in one sentence.

    Checked are classes, numbers, texts, paths, functions and lists of anything; unions of these too. `object`, and an
    annotation written as a text, takes everything. A text is not taken for a list of its letters, nor a truth
    value for a number.

    >>> @checked
    ... def forget(model: object, ids: Iterable[str], *, epochs: int | None = None) -> None: ...
    >>> forget(None, ["12"], epochs=3)
    >>> forget(None, "12")
    Traceback (most recent call last):
    untrain.errors.InputError: forget(ids=...) takes a list, got the single text '12': pass ['12'].
    >>> forget(None, ["12"], epochs="3")
    Traceback (most recent call last):
    untrain.errors.InputError: forget(epochs=...) takes a whole number or None, got '3'.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong
        check_arguments(function, given)
        return function(*args, **kwargs)

    return called


def check_arguments(function: Callable[..., object], given: Mapping[str, object]) -> None:
    """Check arguments by name against the annotations of a function; see `checked`.

    Raises:
        InputError: one is of another type.
    """
    for name, members in _kinds(function).items():
        if name in given and not any(_fits(given[name], member) for member in members):
            parameters = inspect.signature(function).parameters.values()
            order = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
            advice = f" Its arguments are, in order, {', '.join(order)}." if name in order[:-1] else ""
            place = f"{function.__name__}({name}=...)"
            raise InputError(f"{place} takes {_words(members)}, got {_described(given[name], members)}.{advice}")


@functools.cache
def _kinds(function: Callable[..., object]) -> dict[str, tuple[object, ...]]:
    """The kinds that each parameter takes; annotations written as texts are left out."""
    hints = inspect.get_annotations(function).items()
    return {name: _members(hint) for name, hint in hints if name != "return" and not isinstance(hint, str)}


def _members(hint: object) -> tuple[object, ...]:
    """The kinds of which an annotation takes any."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(member for part in typing.get_args(hint) for member in _members(part))
    return (hint,)


def _fits(value: object, member: object) -> bool:
    """Whether a value is of one kind."""
    kind = typing.get_origin(member) or member
    if kind is types.NoneType or member is None:
        return value is None
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if kind is collections.abc.Callable:
        return callable(value)
    if kind in _LISTS:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return not isinstance(kind, type) or getattr(kind, "_is_protocol", False) or isinstance(value, kind)


def _words(members: tuple[object, ...]) -> str:
    """The kinds in words."""
    words = [_word(member) for member in members]
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"


def _word(member: object) -> str:
    kind: Any = typing.get_origin(member) or member
    name = "None" if member is None else str(getattr(kind, "__name__", kind))
    return _WORDS.get(name, f"{'an' if name[0] in 'AEIOU' else 'a'} {name}")


def _described(value: object, members: tuple[object, ...]) -> str:
    """What was given instead."""
    lists = any(typing.get_origin(member) in _LISTS for member in members)
    if lists and isinstance(value, str | bytes):
        return f"the single text {value!r}: pass [{value!r}]"
    if isinstance(value, str | bytes | numbers.Number):
        return repr(value)
    return "None" if value is None else type(value).__name__
