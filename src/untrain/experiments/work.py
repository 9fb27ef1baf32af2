"""What every kind of experiment has in common: jobs, where each is stored, and how one is done."""

import abc
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from untrain.core.environment import machine, versions
from untrain.core.files import read_arrays
from untrain.core.version import __version__
from untrain.data import Examples, load
from untrain.data.sources import Part
from untrain.errors import IntegrityError, UntrainError
from untrain.experiments.config import Declared
from untrain.models import Factory, factory


class Job(Protocol):
    """A piece of work: one file when it is done."""

    @property
    def stage(self) -> int:
        """Jobs of a stage need the files of earlier ones, and none of their own."""

    @property
    def kind(self) -> str:
        """Jobs of a kind take about as long."""

    @property
    def title(self) -> str:
        """What is done, in words."""


E = TypeVar("E", bound=Declared)
J = TypeVar("J", bound=Job)


@dataclass(eq=False)
class Work(abc.ABC, Generic[E, J]):
    """An experiment with its data at hand; knows its jobs, where each is stored, and how to do one.

    Args:
        experiment: resolved.
        directory: the run's.
        data_dir: where parquet data lie, or None.
        device: `cpu`, `cuda` or `cuda:1`.
    """

    experiment: E
    directory: Path
    data_dir: str | None = None
    device: str = "cpu"

    @abc.abstractmethod
    def jobs(self) -> list[J]:
        """Every job; kinds take turns so that the time left can be told."""

    @abc.abstractmethod
    def path(self, job: J) -> Path:
        """Where the job's result is, or will be."""

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse what cannot work before anything is computed or written."""

    @abc.abstractmethod
    def settled(self) -> E:
        """The experiment with what had to be measured to begin."""

    @abc.abstractmethod
    def _do(self, job: J) -> None:
        """Do a job and store its result."""

    def do(self, job: J) -> None:
        """Do a job and store its result; nothing is stored before it is whole.

        Raises:
            UntrainError: what went wrong, and in which job.
        """
        try:
            self._do(job)
        except UntrainError as error:
            raise type(error)(f"{job.title}: {error}") from error

    def done(self, job: J) -> bool:
        """Whether the job's result is there and whole; a damaged file counts as not there."""
        try:
            return self.path(job).is_file() and bool(read_arrays(self.path(job))[0])
        except IntegrityError:
            return False

    def read(self, part: Part) -> Examples:
        """The examples that the experiment asks for of a part of its source."""
        data = self.experiment.data
        return load(
            data.source,
            part=part,
            data_dir=self.data_dir,
            limit=data.limit if part == "train" else data.test_limit,
            classes=data.classes,
            per_class=data.per_class if part == "train" else None,
            label=data.label,
            not_inputs=(*data.not_inputs, *self.other_labels),
            seed=self.experiment.seed,
        )

    @property
    def other_labels(self) -> tuple[str, ...]:
        """Columns of labels that are not the true ones."""
        return ()

    def build_for(self, examples: Examples) -> Factory:
        """Builds the experiment's network for such examples."""
        return factory(self.experiment.model, examples.inputs.shape[1:], len(examples.classes))

    @property
    def kind(self) -> str:
        """`cpu` or `cuda`."""
        return torch.device(self.device).type

    @property
    def versions(self) -> list[str]:
        """Of what computes, for fingerprints."""
        return [__version__, str(torch.__version__), np.__version__, self.kind]

    def environment(self) -> dict[str, str]:
        """Versions and hardware, for the record."""
        return {**versions(), "device": str(machine(self.device)["processor"])}


def fingerprint(parts: dict[str, Any]) -> str:
    """What a file's numbers depend on, as 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
