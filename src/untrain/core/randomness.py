"""Random streams that are derived, never carried.

Every draw of model i comes from a stream named by what it is for, so it does not depend on which models are
computed beside it, on the order of the work, or on whether the work was interrupted.
"""

import hashlib
import json
import operator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """A tree of independent random streams below one root seed.

    Attributes:
        root: the seed that a person chose, any integer.
        path: names that lead from the root to here; different paths give independent streams.

    >>> streams = Streams(0).child("retrain")
    >>> streams.seed("order", 3, 1) == Streams(0, ("retrain",)).seed("order", 3, 1)
    True
    """

    root: int
    path: tuple[str, ...] = ()

    def child(self, *names: str) -> "Streams":
        """The streams below this one that are reached by `names`."""
        return Streams(self.root, self.path + names)

    def _digest(self, purpose: str, numbers: tuple[int, ...]) -> int:
        key = json.dumps([operator.index(self.root), self.path, purpose, [operator.index(n) for n in numbers]])
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")

    def seed(self, purpose: str, *numbers: int) -> int:
        """A 63-bit seed for a generator of another library, for example `torch.Generator`."""
        return self._digest(purpose, numbers) >> 65

    def generator(self, purpose: str, *numbers: int) -> np.random.Generator:
        """A numpy generator for one purpose, numbered by model, epoch or whatever tells draws apart."""
        return np.random.default_rng(self._digest(purpose, numbers))
