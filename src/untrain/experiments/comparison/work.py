"""A comparison of unlearning methods: its arms and jobs, and how a job is done and stored."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from untrain.core.files import read_arrays, write_arrays
from untrain.core.randomness import Streams
from untrain.core.registry import base_name
from untrain.data import ForgetSplit, Splits, forget_by, split
from untrain.experiments.config import Experiment
from untrain.experiments.work import Work, fingerprint
from untrain.methods import METHODS, Method, Request, build_method, convolutions
from untrain.models import Factory
from untrain.population import Engine, Population
from untrain.population.engine import seconds_of

TIMED_CHUNKS = 8
"""Where models are computed together, the first model of this many chunks is also computed alone, to time it."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One population of the comparison: a method applied for one forget setting.

    Attributes:
        forget: the forget setting, or None for the original, which learns everything.
        name: the method as the experiment names it; `reference` for the retrained models that every method is
            compared with; or `original`.
    """

    forget: str | None
    name: str

    @property
    def title(self) -> str:
        """The arm, in words."""
        return self.name if self.forget is None else f"{self.name}, forgetting {self.forget}"


ORIGINAL = Arm(None, "original")


@dataclass(frozen=True)
class ChunkJob:
    """Models `first` to `last` (exclusive) of an arm: one file when it is done."""

    arm: Arm
    first: int
    last: int

    @property
    def stage(self) -> int:
        """The original comes first: the others start from it."""
        return 0 if self.arm == ORIGINAL else 1

    @property
    def pace(self) -> str:
        """Jobs of one method take about the same time."""
        return self.arm.name

    @property
    def title(self) -> str:
        """The job, in words."""
        return f"{self.arm.title}, models {self.first} to {self.last - 1}"


@dataclass(frozen=True)
class ArmFigures:
    """What was measured on an arm's models.

    Attributes:
        confidences: `[N, S]` in the forget set.
        accuracies: `[N]` in 0..1 by the part of the data: retain, forget, validation, test.
        seconds: processor seconds of models computed alone, at least one.
    """

    confidences: Array
    accuracies: dict[str, Array]
    seconds: Array


@dataclass(eq=False)
class ComparisonWork(Work[Experiment, ChunkJob]):
    """A comparison and its data."""

    _originals: list[Population] = field(default_factory=list)

    @functools.cached_property
    def splits(self) -> Splits:
        """Train, validation and test set."""
        data, seed = self.experiment.data, self.experiment.seed
        if data.has_test_part:
            parts = split(self.read("train"), data.validation, 0.0, seed)
            return Splits(parts.train, parts.validation, self.read("test"))
        return split(self.read("train"), data.validation, data.test, seed)

    @functools.cached_property
    def forgets(self) -> dict[str, ForgetSplit]:
        """Forget set and retain set of each forget setting."""
        return {
            str(setting): forget_by(self.splits.train, setting, self.experiment.seed)
            for setting in self.experiment.forget
        }

    @functools.cached_property
    def methods(self) -> dict[str, Method]:
        """The methods by their names in the experiment, and both arms of retraining."""
        methods = {
            spec: build_method(spec, settings=self.experiment.settings[spec]) for spec in self.experiment.methods
        }
        return {"reference": build_method("retrain"), "retrain": build_method("retrain"), **methods}

    def jobs(self) -> list[ChunkJob]:
        """Every job, the original first; arms take turns, so that the time left can be estimated."""
        starts = range(0, self.experiment.models, self.experiment.chunk)
        arms = [Arm(forget, name) for forget in self.forgets for name in self.methods]
        return [ChunkJob(ORIGINAL, 0, 1)] + [
            ChunkJob(arm, first, min(first + self.experiment.chunk, self.experiment.models))
            for first in starts
            for arm in arms
        ]

    def path(self, job: ChunkJob) -> Path:
        """File of the job's result."""
        return (
            self.directory / "populations" / self.fingerprint(job.arm) / f"{job.first:05d}-{job.last:05d}.safetensors"
        )

    @functools.cache  # noqa: B019 (lives as long as the run)
    def fingerprint(self, arm: Arm) -> str:
        """Hash of everything that the arm's numbers depend on, as 32 hexadecimal digits."""
        experiment = self.experiment
        parts: dict[str, object] = {
            "versions": self.versions,
            "examples": [*self._digests, None if arm.forget is None else self.forgets[arm.forget].forget.digest()],
            "model": msgspec.to_builtins(experiment.model),
            "recipe": msgspec.to_builtins(experiment.recipe),
            "streams": [experiment.seed, self.streams(arm).path],
            "grouping": [self.engine.width, self.engine.channels_last, experiment.chunk, *self._rounding],
        }
        if arm != ORIGINAL:
            name = "retrain" if arm.name == "reference" else base_name(arm.name)
            parts["method"] = [METHODS.origin(name), msgspec.to_builtins(self.methods[arm.name])]
            parts["original"] = self.fingerprint(ORIGINAL)
        return fingerprint(parts)

    @functools.cached_property
    def _digests(self) -> list[str]:
        return [part.digest() for part in (self.splits.train, self.splits.validation, self.splits.test)]

    def check(self) -> None:
        """Check the experiment before anything is computed or written.

        Raises:
            InputError: the data are missing or cannot be used, or the model does not fit them.
            NotSupportedError: a method needs a layer that the model lacks.
        """
        _ = self.forgets
        model = self.new_models(1, Streams(0), Engine())
        for spec, method in self.methods.items():
            if method.needs_convolutions:
                convolutions(model, spec)

    def streams(self, arm: Arm) -> Streams:
        """The random streams of an arm; no two arms share a stream."""
        return Streams(self.experiment.seed).child(arm.forget or "everything", arm.name)

    @property
    def engine(self) -> Engine:
        """How models are computed."""
        return self.experiment.engine or Engine()

    @property
    def _rounding(self) -> list[str]:
        """Settings of the engine, besides its grouping, that change the last bits: slots alone do not."""
        return [name for name in ("compiled", "bfloat16") if getattr(self.engine, name)]

    @property
    def alone(self) -> Engine:
        """How a single model is computed."""
        return msgspec.structs.replace(self.engine, width=1, slots=min(self.engine.slots, 1))

    def new_models(self, count: int, streams: Streams, engine: Engine | None) -> Population:
        """Untrained models."""
        return Population.create(self._build, count, seed=streams, device=self.device, engine=engine)

    @property
    def _build(self) -> Factory:
        return self.build_for(self.splits.train)

    def prepared(self) -> Experiment:
        """The experiment with its engine, which is measured if none is given."""
        if self.experiment.engine is not None:
            return self.experiment
        models = self.new_models(self.experiment.chunk, Streams(self.experiment.seed).child("measure"), None)
        next(models.chunks(self.splits.train, self.experiment.recipe.batch_size))
        return msgspec.structs.replace(self.experiment, engine=models.engine)

    def _do(self, job: ChunkJob) -> None:
        if job.arm == ORIGINAL:
            original = self.new_models(1, self.streams(ORIGINAL), self.alone)
            original.train(self.splits.train, self.experiment.recipe, validation=self.splits.validation)
            original.save(self.path(job))
            return
        method = self.methods[job.arm.name]
        start = seconds_of(torch.device(self.device))
        models = self.unlearn(job.arm, method, job.first, job.last, self.engine)
        seconds = [(seconds_of(torch.device(self.device)) - start) / len(models)]
        if len(models) > 1 and max(self.engine.width, self.engine.slots) > 1:
            seconds = []
            if job.first < TIMED_CHUNKS * self.experiment.chunk and job.arm.name != "reference":
                start = seconds_of(torch.device(self.device))
                self.unlearn(job.arm, method, job.first, job.first + 1, self.alone)
                seconds = [seconds_of(torch.device(self.device)) - start]
        self._store(job, models, np.asarray(seconds))

    def unlearn(self, arm: Arm, method: Method, first: int, last: int, engine: Engine) -> Population:
        """Models `first` to `last` (exclusive) of an arm, unlearned by a method."""
        assert arm.forget is not None  # noqa: S101 (only the original forgets nothing)
        sets = self.forgets[arm.forget]
        models = self.original().repeat(last - first, streams=self.streams(arm), first=first)
        models.engine = engine
        return method.forget(models, Request(sets.forget, sets.retain, self.experiment.recipe, self.splits.validation))

    def original(self) -> Population:
        """The original model, read from its file once."""
        if not self._originals:
            path = self.path(ChunkJob(ORIGINAL, 0, 1))
            self._originals.append(Population.load(path, self._build, device=self.device, engine=self.alone))
        return self._originals[0]

    def original_confidences(self, forget: str) -> Array:
        """`[S]` confidences of the original in the forget set of a setting."""
        confidences: Array = self.original().confidences(self.forgets[forget].forget)[0]
        return confidences

    def _store(self, job: ChunkJob, models: Population, seconds: Array) -> None:
        sets = self.forgets[job.arm.forget or ""]
        parts = {
            "retain": sets.retain,
            "forget": sets.forget,
            "validation": self.splits.validation,
            "test": self.splits.test,
        }
        arrays = {f"accuracy/{name}": models.accuracy(part) for name, part in parts.items()}
        arrays |= {"confidences": models.confidences(sets.forget), "seconds": seconds}
        metadata = {"format": "untrain.outcome.1", "method": job.arm.name, "forget": str(job.arm.forget)}
        write_arrays(self.path(job), arrays, metadata)

    def figures(self, arm: Arm) -> ArmFigures:
        """Everything that was stored for an arm whose jobs are all done."""
        files = [read_arrays(self.path(job))[0] for job in self._jobs_of(arm)]

        def joined(name: str) -> Array:
            return np.concatenate([file[name] for file in files])

        parts = ("retain", "forget", "validation", "test")
        return ArmFigures(
            joined("confidences"), {part: joined(f"accuracy/{part}") for part in parts}, joined("seconds")
        )

    def _jobs_of(self, arm: Arm) -> Iterator[ChunkJob]:
        return (job for job in self.jobs() if job.arm == arm)
