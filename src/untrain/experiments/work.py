"""What every kind of experiment has in common: its jobs, their files, and how a job is done."""

import abc
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
import torch

from untrain.core.environment import processor_kind, versions
from untrain.core.files import Arrays, look_again, read_arrays, read_metadata, sealed, write_file
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
    def needs(self, job: J) -> list[J]:
        """Jobs of earlier stages whose files this one reads."""

    @abc.abstractmethod
    def _make(self, job: J) -> tuple[Arrays, dict[str, str]]:
        """Do a job: the arrays and the metadata of its file."""

    def make(self, job: J) -> bytes:
        """Do a job: the content of its file, which also says on what kind of processor it was made.

        Raises:
            UntrainError: what went wrong and in which job.
        """
        try:
            arrays, metadata = self._make(job)
        except UntrainError as error:
            raise type(error)(f"{job.title}: {error}") from error
        return sealed(arrays, {**metadata, "processor": processor_kind(self.device)})

    def keep(self, job: J, content: bytes) -> None:
        """Store what `make` gave; the file of another process that was faster stays as it is."""
        look_again([self.path(job)])
        if not self.done(job):
            write_file(self.path(job), content)

    def do(self, job: J) -> None:
        """Do a job and store its whole result.

        Raises:
            UntrainError: what went wrong and in which job.
        """
        self.keep(job, self.make(job))

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

    @property
    @abc.abstractmethod
    def data_digest(self) -> str:
        """Digest of all examples of the experiment and of what is forgotten."""

    @property
    def basis(self) -> dict[str, str]:
        """What every process that works on a run has to share: versions, type of device and data."""
        names = ("untrain", "torch", "numpy", "device")
        return {**dict(zip(names, self.versions, strict=True)), "data": self.data_digest}

    def difference(self, basis: Mapping[str, str]) -> str | None:
        """In what another basis differs from the one here, in words; None if in nothing."""
        for name, value in self.basis.items():
            if basis.get(name) != value:
                return "other data" if name == "data" else f"{name} {basis.get(name)}, which is {value}"
        return None

    def processors(self) -> dict[str, int]:
        """Number of finished jobs by the kind of processor that did them, most first."""
        paths = [path for path in map(self.path, self.jobs()) if path.is_file()]
        kinds = Counter(kind for path in paths if (kind := _processor(path)))
        return dict(kinds.most_common())

    def environment(self) -> dict[str, str]:
        """Versions, and the processors that did the jobs."""
        return {**versions(), "device": ", ".join(self.processors()) or processor_kind(self.device)}


SomeWork = Work[Any, Any]
"""An experiment of any kind with its jobs."""


def _processor(path: Path) -> str | None:
    """What did a job; None in files of earlier versions, and in damaged ones."""
    try:
        return read_metadata(path).get("processor")
    except IntegrityError:
        return None


def fingerprint(parts: Mapping[str, object]) -> str:
    """Hash of what a file's numbers depend on, as 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
