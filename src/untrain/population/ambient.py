"""What torch keeps for a whole process or thread: modes that a caller may have set, and the random generators."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

_GENERATORS = threading.RLock()


@contextmanager
def seeded(seed: int, cuda_devices: list[torch.device]) -> Iterator[None]:
    """Seed torch's generators of the CPU and of these devices, and leave them afterwards as they were.

    They belong to the process, so one thread at a time is let in.
    """
    with _GENERATORS, torch.random.fork_rng(devices=cuda_devices):
        torch.default_generator.manual_seed(seed)
        for device in cuda_devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def ordinary(function: Callable[P, R]) -> Callable[P, R]:
    """Call a function with gradients, without autocast and on the CPU by default, whatever the caller has set."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
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
