"""A comparison of unlearning methods: its arms and jobs, and how a job is done and stored.

First the originals are trained, then every arm is made in chunks of models. Then each method is scored against the
reference, and last the methods of a forget setting are compared with their neighbors in the ranking.
"""

import functools
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch

from untrain.core.files import Arrays, read_arrays
from untrain.core.randomness import Streams
from untrain.core.registry import base_name
from untrain.data import ForgetSplit, Splits, forget_by, split, values_needed
from untrain.experiments.comparison.scores import (
    ENERGY_MODELS,
    PARTS,
    ArmFigures,
    Array,
    Origins,
    Scores,
    ending_of,
    energies_of,
    neighbors_apart,
    ranking,
    scores_of,
    shown_positions,
)
from untrain.experiments.config import Experiment
from untrain.experiments.work import Job, Work, fingerprint
from untrain.methods import METHODS, Method, Request, build_method, convolutions
from untrain.models import Factory
from untrain.population import Engine, Population, losses, memorized
from untrain.population.engine import seconds_of
from untrain.report.results import Ending

TIMED_CHUNKS = {"cpu": 3, "cuda": 1}
"""Where models are computed together, the first model of this many chunks is also computed alone, to time it."""


@dataclass(frozen=True)
class Arm:
    """One population of the comparison: a method applied for one forget setting.

    Attributes:
        forget: the forget setting, or None for models that learn everything.
        name: the method as the experiment names it; `reference` for the retrained models that every method is
            compared with; `original`; or what the models of an arm without a forget setting rank examples by.
    """

    forget: str | None
    name: str

    @property
    def title(self) -> str:
        """The arm, in words."""
        if self.forget is not None:
            return f"{self.name}, forgetting {self.forget}"
        return self.name if self == ORIGINAL else f"ranking by {self.name}"


ORIGINAL = Arm(None, "original")


@dataclass(frozen=True)
class ChunkJob(Job):
    """Models `first` to `last` (exclusive) of an arm."""

    arm: Arm
    first: int
    last: int

    @property
    def pace(self) -> str:
        """Models of one method take about the same time."""
        return self.arm.title if self.arm.name == "original" else self.arm.name

    @property
    def title(self) -> str:
        """The job, in words."""
        return f"{self.arm.title}, models {self.first} to {self.last - 1}"


@dataclass(frozen=True)
class ScoreJob(Job):
    """The scores of an arm at a number of models, from these and as many reference models."""

    arm: Arm
    models: int

    @property
    def forget(self) -> str:
        """The forget setting."""
        return str(self.arm.forget)

    @property
    def title(self) -> str:
        """The job, in words."""
        return f"scores of {self.models} models, {self.arm.title}"


@dataclass(frozen=True)
class RankingJob(Job):
    """Whether the methods of a forget setting differ from their neighbors in the ranking, at a number of models.

    Where the number is not fixed, it also says whether more are needed.
    """

    forget: str
    models: int

    @property
    def title(self) -> str:
        """The job, in words."""
        return f"ranking of {self.models} models, forgetting {self.forget}"


ComparisonJob = ChunkJob | ScoreJob | RankingJob


@dataclass(eq=False)
class ComparisonWork(Work[Experiment, ComparisonJob]):
    """A comparison and its data."""

    _fingerprints: dict[Arm, str] = field(default_factory=dict)

    @functools.cached_property
    def splits(self) -> Splits:
        """Train, validation and test set."""
        data, seed = self.experiment.data, self.experiment.seed
        if data.has_test_part:
            parts = split(self.read("train"), data.validation, 0.0, seed)
            return Splits(parts.train, parts.validation, self.read("test"))
        return split(self.read("train"), data.validation, data.test, seed)

    @functools.cache  # noqa: B019 (lives as long as the run)
    def sets(self, setting: str) -> ForgetSplit:
        """Forget set and retain set of a forget setting, once the models that rank examples for it are stored."""
        return forget_by(self.splits.train, setting, self.experiment.seed, self._ranked_by)

    def _ranked_by(self, what: str) -> Array:
        return read_arrays(self.path(self._ranking_job(what)))[0][what]

    def _ranking_job(self, what: str) -> ChunkJob:
        return ChunkJob(Arm(None, what), 0, self.experiment.rankers)

    @functools.cached_property
    def methods(self) -> dict[str, Method]:
        """Both arms of retraining, and the methods by their names in the experiment between them, as they are run."""
        methods = {
            spec: build_method(spec, settings=self.experiment.settings[spec]) for spec in self.experiment.methods
        }
        return {"reference": build_method("retrain"), **methods, "retrain": build_method("retrain")}

    def stages(self) -> list[list[ComparisonJob]]:
        """Models that learn everything, then the arms, which take turns, then their scores, then the rankings."""
        needed = {what: None for setting in self.settings if (what := values_needed(setting))}
        models = {forget: self.models(forget) for forget in self.settings}
        chunks = [
            chunk
            for forget, count in models.items()
            for arm in self._arms(forget)
            for chunk in self._chunks(arm, count)
        ]
        of_originals = [self._chunks(Arm(forget, "original"), self.experiment.originals) for forget in self.settings]
        return [
            [*self._original_jobs, *map(self._ranking_job, needed)],
            [*itertools.chain.from_iterable(of_originals), *sorted(chunks, key=lambda job: job.first)],
            [score for forget, count in models.items() for score in self._score_jobs(forget, count)],
            [RankingJob(forget, count) for forget, count in models.items()],
        ]

    def needs(self, job: ComparisonJob) -> list[ComparisonJob]:
        """Jobs of earlier stages whose files this one reads."""
        if isinstance(job, ChunkJob):
            if job.arm.forget is None:
                return []
            ranked_by = values_needed(job.arm.forget)
            return [*self._original_jobs, *([self._ranking_job(ranked_by)] if ranked_by else [])]
        arms = [job.arm, Arm(job.forget, "reference")] if isinstance(job, ScoreJob) else self._arms(job.forget)
        chunks = [chunk for arm in arms for chunk in self._chunks(arm, job.models)]
        if isinstance(job, ScoreJob):
            return [*self._chunks(Arm(job.forget, "original"), self.experiment.originals), *chunks]
        return [*self._score_jobs(job.forget, job.models), *chunks]

    def _arms(self, forget: str) -> list[Arm]:
        return [Arm(forget, name) for name in self.methods]

    def _score_jobs(self, forget: str, models: int) -> list[ScoreJob]:
        return [ScoreJob(arm, models) for arm in self._arms(forget) if arm.name != "reference"]

    def models(self, forget: str) -> int:
        """N of a forget setting: of its first look that is still to be done or that ends it."""
        *earlier, last = self.experiment.looks
        return next((count for count in earlier if not self._wants_more(forget, count)), last)

    def _wants_more(self, forget: str, models: int) -> bool:
        """Whether a look is stored and asks for more models."""
        return self.done(RankingJob(forget, models)) and self.ending(forget, models) is None

    def _chunks(self, arm: Arm, models: int) -> list[ChunkJob]:
        """Jobs of the first models of an arm; the originals are measured in one."""
        chunk = models if arm.name == "original" else self.experiment.chunk
        return [ChunkJob(arm, first, min(first + chunk, models)) for first in range(0, models, chunk)]

    @property
    def _original_jobs(self) -> list[ChunkJob]:
        return [ChunkJob(ORIGINAL, number, number + 1) for number in range(self.experiment.originals)]

    @property
    def settings(self) -> list[str]:
        """Every forget setting."""
        return [str(setting) for setting in self.experiment.forget]

    def path(self, job: ComparisonJob) -> Path:
        """File of the job's result."""
        if isinstance(job, ChunkJob):
            folder = self.directory / "populations" / self.fingerprint(job.arm)
            return folder / f"{job.first:05d}-{job.last:05d}.safetensors"
        arms = [job.arm] if isinstance(job, ScoreJob) else self._arms(job.forget)
        used = [Arm(job.forget, "original"), Arm(job.forget, "reference"), *arms]
        parts = {
            "kind": type(job).__name__,
            "models": job.models,
            "names": [arm.name for arm in used],
            "arms": list(map(self.fingerprint, used)),
        }
        if isinstance(job, RankingJob) and self.experiment.models == "auto":
            parts["looks"] = [self.experiment.looks, self.experiment.tolerance]
        return self.directory / "scores" / f"{fingerprint(parts)}.safetensors"

    def fingerprint(self, arm: Arm) -> str:
        """Hash of everything that the arm's numbers depend on, as 32 hexadecimal digits."""
        if arm not in self._fingerprints:
            self._fingerprints[arm] = fingerprint(self._origin(arm))
        return self._fingerprints[arm]

    def _origin(self, arm: Arm) -> dict[str, object]:
        experiment = self.experiment
        parts: dict[str, object] = {
            "versions": self.versions,
            "examples": [*self._digests, self._forgotten(arm.forget)],
            "model": msgspec.to_builtins(experiment.model),
            "recipe": msgspec.to_builtins(experiment.recipe),
            "streams": [experiment.seed, self.streams(arm).path],
            "grouping": [self.engine.width, self.engine.channels_last, experiment.chunk, *self._rounding],
        }
        if arm.forget is not None:
            parts["original"] = self.fingerprint(ORIGINAL)
            if experiment.originals > 1:
                parts["originals"] = experiment.originals
        if arm.forget is not None and arm.name != "original":
            name = "retrain" if arm.name == "reference" else base_name(arm.name)
            parts["method"] = [METHODS.origin(name), msgspec.to_builtins(self.methods[arm.name])]
        return parts

    def _forgotten(self, setting: str | None) -> object:
        """What tells a forget set from others, before the models that rank examples for it are trained."""
        if setting is None:
            return None
        what = values_needed(setting)
        return (
            self.sets(setting).forget.digest()
            if what is None
            else [setting, self.experiment.rankers, self.fingerprint(Arm(None, what))]
        )

    @functools.cached_property
    def _digests(self) -> list[str]:
        return [part.digest() for part in (self.splits.train, self.splits.validation, self.splits.test)]

    @property
    def data_digest(self) -> str:
        """Digest of all examples of the experiment and of what is forgotten."""
        return fingerprint({"parts": self._digests, "forget": list(map(self._forgotten, self.settings))})

    def check(self) -> None:
        """Check the experiment before anything is computed or written.

        Raises:
            InputError: the data are missing or cannot be used, or the model does not fit them.
            NotSupportedError: a method needs a layer that the model lacks.
        """
        for setting in self.settings:
            if values_needed(setting):  # the values are not known yet, their number is
                forget_by(self.splits.train, setting, values=lambda _: np.zeros(len(self.splits.train)))
            else:
                self.sets(setting)
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

    def new_models(self, count: int, streams: Streams, engine: Engine | None, first: int = 0) -> Population:
        """Untrained models."""
        return Population.create(self._build, count, seed=streams, first=first, device=self.device, engine=engine)

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

    def _make(self, job: ComparisonJob) -> tuple[Arrays, dict[str, str]]:
        if isinstance(job, ScoreJob):
            return self._scored(job)
        if isinstance(job, RankingJob):
            return self._ranked(job)
        if job.arm == ORIGINAL:
            original = self.new_models(1, self.streams(ORIGINAL), self.alone, job.first)
            return original.train(
                self.splits.train, self.experiment.recipe, validation=self.splits.validation
            ).contents()
        if job.arm.forget is None:
            return self._ranks(job)
        if job.arm.name == "original":
            return self._outcome(job, self.originals, np.zeros(0))
        return self._outcome(job, *self._unlearned(job))

    def _ranks(self, job: ChunkJob) -> tuple[Arrays, dict[str, str]]:
        """The losses of the training examples, or how much they are memorized."""
        train, recipe, validation = self.splits.train, self.experiment.recipe, self.splits.validation
        models = self.new_models(job.last, self.streams(job.arm), self.engine)
        if job.arm.name == "loss":
            values = losses(models.train(train, recipe, validation=validation), train)
        else:
            values = memorized(models, train, recipe, validation)
        return {job.arm.name: values}, {"format": "untrain.ranks.1"}

    def _unlearned(self, job: ChunkJob) -> tuple[Population, Array]:
        """The models of a job, and the processor seconds of models computed alone."""
        method, device = self.methods[job.arm.name], torch.device(self.device)
        start = seconds_of(device)
        models = self.unlearn(job.arm, method, job.first, job.last, self.engine)
        if max(self.engine.width, self.engine.slots) == 1 or len(models) == 1:
            return models, np.asarray([(seconds_of(device) - start) / len(models)])
        if job.first >= TIMED_CHUNKS[self.device_type] * self.experiment.chunk or job.arm.name == "reference":
            return models, np.zeros(0)
        return models, np.asarray([self.seconds_alone(job)])

    def seconds_alone(self, job: ChunkJob) -> float:
        """Seconds of the first model of a job, computed alone."""
        device = torch.device(self.device)
        start = seconds_of(device)
        self.unlearn(job.arm, self.methods[job.arm.name], job.first, job.first + 1, self.alone)
        return seconds_of(device) - start

    def unlearn(self, arm: Arm, method: Method, first: int, last: int, engine: Engine) -> Population:
        """Models `first` to `last` (exclusive) of an arm, unlearned by a method."""
        assert arm.forget is not None  # noqa: S101 (only the original forgets nothing)
        models = self.originals.repeat(last - first, streams=self.streams(arm), first=first)
        models.engine = engine
        return method.forget(models, self.request(arm.forget))

    @functools.cache  # noqa: B019 (lives as long as the run)
    def request(self, setting: str) -> Request:
        """What the methods are asked at a forget setting: the same examples in every job, which stay on the device."""
        sets = self.sets(setting)
        return Request(sets.forget, sets.retain, self.experiment.recipe, self.splits.validation)

    @functools.cached_property
    def originals(self) -> Population:
        """The original models, read from their files."""
        paths = map(self.path, self._original_jobs)
        return Population.concatenate(
            [Population.load(path, self._build, device=self.device, engine=self.alone) for path in paths]
        )

    def _origins(self, models: int) -> Origins:
        """`[N]`: which original each unlearned model of an arm comes from."""
        return np.arange(models) % self.experiment.originals

    def _outcome(self, job: ChunkJob, models: Population, seconds: Array) -> tuple[Arrays, dict[str, str]]:
        sets = self.sets(job.arm.forget or "")
        parts = dict(zip(PARTS, (sets.retain, sets.forget, self.splits.validation, self.splits.test), strict=True))
        arrays = {f"accuracy/{name}": models.accuracy(part) for name, part in parts.items()}
        arrays |= {"confidences": models.confidences(sets.forget), "seconds": seconds}
        if models.epochs_taken is not None:
            arrays["epochs"] = models.epochs_taken.astype(np.float64)
        return arrays, {"format": "untrain.outcome.1", "method": job.arm.name, "forget": str(job.arm.forget)}

    def _scored(self, job: ScoreJob) -> tuple[Arrays, dict[str, str]]:
        arm, reference = (self.figures(arm, job.models) for arm in (job.arm, Arm(job.forget, "reference")))
        original = self.figures(Arm(job.forget, "original"), self.experiment.originals)
        scores = scores_of(arm, reference, original.confidences, self._origins(job.models))
        shown = arm.confidences[:, shown_positions(reference.confidences)]
        metadata = {"format": "untrain.scores.1", "scores": msgspec.json.encode(scores).decode()}
        return {"shown": shown}, metadata

    def _ranked(self, job: RankingJob) -> tuple[Arrays, dict[str, str]]:
        auto = self.experiment.models == "auto"
        order = ranking(self.scores(job.forget, job.models))
        confidences = {name: self.figures(Arm(job.forget, name), job.models).confidences for name in order}
        reference = self.figures(Arm(job.forget, "reference"), job.models).confidences
        positions = shown_positions(reference)
        arrays = {"positions": np.asarray(positions), "shown": reference[:, positions]}
        few = slice(None if auto else ENERGY_MODELS)  # a look is at all models
        names, energies = energies_of(
            {name: arm[few] for name, arm in confidences.items()}, reference[few], self._origins(job.models)[few]
        )
        apart = neighbors_apart(order, names, energies)
        metadata = {"format": "untrain.ranking.1", "apart": json.dumps(apart)}
        if auto:
            ending = ending_of(self.experiment, job.forget, job.models, order, names, energies)
            metadata["ending"] = msgspec.json.encode(ending).decode()
        return arrays, metadata

    def figures(self, arm: Arm, models: int) -> ArmFigures:
        """What was stored for the first models of an arm, whose jobs are done."""
        return ArmFigures.joined([read_arrays(self.path(job))[0] for job in self._chunks(arm, models)])

    def scores(self, forget: str, models: int) -> dict[str, Scores]:
        """The scores of every method at a forget setting and a number of models, once they are stored."""
        return {
            job.arm.name: msgspec.json.decode(read_arrays(self.path(job))[1]["scores"], type=Scores)
            for job in self._score_jobs(forget, models)
        }

    def apart(self, forget: str, models: int) -> dict[str, bool]:
        """Which methods of a forget setting differ from the next one in the ranking; see `neighbors_apart`."""
        return msgspec.json.decode(self._ranking(forget, models)[1]["apart"], type=dict[str, bool])

    def ending(self, forget: str, models: int) -> Ending | None:
        """Why a forget setting needs no more models; None where it does, or where their number is fixed."""
        return msgspec.json.decode(self._ranking(forget, models)[1].get("ending", "null"), type=Ending | None)

    def shown(self, forget: str, models: int) -> tuple[list[int], dict[str, Array]]:
        """Positions of a few forget examples, and `[N, 3]` the confidences of every arm's models in them."""
        ranked = self._ranking(forget, models)[0]
        jobs = self._score_jobs(forget, models)
        shown = {job.arm.name: read_arrays(self.path(job))[0]["shown"] for job in jobs}
        return ranked["positions"].tolist(), {"reference": ranked["shown"], **shown}

    def _ranking(self, forget: str, models: int) -> tuple[dict[str, Array], dict[str, str]]:
        return read_arrays(self.path(RankingJob(forget, models)))
