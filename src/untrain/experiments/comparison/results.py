"""From the stored populations of a comparison to its results."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from untrain.auditing import (
    ForgetQuality,
    MethodMemory,
    final_score,
    forget_quality,
    mean_epsilon,
    memory_of_method,
    rank_energy,
    rank_energy_difference,
)
from untrain.auditing.rank_energy import GROUPS, varies
from untrain.core.estimate import Estimate
from untrain.core.levels import FEWEST_MODELS
from untrain.core.registry import base_name
from untrain.data import ForgetSplit
from untrain.experiments.catalog import published_rows
from untrain.experiments.comparison.work import Arm, ArmFigures, Array, ComparisonWork
from untrain.experiments.config import to_plain
from untrain.experiments.executors.processes import one_thread
from untrain.report.images import png
from untrain.report.results import (
    ComparisonResults,
    ComparisonRow,
    ComparisonSizes,
    ForgetExample,
    PublishedComparison,
    ShownExamples,
)
from untrain.report.table import RETRAINING, ranked

_QUANTILES = (0.1, 0.5, 0.9)
"""The report shows the examples at these quantiles of the confidence of retrained models."""

_CHEAPEST = 0.9
"""Short retraining of the same cost is not extrapolated below this share of the cheapest that was run."""

MEMORY_MODELS = 32
"""Models per side of the memory left, the first ones; its cost grows with the fourth power of their number."""

ENERGY_MODELS = 128
"""Models per side of the rank energy, the first ones."""

_FEWEST_FOR_MEMORY = 3


@dataclass(frozen=True)
class MethodFigures:
    """What is known of a method at one forget setting before it is compared with retraining.

    Attributes:
        quality: against the reference models.
        final_score: of the competition.
        accuracies: means over models, in percent, by the part of the data.
        seconds: median time of one model computed alone.
        memory: what is left of the forget set, from the first `MEMORY_MODELS` models; None with fewer than 3.
        rank_energy: distance from the reference models, from the first `ENERGY_MODELS`; None with fewer than 8, and
            where the models do not vary.
    """

    quality: ForgetQuality
    final_score: float
    accuracies: Mapping[str, float]
    seconds: float
    memory: MethodMemory | None
    rank_energy: Estimate | None


@dataclass(frozen=True)
class RetrainingCurve:
    """Final score and test accuracy of short and full retraining against time, cheapest first.

    Attributes:
        seconds: for one model.
        scores: final scores.
        accuracies: on the test set.
    """

    seconds: tuple[float, ...]
    scores: tuple[float, ...]
    accuracies: tuple[float, ...]

    @classmethod
    def through(cls, points: Iterable[tuple[float, float, float]]) -> "RetrainingCurve":
        """The curve through points of seconds, score and accuracy."""
        seconds, scores, accuracies = zip(*sorted(points), strict=True)
        return cls(seconds, scores, accuracies)

    def at(self, seconds: float) -> tuple[float | None, float | None]:
        """Score and accuracy of short retraining that takes so long; None where the curve does not reach."""
        if len(self.seconds) < 2 or seconds < _CHEAPEST * self.seconds[0]:
            return None, None
        return (
            float(np.interp(seconds, self.seconds, self.scores)),
            float(np.interp(seconds, self.seconds, self.accuracies)),
        )


def comparison_results(work: ComparisonWork) -> ComparisonResults:
    """The results of a finished run."""
    experiment = work.experiment
    rows: list[ComparisonRow] = []
    shown = []
    for setting, sets in work.forgets.items():
        reference = work.figures(Arm(setting, "reference"))
        arms = {name: work.figures(Arm(setting, name)) for name in work.methods if name != "reference"}
        with one_thread():
            original = work.original_confidences(setting)
        rows += _rows(work, setting, arms, reference, original)
        shown.append(_shown(setting, sets, reference, arms))
    return ComparisonResults(
        experiment=experiment.name,
        title=experiment.title,
        rows=tuple(rows),
        shown=tuple(shown),
        configuration=to_plain(experiment),
        sizes=ComparisonSizes(
            train=len(work.splits.train),
            validation=len(work.splits.validation),
            test=len(work.splits.test),
            forget={setting: len(sets.forget) for setting, sets in work.forgets.items()},
        ),
        environment=work.environment(),
    )


def _rows(
    work: ComparisonWork, setting: str, arms: Mapping[str, ArmFigures], reference: ArmFigures, original: Array
) -> list[ComparisonRow]:
    methods = {name: _method_figures(arm, reference, original) for name, arm in arms.items()}
    curve = RetrainingCurve.through(
        (figures.seconds, figures.final_score, figures.accuracies["test"])
        for name, figures in methods.items()
        if base_name(name) in RETRAINING
    )
    rows = [_row(work, setting, name, figures, methods["retrain"], curve) for name, figures in methods.items()]
    apart = {
        row.method: _is_apart(arms[row.method].confidences, arms[following.method].confidences, reference.confidences)
        for row, following in pairwise(ranked(rows))
        if row.rank_energy and following.rank_energy
    }
    return [msgspec.structs.replace(row, apart_from_next=apart.get(row.method)) for row in rows]


def _is_apart(first: Array, second: Array, reference: Array) -> bool:
    """Whether the paired interval of the difference of two methods' rank energies excludes 0."""
    difference = rank_energy_difference(first[:ENERGY_MODELS], second[:ENERGY_MODELS], reference[:ENERGY_MODELS])
    return not difference.low <= 0 <= difference.high


def _method_figures(arm: ArmFigures, reference: ArmFigures, original: Array) -> MethodFigures:
    quality = forget_quality(arm.confidences, reference.confidences)
    score = final_score(
        quality.score,
        arm.accuracies["retain"],
        reference.accuracies["retain"],
        arm.accuracies["test"],
        reference.accuracies["test"],
    )
    accuracies = {part: 100 * float(np.mean(values)) for part, values in arm.accuracies.items()}
    return MethodFigures(
        quality,
        score,
        accuracies,
        float(np.median(arm.seconds)),
        _memory(arm.confidences, reference.confidences, original),
        _rank_energy(arm.confidences, reference.confidences),
    )


def _memory(unlearned: Array, retrained: Array, original: Array) -> MethodMemory | None:
    if len(retrained) < _FEWEST_FOR_MEMORY:
        return None
    return memory_of_method(unlearned[:MEMORY_MODELS], retrained[:MEMORY_MODELS], original)


def _rank_energy(unlearned: Array, retrained: Array) -> Estimate | None:
    if len(retrained) < GROUPS or not varies(unlearned, retrained):
        return None
    return rank_energy(unlearned[:ENERGY_MODELS], retrained[:ENERGY_MODELS]).total


def _row(
    work: ComparisonWork,
    setting: str,
    name: str,
    figures: MethodFigures,
    retrain: MethodFigures,
    curve: RetrainingCurve,
) -> ComparisonRow:
    method, sets = work.methods[name], work.forgets[setting]
    dataset = work.experiment.data.source
    forget_ratio = _ratio(setting, len(sets.forget) / (len(sets.forget) + len(sets.retain)))
    same_cost = (None, None) if base_name(name) in RETRAINING else curve.at(figures.seconds)
    memory, energy = figures.memory, figures.rank_energy
    tested = memory if memory and memory.models >= FEWEST_MODELS else None
    return ComparisonRow(
        dataset=dataset,
        forget=setting,
        forget_ratio=forget_ratio,
        forget_examples=len(sets.forget),
        method=name,
        title=method.title or (type(method).__doc__ or "").partition("\n")[0],
        models=figures.quality.models,
        forget_quality=figures.quality.score,
        final_score=figures.final_score,
        epsilon_mean=_defined(mean_epsilon(figures.quality.epsilon)),
        epsilon=tuple(_defined(round(float(value), 6)) for value in figures.quality.epsilon),
        buckets=figures.quality.buckets,
        capped=figures.quality.capped,
        retain_accuracy=figures.accuracies["retain"],
        test_accuracy=figures.accuracies["test"],
        forget_accuracy=figures.accuracies["forget"],
        validation_accuracy=figures.accuracies["validation"],
        seconds_per_model=figures.seconds,
        ceiling=retrain.quality.score,
        speedup=retrain.seconds / figures.seconds,
        same_cost_score=same_cost[0],
        same_cost_test_accuracy=same_cost[1],
        published=published_figures(work.experiment.published, dataset, forget_ratio, name),
        memory_left=memory.left if memory else None,
        told_apart=tested.told_apart if tested else None,
        told_different=tested.told_different if tested else None,
        memory_models=memory.models if memory else None,
        rank_energy=energy,
        rank_energy_models=min(figures.quality.models, ENERGY_MODELS) if energy else None,
    )


def _ratio(setting: str, actual: float) -> float:
    """The requested forget ratio, of examples or groups; the actual one of a list of ids or a number of groups."""
    try:
        requested = float(setting.removeprefix("groups:"))
    except ValueError:
        return actual
    return requested if requested < 1 else actual


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(setting: str, sets: ForgetSplit, reference: ArmFigures, arms: Mapping[str, ArmFigures]) -> ShownExamples:
    """A few forget examples, and the confidences of every method in them."""
    order = np.argsort(np.median(reference.confidences, axis=0), kind="stable")
    positions = dict.fromkeys(int(order[round(quantile * (len(order) - 1))]) for quantile in _QUANTILES)
    return ShownExamples(
        forget=setting,
        examples=tuple(
            ForgetExample(
                id=str(sets.forget.ids[position]),
                position=position,
                label=sets.forget.classes[sets.forget.labels[position]],
                image=png(sets.forget.inputs[position]),
                confidences={
                    name: tuple(np.round(arm.confidences[:, position], 4).tolist())
                    for name, arm in {"reference": reference, **arms}.items()
                },
            )
            for position in positions
        ),
    )


def published_figures(table: str | None, dataset: str, forget_ratio: float, method: str) -> PublishedComparison | None:
    """What a table of published figures says of a method, with whatever preset, at a forget ratio."""
    for line in [] if table is None else published_rows(table):
        if (line["dataset"], float(line["forget_ratio"]), line["method"]) == (dataset, forget_ratio, base_name(method)):
            figures = {name: float(line[name]) for name in PublishedComparison.__struct_fields__ if line[name]}
            return PublishedComparison(**figures)
    return None
