"""The random generators that torch keeps for a whole process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

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
