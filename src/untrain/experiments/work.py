"""What every kind of experiment has in common: its jobs, their files, and how a job is done."""

import abc
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
import torch

from untrain.core.environment import machine, versions
from untrain.core.files import read_arrays
from untrain.core.version import __version__
from untrain.data import Examples, load
from untrain.data.sources import Part
from untrain.errors import IntegrityError, UntrainError
from untrain.experiments.config import BaseExperiment, parse, read_text
from untrain.models import Factory, factory


class Job(abc.ABC):
    """A part of an experiment: one file when it is done."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """The job, in words."""

    @property
    def pace(self) -> str:
        """Jobs with the same pace take about the same time; by default, all jobs of a type."""
        return type(self).__name__


E = TypeVar("E", bound=BaseExperiment)
J = TypeVar("J", bound=Job)


@dataclass(eq=False)
class Work(abc.ABC, Generic[E, J]):
    """An experiment, its data and its jobs.

    It is pickled as what it is made from, some kilobytes: whoever gets it reads the data itself.

    Args:
        experiment: resolved experiment.
        directory: directory of the run.
        data_dir: directory of the parquet data, or None.
        device: `cpu`, `cuda` or `cuda:1`.
    """

    experiment: E
    directory: Path
    data_dir: str | None = None
    device: str = "cpu"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.experiment, self.directory, self.data_dir, self.device)

    @classmethod
    def stored(cls, directory: Path, data_dir: str | None, device: str) -> Self:
        """The experiment that a run directory holds.

        Raises:
            ConfigError: it holds none.
        """
        path = directory / "experiment.toml"
        return cls(cast("E", parse(read_text(path), str(path)).resolved()), directory, data_dir, device)

    @abc.abstractmethod
    def stages(self) -> list[list[J]]:
        """Every job known so far; those of a stage need only files of earlier stages. More may follow from the results.

        The order within a stage is one from which the time left can be estimated.
        """

    def jobs(self) -> list[J]:
        """The jobs of all stages."""
        return list(itertools.chain.from_iterable(self.stages()))

    @abc.abstractmethod
    def path(self, job: J) -> Path:
        """File of the job's result."""

    @abc.abstractmethod
    def check(self) -> None:
        """Check the experiment before anything is computed or written."""

    @abc.abstractmethod
    def prepared(self) -> E:
        """The experiment with what has to be measured before the first job."""

    @abc.abstractmethod
    def _do(self, job: J) -> None:
        """Do a job and store its result."""

    def do(self, job: J) -> None:
        """Do a job and store its whole result.

        Raises:
            UntrainError: what went wrong and in which job.
        """
        try:
            self._do(job)
        except UntrainError as error:
            raise type(error)(f"{job.title}: {error}") from error

    def done(self, job: J) -> bool:
        """Whether the job's file is there and whole; a damaged file counts as missing."""
        try:
            return self.path(job).is_file() and bool(read_arrays(self.path(job))[0])
        except IntegrityError:
            return False

    def read(self, part: Part) -> Examples:
        """The experiment's examples from a part of its source."""
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
        """Factory of the experiment's network for these examples."""
        return factory(self.experiment.model, examples.array.shape[1:], len(examples.classes))

    @property
    def device_type(self) -> str:
        """`cpu` or `cuda`."""
        return torch.device(self.device).type

    @property
    def versions(self) -> list[str]:
        """Versions that fingerprints depend on."""
        return [__version__, str(torch.__version__), np.__version__, self.device_type]

    def environment(self) -> dict[str, str]:
        """Versions and hardware."""
        return {**versions(), "device": str(machine(self.device)["processor"])}


SomeWork = Work[Any, Any]
"""An experiment of any kind with its jobs."""


def fingerprint(parts: Mapping[str, object]) -> str:
    """Hash of what a file's numbers depend on, as 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
