"""Old names of parameters and of classes, which keep working for one version."""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(positional: Sequence[str] = (), **names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    r"""Let a function still take the parameter names and the positional arguments that it took before.

    Either use gives a DeprecationWarning that names the new one.

    Args:
        positional: parameters that are keyword-only now, in the order in which they followed the positional ones.
        names: new names by old ones.

    >>> @renamed(["seed"], bound="max_accuracy_drop")
    ... def forget(model, *, seed=0, max_accuracy_drop=0.02):
    ...     return model, seed, max_accuracy_drop
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     forget("model", 1, bound=0.1)
    ('model', 1, 0.1)
    >>> print(*(each.message for each in caught), sep="\n")
    forget() takes seed as a keyword: seed=...
    forget(bound=...) is now forget(max_accuracy_drop=...)
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        taken = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        called = function.__name__

        def warn(text: str) -> None:
            warnings.warn(text, DeprecationWarning, stacklevel=3)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            extra = dict(zip(positional, args[taken:], strict=False))
            for name in extra:
                warn(f"{called}() takes {name} as a keyword: {name}=...")
            for old in names.keys() & kwargs.keys():
                warn(f"{called}({old}=...) is now {called}({names[old]}=...)")
            current = {names.get(name, name): value for name, value in kwargs.items()}
            if len(args) > taken + len(positional) or extra.keys() & current.keys() or len(current) < len(kwargs):
                return function(*args, **kwargs)  # which says what is wrong
            return function(*args[:taken], **extra, **current)  # type: ignore[arg-type]

        return call

    return decorate


def renamed_attributes(module: str, **names: str) -> Callable[[str], object]:
    """The `__getattr__` of a module whose attributes were renamed: an old name gives the new attribute and a warning.

    Args:
        module: its `__name__`.
        names: new names by old ones.

    >>> attribute = renamed_attributes("math", tau_half="pi")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     attribute("tau_half")
    3.141592653589793
    >>> print(caught[0].message)
    math.tau_half is now math.pi
    """

    def attribute(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {module}.{names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(module), names[name])

    return attribute
