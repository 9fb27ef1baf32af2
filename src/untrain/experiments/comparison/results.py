"""From stored populations to `results.json`, from which the report and every table are made."""

import math
from typing import Any

import msgspec
import numpy as np

from untrain.auditing import final_score, forget_quality, mean_epsilon
from untrain.data import ForgetSplit
from untrain.experiments.comparison.work import Arm, ComparisonWork, Outcome
from untrain.experiments.config import published_rows
from untrain.report.images import png

SCHEMA = 1
"""Version of the form of `results.json`; it grows when a key changes its meaning or goes away."""

_CURVE = ("short-retrain", "retrain")
"""Methods that make the curve of score against cost, with which the others are compared."""

_SHOWN = (0.1, 0.5, 0.9)
"""Examples that are shown: at these quantiles of how well retrained models know them."""


def comparison_results(work: ComparisonWork) -> dict[str, Any]:
    """Everything that is known of a finished run, as plain values.

    Accuracies are in percent, epsilons in nats, seconds are those of one model made alone.
    """
    experiment = work.experiment
    rows, shown = [], []
    for setting, sets in work.forgets.items():
        reference = work.outcome(Arm(setting, "reference"))
        outcomes = {name: work.outcome(Arm(setting, name)) for name in work.methods if name != "reference"}
        group = [_row(work, setting, name, outcome, reference) for name, outcome in outcomes.items()]
        _add_ceiling_and_cost(group)
        rows += group
        shown.append(_shown(setting, sets, reference, outcomes))
    _add_published(rows, experiment.published)
    return {
        "schema": SCHEMA,
        "kind": "comparison",
        "experiment": experiment.name,
        "title": experiment.title,
        "rows": rows,
        "shown": shown,
        "configuration": msgspec.to_builtins(experiment),
        "sizes": {
            "train": len(work.splits.train),
            "validation": len(work.splits.validation),
            "test": len(work.splits.test),
            "forget": {setting: len(sets.forget) for setting, sets in work.forgets.items()},
        },
        "environment": work.environment(),
    }


def _row(work: ComparisonWork, setting: str, name: str, outcome: Outcome, reference: Outcome) -> dict[str, Any]:
    quality = forget_quality(outcome.confidences, reference.confidences)
    accuracy = {part: float(np.mean(values)) for part, values in outcome.accuracies.items()}
    method = work.methods[name]
    sets = work.forgets[setting]
    total = len(sets.forget) + len(sets.retain)
    return {
        "dataset": work.experiment.data.source,
        "forget": setting,
        "forget_ratio": _ratio(setting, len(sets.forget) / total),
        "forget_examples": len(sets.forget),
        "method": name,
        "title": method.title or (type(method).__doc__ or "").partition("\n")[0],
        "models": quality.models,
        "forget_quality": quality.score,
        "final_score": final_score(
            quality.score,
            outcome.accuracies["retain"],
            reference.accuracies["retain"],
            outcome.accuracies["test"],
            reference.accuracies["test"],
        ),
        "epsilon_mean": mean_epsilon(quality.epsilon),
        "epsilon": [_finite(value) for value in quality.epsilon],
        "buckets": quality.buckets,
        "capped": quality.capped,
        "retain_accuracy": 100 * accuracy["retain"],
        "test_accuracy": 100 * accuracy["test"],
        "forget_accuracy": 100 * accuracy["forget"],
        "validation_accuracy": 100 * accuracy["validation"],
        "seconds_per_model": float(np.median(outcome.seconds)),
    }


def _ratio(setting: str, actual: float) -> float:
    """The ratio that was asked for, be it of groups, or that which a list or a number of groups came to."""
    try:
        asked = float(setting.removeprefix("groups:"))
    except ValueError:
        return actual
    return asked if asked < 1 else actual


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _add_ceiling_and_cost(group: list[dict[str, Any]]) -> None:
    """Add to each row what retraining scores, the speed-up over it, and what short retraining as costly gives."""
    retrain = next(row for row in group if row["method"] == "retrain")
    curve = sorted(
        (row["seconds_per_model"], row["final_score"], row["test_accuracy"])
        for row in group
        if row["method"].partition(":")[0] in _CURVE
    )
    seconds, scores, accuracies = (list(column) for column in zip(*curve, strict=True))
    for row in group:
        cost = row["seconds_per_model"]
        row["ceiling"] = retrain["forget_quality"]
        row["speedup"] = retrain["seconds_per_model"] / cost
        # Nothing is said below the cheapest short retraining that was run, nor of the curve itself.
        known = len(curve) > 1 and cost >= 0.9 * seconds[0] and row["method"].partition(":")[0] not in _CURVE
        row["same_cost_score"] = float(np.interp(cost, seconds, scores)) if known else None
        row["same_cost_test_accuracy"] = float(np.interp(cost, seconds, accuracies)) if known else None


def _shown(setting: str, sets: ForgetSplit, reference: Outcome, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Confidences of a few forget examples under every method, and the examples themselves."""
    order = np.argsort(np.median(reference.confidences, axis=0), kind="stable")
    chosen = list(dict.fromkeys(int(order[round(quantile * (len(order) - 1))]) for quantile in _SHOWN))
    arms = {"reference": reference, **outcomes}
    return {
        "forget": setting,
        "examples": [
            {
                "id": str(sets.forget.ids[position]),
                "position": position,
                "label": sets.forget.classes[sets.forget.labels[position]],
                "image": png(sets.forget.inputs[position]),
                "confidences": {
                    name: np.round(outcome.confidences[:, position], 4).tolist() for name, outcome in arms.items()
                },
            }
            for position in chosen
        ],
    }


def _add_published(rows: list[dict[str, Any]], table: str | None) -> None:
    """Put published figures beside ours where the experiment says that the setting is the same."""
    if table is None:
        return
    lines = published_rows(table)
    published = {(line.pop("dataset"), float(line.pop("forget_ratio")), line.pop("method")): line for line in lines}
    for row in rows:
        found = published.get((row["dataset"], row["forget_ratio"], row["method"].partition(":")[0]))
        if found is not None:
            row["published"] = {key: float(value) if value else None for key, value in found.items()}
