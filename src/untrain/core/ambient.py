"""Modes of torch that a caller may have set for the thread."""

import functools
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def ordinary(function: Callable[P, R]) -> Callable[P, R]:
    """Call a function with gradients, without autocast and on the CPU by default, whatever the caller has set."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if "torch" not in sys.modules:  # nothing can have been set
            return function(*args, **kwargs)
        import torch

        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(mode=False))
            modes.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    modes.enter_context(torch.autocast(kind, enabled=False))
            if torch.get_default_device().type != "cpu":
                modes.enter_context(torch.device("cpu"))
            return function(*args, **kwargs)

    return called
