"""From the stored populations of a comparison to its results."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from untrain.core.levels import FEWEST_MODELS
from untrain.core.registry import base_name
from untrain.experiments.catalog import published_rows
from untrain.experiments.comparison.scores import ENERGY_MODELS, Scores, orders_of
from untrain.experiments.comparison.work import ComparisonWork
from untrain.experiments.config import to_plain
from untrain.report.images import png
from untrain.report.results import (
    ComparisonResults,
    ComparisonRow,
    ComparisonSizes,
    ForgetExample,
    PublishedComparison,
    ShownExamples,
)
from untrain.report.table import RETRAINING

_CHEAPEST = 0.9
"""Short retraining of the same cost is not extrapolated below this share of the cheapest that was run."""


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
    models = {setting: work.models(setting) for setting in work.settings}
    scores = {setting: work.scores(setting, count) for setting, count in models.items()}
    endings = (work.ending(setting, count) for setting, count in models.items())
    rows = itertools.chain.from_iterable(
        _rows(work, setting, count, scores[setting]) for setting, count in models.items()
    )
    return ComparisonResults(
        experiment=experiment.name,
        title=experiment.title,
        rows=tuple(rows),
        shown=tuple(_shown(work, setting, count) for setting, count in models.items()),
        configuration=to_plain(experiment),
        sizes=ComparisonSizes(
            train=len(work.splits.train),
            validation=len(work.splits.validation),
            test=len(work.splits.test),
            forget={setting: len(work.sets(setting).forget) for setting in work.settings},
        ),
        environment=work.environment(),
        processors=work.processors(),
        orders=tuple(orders_of(scores)),
        endings=tuple(ending for ending in endings if ending),
    )


def _rows(work: ComparisonWork, setting: str, models: int, scores: dict[str, Scores]) -> list[ComparisonRow]:
    apart = work.apart(setting, models)
    curve = RetrainingCurve.through(
        (of_method.seconds, of_method.final_score, of_method.accuracies["test"])
        for name, of_method in scores.items()
        if base_name(name) in RETRAINING
    )
    rows = (_row(work, setting, name, scores, curve) for name in scores)
    return [msgspec.structs.replace(row, apart_from_next=apart.get(row.method)) for row in rows]


def _row(
    work: ComparisonWork, setting: str, name: str, scores: dict[str, Scores], curve: RetrainingCurve
) -> ComparisonRow:
    method, sets = work.methods[name], work.sets(setting)
    mine, retrain = scores[name], scores["retrain"]
    dataset = work.experiment.data.source
    forget_ratio = _ratio(setting, len(sets.forget) / (len(sets.forget) + len(sets.retain)))
    same_cost = (None, None) if base_name(name) in RETRAINING else curve.at(mine.seconds)
    memory = mine.memory
    tested = memory if memory and memory.models >= FEWEST_MODELS else None
    return ComparisonRow(
        dataset=dataset,
        forget=setting,
        forget_ratio=forget_ratio,
        forget_examples=len(sets.forget),
        method=name,
        title=method.title or (type(method).__doc__ or "").partition("\n")[0],
        models=mine.models,
        forget_quality=mine.forget_quality,
        final_score=mine.final_score,
        epsilon_mean=mine.epsilon_mean,
        epsilon=tuple(None if value is None else round(value, 6) for value in mine.epsilon),
        buckets=mine.buckets,
        capped=mine.capped,
        retain_accuracy=mine.accuracies["retain"],
        test_accuracy=mine.accuracies["test"],
        forget_accuracy=mine.accuracies["forget"],
        validation_accuracy=mine.accuracies["validation"],
        seconds_per_model=mine.seconds,
        epochs=mine.epochs,
        ceiling=retrain.forget_quality,
        speedup=retrain.seconds / mine.seconds,
        same_cost_score=same_cost[0],
        same_cost_test_accuracy=same_cost[1],
        published=published_figures(work.experiment.published, dataset, forget_ratio, name),
        memory_left=memory.left if memory else None,
        told_apart=tested.told_apart if tested else None,
        told_different=tested.told_different if tested else None,
        memory_models=memory.models if memory else None,
        originals=work.experiment.originals,
        memory_spread=memory.spread if memory else None,
        test_accuracy_spread=mine.test_spread,
        rank_energy=mine.rank_energy,
        rank_energy_models=min(mine.models, ENERGY_MODELS) if mine.rank_energy else None,
    )


def _ratio(setting: str, actual: float) -> float:
    """The requested forget ratio, of examples or groups; the actual one of a list of ids or a number of groups."""
    try:
        requested = float(setting.removeprefix("groups:"))
    except ValueError:
        return actual
    return requested if requested < 1 else actual


def _shown(work: ComparisonWork, setting: str, models: int) -> ShownExamples:
    """A few forget examples, and the confidences of every method in them."""
    forget = work.sets(setting).forget
    positions, confidences = work.shown(setting, models)
    return ShownExamples(
        forget=setting,
        examples=tuple(
            ForgetExample(
                id=str(forget.ids[position]),
                position=position,
                label=forget.classes[forget.labels[position]],
                image=png(forget.inputs[position]),
                confidences={name: tuple(np.round(arm[:, k], 4).tolist()) for name, arm in confidences.items()},
            )
            for k, position in enumerate(positions)
        ),
    )


def published_figures(table: str | None, dataset: str, forget_ratio: float, method: str) -> PublishedComparison | None:
    """What a table of published figures says of a method, with whatever preset, at a forget ratio."""
    for line in [] if table is None else published_rows(table):
        if (line["dataset"], float(line["forget_ratio"]), line["method"]) == (dataset, forget_ratio, base_name(method)):
            figures = {name: float(line[name]) for name in PublishedComparison.__struct_fields__ if line[name]}
            return PublishedComparison(**figures)
    return None
