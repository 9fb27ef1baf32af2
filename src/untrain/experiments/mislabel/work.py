"""An experiment with mislabeled examples: made, detected and forgotten; one job for each noise and seed."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from untrain.core.files import Arrays, read_arrays
from untrain.core.randomness import Streams
from untrain.core.registry import base_name
from untrain.data import Examples, Noisy, human_noise, load, mislabel, pair_noise, split, symmetric_noise
from untrain.data.noise import Matrix
from untrain.detection import SCORERS, Subject, Suspects, build_scorer, check_classes, inspect
from untrain.errors import ConfigError, InputError, UndecidableError
from untrain.experiments.config import Mislabel, Noise
from untrain.experiments.work import Job, Work, fingerprint
from untrain.methods import METHODS, Request, build_method, convolutions
from untrain.population import Engine, Population
from untrain.population.engine import seconds_of

DETECTION = (
    "auc",
    "precision",
    "recall",
    "accuracy",
    "noise_ratio",
    "low",
    "high",
    "model_error",
    "flagged",
    "seconds",
)
"""Figures that are stored for a scorer, in this order; shares are in 0..1, and NaN is what is not defined."""

FORGETTING = ("test_accuracy", "seconds")
"""Figures that are stored for a method, likewise."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """One kind and amount of noise.

    Attributes:
        noise: kind of noise.
        ratio: noise ratio, or None where the kind of noise determines it.
    """

    noise: Noise
    ratio: float | None

    @property
    def title(self) -> str:
        """In a few words, such as `symmetric 0.4`."""
        return self.noise.kind if self.ratio is None else f"{self.noise.kind} {self.ratio:g}"


@dataclass(frozen=True)
class NoiseJob(Job):
    """One noise with one seed: one file when it is done."""

    number: int
    seed: int
    noise: str

    @property
    def title(self) -> str:
        """The job, in words."""
        return f"{self.noise} noise, seed {self.seed}"


@dataclass(eq=False)
class MislabelWork(Work[Mislabel, NoiseJob]):
    """An experiment with mislabeled examples, and its data."""

    @functools.cached_property
    def parts(self) -> tuple[Examples, Examples]:
        """Training examples with true labels, and test examples."""
        data = self.experiment.data
        if data.has_test_part:
            return self.read("train"), self.read("test")
        halves = split(self.read("train"), data.test, 0.0, self.experiment.seed)
        return halves.train, halves.validation

    @functools.cached_property
    def settings(self) -> list[Setting]:
        """Every noise, in the order of the experiment."""
        return [
            Setting(noise, ratio)
            for noise in self.experiment.noise
            for ratio in (noise.ratios or (None,))
        ]  # fmt: skip

    @property
    def other_labels(self) -> tuple[str, ...]:
        """Columns of given labels."""
        return tuple(noise.column for noise in self.experiment.noise if noise.column)

    def stages(self) -> list[list[NoiseJob]]:
        """One stage, seed by seed, so that the time left can be estimated."""
        return [
            [
                NoiseJob(number, seed, setting.title)
                for seed in range(self.experiment.seeds)
                for number, setting in enumerate(self.settings)
            ]
        ]

    def needs(self, job: NoiseJob) -> list[NoiseJob]:
        """None: jobs are independent of each other."""
        return []

    def path(self, job: NoiseJob) -> Path:
        """File of the job's result."""
        return self.directory / "noise" / self._fingerprint(job.number) / f"{job.seed:05d}.safetensors"

    @functools.cache  # noqa: B019 (lives as long as the run)
    def _fingerprint(self, number: int) -> str:
        experiment, setting = self.experiment, self.settings[number]
        origins = {spec: SCORERS.origin(base_name(spec)) for spec in experiment.scorers}
        origins |= {spec: METHODS.origin(base_name(spec)) for spec in experiment.methods}
        parts = {
            "versions": [*self.versions, origins],
            "examples": self._digests,
            "noise": [msgspec.to_builtins(setting.noise), setting.ratio],
            "asked": [msgspec.to_builtins(getattr(experiment, name)) for name in (
                "model", "recipe", "scorers", "told", "methods", "settings", "forgotten", "shown", "seed"
            )],
        }  # fmt: skip
        return fingerprint(parts)

    @functools.cached_property
    def _digests(self) -> list[str]:
        return [part.digest() for part in self.parts]

    @property
    def data_digest(self) -> str:
        """Digest of all examples of the experiment."""
        return fingerprint({"parts": self._digests})

    def check(self) -> None:
        """Check the experiment before anything is computed or written.

        Raises:
            ConfigError: the recipe judges models by validation examples.
            InputError: the data are missing or cannot be used, or the model or the noise does not fit them.
            NotSupportedError: a method needs a layer that the model lacks.
        """
        if self.experiment.recipe != self.experiment.recipe.for_all_epochs():
            raise ConfigError(
                "An experiment with wrong labels has no validation examples to judge models by: leave "
                "`keep_best_from_epoch` and `until_converged` out of `recipe`."
            )
        train, _ = self.parts
        for setting in self.settings:
            noisy = self.noisy(setting, 0)
            check_classes(noisy.examples)
            if noisy.mislabelled.all():
                raise InputError(f"All labels would be wrong with {setting.title} noise: lower the noise ratio")
        model = Population.create(self.build_for(train), 1, engine=Engine())
        for spec in self.experiment.methods:
            if build_method(spec, settings=self.experiment.settings[spec]).needs_convolutions:
                convolutions(model, spec)

    def prepared(self) -> Mislabel:
        """The experiment as it is: nothing has to be measured first."""
        return self.experiment

    def noisy(self, setting: Setting, seed: int) -> Noisy:
        """The training examples with this noise.

        Raises:
            ConfigError: noise of another label column is asked for, and the data are cut.
        """
        train, _ = self.parts
        noise, count = setting.noise, len(train.classes)
        if noise.kind == "column":
            data = self.experiment.data
            if data.limit or data.per_class or data.classes:
                raise ConfigError(
                    "Noise of kind column needs all examples: remove `limit`, `per_class` and `classes` from `data`"
                )
            columns = (data.label, *data.not_inputs, *self.other_labels)
            given = load(data.source, label=noise.column or "", not_inputs=columns)
            return human_noise(train, given.select(given.positions(train.ids)))
        if setting.ratio is None:
            matrix: Matrix = np.asarray(noise.matrix)
        else:
            matrix = (symmetric_noise if noise.kind == "symmetric" else pair_noise)(count, setting.ratio)
        return mislabel(train, matrix, exact=noise.exact, seed=self._seed("noise", seed))

    def _seed(self, purpose: str, seed: int) -> int:
        return Streams(self.experiment.seed).child("mislabel").seed(purpose, seed)

    def _make(self, job: NoiseJob) -> tuple[Arrays, dict[str, str]]:
        setting = self.settings[job.number]
        noisy = self.noisy(setting, job.seed)
        train, test = self.parts
        model = Population.create(
            self.build_for(train), 1, seed=self._seed("model", job.seed), device=self.device, engine=Engine()
        ).train(noisy.examples, self.experiment.recipe)
        arrays: dict[str, Array] = {"noise_ratio": np.asarray([noisy.ratio])}
        arrays["forgetting//original"] = np.asarray([model.accuracy(test)[0], np.nan])
        subject = Subject(model, noisy.examples, self.experiment.recipe, self._seed("detection", job.seed))
        forgotten = {"mislabelled": np.flatnonzero(noisy.mislabelled)}
        notes = {}
        shown = setting.ratio is not None and setting.ratio == self.experiment.shown and job.seed == 0
        for spec in self.experiment.scorers:
            start = self._clock()
            try:
                suspects = self._detect(subject, spec, noisy.ratio)
            except UndecidableError as error:
                notes[spec] = str(error)
                continue
            arrays[f"detection/{spec}"] = _detection_figures(suspects, noisy, self._clock() - start)
            forgotten[spec] = suspects.flagged
            if shown:
                arrays[f"scores/{spec}"] = suspects.scores
        if shown:
            arrays["mislabelled"] = noisy.mislabelled.astype(np.float64)
        for target in self.experiment.forgotten:
            for spec in self.experiment.methods:
                if len(forgotten.get(target, ())):
                    arrays[f"forgetting/{target}/{spec}"] = self._forget(model, noisy, forgotten[target], spec, test)
        metadata = {f"note/{spec}": note for spec, note in notes.items()}
        return arrays, {"format": "untrain.mislabel.1", **metadata}

    def _clock(self) -> float:
        return seconds_of(torch.device(self.device))

    def _detect(self, subject: Subject, spec: str, ratio: float) -> Suspects:
        scorer = build_scorer(spec, settings=self.experiment.settings[spec])
        return inspect(subject, scorer, ratio if spec in self.experiment.told else None)

    def _forget(
        self, model: Population, noisy: Noisy, positions: npt.NDArray[np.intp], spec: str, test: Examples
    ) -> Array:
        """Test accuracy and processor seconds of a method that forgets the examples at these positions."""
        chosen = np.isin(np.arange(len(noisy.examples)), positions)
        if chosen.all():
            raise InputError(
                f"All training examples would be forgotten by {spec}; nothing would be left: lower the noise ratio."
            )
        forget, retain = (noisy.examples.select(np.flatnonzero(part)) for part in (chosen, ~chosen))
        method = build_method(spec, settings=self.experiment.settings[spec])
        start = self._clock()
        unlearned = method.forget(model.clone(), Request(forget, retain, self.experiment.recipe))
        return np.asarray([unlearned.accuracy(test)[0], self._clock() - start])

    def files(self, number: int) -> Iterator[tuple[dict[str, Array], dict[str, str]]]:
        """Arrays and metadata that were stored for a noise, seed by seed."""
        for job in self.jobs():
            if job.number == number:
                yield read_arrays(self.path(job))


def _detection_figures(suspects: Suspects, noisy: Noisy, seconds: float) -> Array:
    """The numbers of `DETECTION`."""
    from sklearn.metrics import roc_auc_score  # takes long to import

    wrong = noisy.mislabelled
    flagged = np.zeros(len(wrong), dtype=np.bool_)
    flagged[suspects.flagged] = True
    correct = int((flagged & wrong).sum())
    return np.asarray([
        roc_auc_score(wrong, suspects.scores) if wrong.any() and not wrong.all() else np.nan,
        correct / flagged.sum() if flagged.any() and wrong.any() else np.nan,
        correct / wrong.sum() if wrong.any() else np.nan,
        (flagged == wrong).mean(),
        suspects.noise_ratio,
        *(suspects.interval or (np.nan, np.nan)),
        np.nan if suspects.model_error is None else suspects.model_error,
        flagged.mean(),
        seconds,
    ])  # fmt: skip
