"""Models trained without the forgotten examples, and others that an audit makes, stored part by part."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untrain.core.environment import machine, versions
from untrain.core.files import Arrays, digest, read_arrays, write_arrays
from untrain.core.progress import part
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import IntegrityError, InterruptedRunError
from untrain.methods import Method
from untrain.population import Population
from untrain.population.fitting import rule_of_thumb
from untrain.workflows.case import Case
from untrain.workflows.choose import resolve_method

PART = 8
"""Number of models that are made, and stored, together."""
RETRAINED = "training without the forgotten examples"
"""Name of the retrained models; it names their random streams, so that all methods share them."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """Figures of many models of one kind.

    Attributes:
        confidences: `[N, S]` in the forgotten examples.
        retained: `[N]` accuracy on the retain set.
        other: `[N]` accuracy on the evaluation set.
    """

    confidences: Array
    retained: Array
    other: Array

    @classmethod
    def of(cls, models: Population, case: Case) -> "Arm":
        """Evaluate models."""
        return cls(
            models.confidences(case.request.forget),
            models.accuracy(case.request.retain),
            models.accuracy(case.evaluation_set),
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Arm"]) -> "Arm":
        """The models of all parts."""
        return cls(*map(np.concatenate, zip(*map(dataclasses.astuple, parts), strict=True)))

    @property
    def accuracies(self) -> tuple[float, float]:
        """Mean accuracy on the retain set and on the evaluation set."""
        return float(self.retained.mean()), float(self.other.mean())


@dataclass(frozen=True)
class AuditModels:
    """The models of an audit.

    Args:
        case: the request.
        count: models of each kind.
        checkpoint_dir: where the figures of finished models are stored, or None.
        say: called with a few words before each part.
    """

    case: Case
    count: int
    checkpoint_dir: Path | None
    say: Callable[[str], None]

    @property
    def retraining(self) -> Method:
        """The method that trains models on the retain set."""
        return resolve_method("retrain", self.case.missing, self.case.recipe)

    def work(self, method: Method) -> float:
        """The work of an arm; see `untrain.core.progress`."""
        return self.case.work(method, self.count)

    def retrained(self, name: str = RETRAINED) -> Arm:
        """Models trained on the retain set; another name gives other models."""
        return self.arm(name, self.retraining)

    def arm(self, name: str, method: Method) -> Arm:
        """Models that a method makes, each with its own random streams below the name of the arm."""
        parts = list[Arm]()
        for first in range(0, self.count, PART):
            last = min(first + PART, self.count)
            self.say(f"{name}: models {first + 1} to {last} of {self.count}")
            with part(self.case.work(method, last - first)):
                parts.append(self._part(name, method, first, last))
        return Arm.concatenate(parts)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Say, where the work is stopped, that it can be continued.

        Raises:
            InterruptedRunError: it was stopped, and finished models are stored.
        """
        try:
            yield
        except KeyboardInterrupt:
            if self.checkpoint_dir is None:
                raise
            raise InterruptedRunError(
                f"The audit was stopped; finished models are kept in {self.checkpoint_dir}. Repeat the call to "
                "continue."
            ) from None

    def _part(self, name: str, method: Method, first: int, last: int) -> Arm:
        path = None
        if self.checkpoint_dir is not None:
            path = self.checkpoint_dir / f"{self._fingerprint(name, method)}-{first:05d}-{last:05d}.safetensors"
        place = {} if path is None else {"part": path.name}
        if path is not None and (kept := _read_part(path, place, (last - first, len(self.case.request.forget)))):
            return kept
        streams = Streams(self._seed).child("audit", name)
        copies = self.case.original.repeat(last - first, streams=streams, first=first)
        copies.engine = rule_of_thumb(copies, self.case.request.retain)
        part = Arm.of(method.forget(copies, self.case.request), self.case)
        if path is not None:
            write_arrays(path, vars(part), place)
        return part

    @property
    def _seed(self) -> int:
        """Root of the draws: the seed that was given, else a secret one; with checkpoints one that stays the same."""
        kept = self.case.given_seed is None and self.checkpoint_dir is not None
        return 0 if kept else self.case.seed

    def _fingerprint(self, name: str, method: Method) -> str:
        """Digest of everything that the figures depend on."""
        settings = (name, repr(method.settings()), repr(self.case.request.recipe), self._layers)
        original = "" if method.exact else self.case.digest  # an exact method does not depend on it
        origin = (self._seed, versions(), machine(str(self.case.original.device)), original, self._data)
        return hashlib.sha256(repr((settings, origin)).encode()).hexdigest()[:32]

    @cached_property
    def _layers(self) -> list[str]:
        """Of the original and of a new model: their layers, and the names of their trainable parameters."""
        networks = (self.case.original.skeleton, self.case.original.fresh().skeleton)
        trained = [
            [name for name, parameter in network.named_parameters() if parameter.requires_grad] for network in networks
        ]
        return [repr(pair) for pair in zip(networks, trained, strict=True)]

    @cached_property
    def _data(self) -> str:
        """Digest of all examples."""
        request = self.case.request
        sets = (request.forget, request.retain, request.validation, self.case.evaluation_set)
        arrays = {
            f"{number} {name}": column
            for number, examples in enumerate(sets)
            if examples is not None
            for name, column in _columns(examples).items()
        }
        return digest(arrays, {})


def _read_part(path: Path, place: dict[str, str], shape: tuple[int, int]) -> Arm | None:
    """The figures of some models, or None where there are none, or a damaged file that is made again.

    Args:
        path: of the file.
        place: what the file says of itself.
        shape: number of models, and of forgotten examples.

    Raises:
        IntegrityError: the file is whole, but not the one that an audit wrote here.
    """
    if not path.is_file():
        return None
    try:
        arrays, metadata = read_arrays(path)
    except IntegrityError:
        return None
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {"confidences": shape, "retained": shape[:1], "other": shape[:1]}
    numbers = all(array.dtype == np.float64 for array in arrays.values())
    if metadata != place or shapes != expected or not numbers:
        raise IntegrityError(
            f"{path} does not hold the figures that an audit writes there: it was moved, or made by hand. Delete it, "
            "or choose another checkpoint directory."
        )
    return Arm(**arrays)


def _columns(examples: Examples) -> Arrays:
    """Inputs and labels by name."""
    return {f"inputs {name}".rstrip(): array for name, array in examples.arrays.items()} | {"labels": examples.labels}
