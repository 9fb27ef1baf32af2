"""The scores of a method: numbers in, numbers out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.auditing import (
    MethodMemory,
    RankEnergies,
    Spread,
    agreement,
    final_score,
    forget_quality,
    mean_epsilon,
    memory_of_method,
    quality_interval,
    rank_energies,
    rank_energy,
    ranks,
    spent,
    spread,
    standing,
)
from untrain.auditing.orders import Cost
from untrain.auditing.rank_energy import GROUPS, varies
from untrain.core.estimate import Estimate
from untrain.core.files import Arrays
from untrain.core.levels import ALPHA
from untrain.core.registry import base_name
from untrain.experiments.config import Experiment
from untrain.report.results import Ending, Order
from untrain.report.table import RETRAINING

MEMORY_MODELS = 32
"""Models per side of the memory left, the first ones; its cost grows with the fourth power of their number."""

ENERGY_MODELS = 128
"""Models per side of the rank energy, the first ones."""

_FEWEST_FOR_MEMORY = 3

_QUANTILES = (0.1, 0.5, 0.9)
"""The report shows the examples at these quantiles of the confidence of retrained models."""

PARTS = ("retain", "forget", "validation", "test")
"""Parts of the data in which accuracy is measured."""

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ArmFigures:
    """What was measured on an arm's models.

    Attributes:
        confidences: `[N, S]` in the forget set.
        accuracies: `[N]` in 0..1 by the part of the data: retain, forget, validation, test.
        seconds: processor seconds of models computed alone, at least one.
        epochs: `[N]` epochs on the retain set until accuracy had converged; None for methods that do not wait for it.
    """

    confidences: Array
    accuracies: dict[str, Array]
    seconds: Array
    epochs: Array | None = None

    @classmethod
    def joined(cls, files: Sequence[Arrays]) -> Self:
        """What the files of an arm hold together.

        Args:
            files: one for each chunk of models, in order, at least one.
        """

        def array(name: str) -> Array:
            return np.concatenate([file[name] for file in files])

        return cls(
            array("confidences"),
            {part: array(f"accuracy/{part}") for part in PARTS},
            array("seconds"),
            array("epochs") if "epochs" in files[0] else None,
        )


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a method at one forget setting, from its models and the reference models.

    Attributes:
        forget_quality: F.
        final_score: of the competition.
        epsilon: of each forget example, in nats; None where it is not defined.
        epsilon_mean: likewise, the mean.
        buckets: number of buckets of F.
        capped: number of forget examples whose epsilon is at its cap.
        models: N.
        accuracies: means over models, in percent, by the part of the data.
        test_spread: of the test accuracy in percent, within and between originals.
        seconds: median time of one model computed alone.
        epochs: mean number of epochs until accuracy had converged.
        memory: what is left of the forget set, from the first `MEMORY_MODELS` models; None with fewer than 3.
        rank_energy: distance from the reference models, from the first `ENERGY_MODELS`; None with fewer than 8, and
            where the models do not vary.
    """

    forget_quality: float
    final_score: float
    epsilon: tuple[float | None, ...]
    epsilon_mean: float | None
    buckets: int
    capped: int
    models: int
    accuracies: dict[str, float]
    test_spread: Spread
    seconds: float
    epochs: float | None
    memory: MethodMemory | None
    rank_energy: Estimate | None

    @property
    def quality_interval(self) -> Estimate:
        """F with an interval over the forget examples."""
        return quality_interval([math.nan if value is None else value for value in self.epsilon], self.buckets)


def scores_of(arm: ArmFigures, reference: ArmFigures, originals: Array, origins: Origins) -> Scores:
    """Score a method. F and rank energy are those of all of its models together, from whatever original.

    Args:
        arm: figures of its models.
        reference: figures of retrained models.
        originals: `[K, S]` confidences of the originals in the forget set.
        origins: `[N]`, which original each model of the method comes from.
    """
    quality = forget_quality(arm.confidences, reference.confidences)
    return Scores(
        forget_quality=quality.score,
        final_score=final_score(
            quality.score,
            arm.accuracies["retain"],
            reference.accuracies["retain"],
            arm.accuracies["test"],
            reference.accuracies["test"],
        ),
        epsilon=tuple(map(_defined, quality.epsilon.tolist())),
        epsilon_mean=_defined(mean_epsilon(quality.epsilon)),
        buckets=quality.buckets,
        capped=quality.capped,
        models=quality.models,
        accuracies={part: 100 * float(np.mean(values)) for part, values in arm.accuracies.items()},
        test_spread=spread(100 * arm.accuracies["test"], origins),
        seconds=float(np.median(arm.seconds)),
        epochs=None if arm.epochs is None else float(arm.epochs.mean()),
        memory=_memory(arm.confidences, reference.confidences, originals, origins),
        rank_energy=_rank_energy(arm.confidences, reference.confidences, origins),
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _clusters(origins: Origins) -> Origins | None:
    """What the jackknife of the rank energy leaves out together; None where all models come from one original."""
    return origins if origins.any() else None


def _memory(unlearned: Array, retrained: Array, originals: Array, origins: Origins) -> MethodMemory | None:
    if len(retrained) < _FEWEST_FOR_MEMORY:
        return None
    few = slice(MEMORY_MODELS)
    return memory_of_method(unlearned[few], retrained[few], originals, origins=origins[few])


def _rank_energy(unlearned: Array, retrained: Array, origins: Origins) -> Estimate | None:
    few = slice(ENERGY_MODELS)
    clusters = _clusters(origins[few])
    if not _has_rank_energy(unlearned[few], retrained[few], clusters):
        return None
    return rank_energy(unlearned[few], retrained[few], origins=clusters).total


def _has_rank_energy(unlearned: Array, retrained: Array, clusters: Origins | None) -> bool:
    return len(retrained) >= GROUPS and varies(unlearned, retrained, clusters)


def ranking(scores: dict[str, Scores]) -> list[str]:
    """The methods by final score, highest first, without full and short retraining."""
    return sorted(
        (name for name in scores if base_name(name) not in RETRAINING), key=lambda name: -scores[name].final_score
    )


def orders_of(scores: dict[str, dict[str, Scores]]) -> list[Order]:
    """How the order of the methods changes with the forget setting; see `untrain.auditing.orders`.

    Args:
        scores: by forget setting and method.

    Returns:
        By memory left and by F, every setting compared with the first. None where there is one setting, where fewer
        than two methods are compared, and where memory left is not known or a forget set has one example.
    """
    names = ranking(next(iter(scores.values())))
    settings = [[methods[name] for name in names] for methods in scores.values()]
    if len(settings) < 2 or len(names) < 2:
        return []
    if any(one.memory is None or len(one.epsilon) < 2 for methods in settings for one in methods):
        return []
    memory = [[one.memory.left for one in methods if one.memory] for methods in settings]
    quality = [[one.quality_interval for one in methods] for methods in settings]
    measures: tuple[tuple[Literal["memory left", "F"], list[list[Estimate]], Cost], ...] = (
        ("memory left", memory, np.abs),
        ("F", quality, np.negative),
    )
    return [
        Order(
            forget=forget,
            measure=measure,
            ranks=dict(zip(names, ranks(mine, cost), strict=True)),
            agreement=agreement(values[0], mine, cost),
        )
        for measure, values, cost in measures
        for forget, mine in zip(scores, values, strict=True)
    ]


def energies_of(
    confidences: dict[str, Array], reference: Array, origins: Origins
) -> tuple[tuple[str, ...], RankEnergies]:
    """The methods that have a rank energy, and what is known of theirs.

    Args:
        confidences: `[N, S]` by method.
        reference: `[N, S]`, of retrained models.
        origins: `[N]`, which original each model of a method comes from.

    Returns:
        No method whose models do not vary, and none at all with fewer than 8 models.
    """
    clusters = _clusters(origins)
    names = tuple(name for name, arm in confidences.items() if _has_rank_energy(arm, reference, clusters))
    return names, rank_energies([confidences[name] for name in names], reference, origins=clusters)


def neighbors_apart(order: Sequence[str], names: Sequence[str], energies: RankEnergies) -> dict[str, bool]:
    """For each method whether the paired 95 % interval of its and the next method's rank energy excludes 0.

    Args:
        order: the methods, see `ranking`.
        names: the methods that have a rank energy.
        energies: theirs.

    Returns:
        Nothing of the last method in the order, and of those where one of the two rank energies is not known.
    """
    places = {name: place for place, name in enumerate(names)}
    return {
        name: bool(energies.p_values[places[name], places[following]] < ALPHA)
        for name, following in pairwise(order)
        if name in places and following in places
    }


def ending_of(
    experiment: Experiment,
    forget: str,
    models: int,
    methods: Sequence[str],
    names: Sequence[str],
    energies: RankEnergies,
) -> Ending | None:
    """Why a forget setting needs no more models, or None; see `untrain.auditing.looks`.

    Args:
        experiment: with `models = "auto"`.
        forget: the forget setting.
        models: N, the look.
        methods: all that are compared.
        names: those that have a rank energy.
        energies: theirs.
    """
    counts = experiment.looks
    level = spent(counts, counts.index(models))
    now = standing(energies, level, experiment.tolerance, models == counts[-1])
    if now.reason is None:
        return None
    return Ending(
        forget=forget,
        reason=now.reason,
        models=models,
        looks=tuple(count for count in counts if count <= models),
        most_models=counts[-1],
        tolerance=experiment.tolerance,
        alpha=ALPHA,
        order=tuple(names[k] for k in now.order),
        undecided=tuple((names[one], names[two]) for one, two in now.undecided),
        constant=tuple(name for name in methods if name not in names),
    )


def shown_positions(reference: Array) -> list[int]:
    """Positions in the forget set of the few examples that a report shows.

    Args:
        reference: `[N, S]` confidences of retrained models.
    """
    order = np.argsort(np.median(reference, axis=0), kind="stable")
    return list(dict.fromkeys(int(order[round(quantile * (len(order) - 1))]) for quantile in _QUANTILES))
