"""From the stored files of an experiment with wrong labels to `results.json`."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.detection import SCORERS
from untrain.experiments.config import published_rows
from untrain.experiments.mislabel.work import DETECTION, FORGETTING, MislabelWork, Setting
from untrain.methods import METHODS

SCHEMA = 1

_PERCENT = {"precision", "recall", "accuracy", "test_accuracy"}
_NAMES = {"noise_ratio": "estimated_noise_ratio", "low": "estimated_low", "high": "estimated_high"}
_BINS = 60

Values = dict[str, npt.NDArray[np.float64]]


def mislabel_results(work: MislabelWork) -> dict[str, Any]:
    """Everything that is known of a finished run, as plain values.

    Figures are means over seeds: precision, recall and accuracies in percent, AUC and ratios as fractions, seconds of a
    processor; `spread` holds their standard deviations over seeds.
    """
    experiment = work.experiment
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for number, setting in enumerate(work.settings):
        files = list(work.files(number))
        rows += _rows(work, number, [arrays for arrays, _ in files], [notes for _, notes in files])
        shown += _shown(setting, experiment.scorers, files[0][0])
    if experiment.published is not None:
        _add_published(rows, published_rows(experiment.published))
    train, test = work.parts
    return {
        "schema": SCHEMA,
        "kind": "mislabel",
        "experiment": experiment.name,
        "title": experiment.title,
        "rows": rows,
        "shown": shown,
        "seeds": experiment.seeds,
        "configuration": msgspec.to_builtins(experiment),
        "sizes": {"train": len(train), "test": len(test), "classes": len(train.classes)},
        "environment": work.environment(),
    }


def _rows(work: MislabelWork, number: int, files: list[Values], notes: list[dict[str, str]]) -> list[dict[str, Any]]:
    setting = work.settings[number]
    common = {
        "setting": number,
        "dataset": work.experiment.data.source,
        "noise": setting.noise.kind,
        "noise_ratio": round(float(np.mean([file["noise_ratio"][0] for file in files])), 6),
    }
    if setting.ratio is not None:
        common["noise_ratio"] = setting.ratio
    rows = []
    for spec in work.experiment.scorers:
        told = spec in work.experiment.told
        row = {**common, "scorer": spec, "title": SCORERS.of(spec.partition(":")[0]).title, "told": told}
        values = _means([file[key] for file in files if (key := f"detection/{spec}") in file], DETECTION)
        if told:
            values["estimated_noise_ratio"] = None
        said = [each[key] for each in notes if (key := f"note/{spec}") in each]
        rows.append({**row, **values, "note": said[0] if said else None, "method": None, "target": None})
    rows.append(_forgetting(common, files, "original", "original", None, None))
    for target in work.experiment.forgotten:
        kind, scorer = ("mislabelled", None) if target == "mislabelled" else ("detected", target)
        for spec in work.experiment.methods:
            title = METHODS.of(spec.partition(":")[0]).title
            rows.append(_forgetting(common, files, spec, title, kind, scorer))
    return rows


def _forgetting(
    common: dict[str, Any], files: list[Values], spec: str, title: str, kind: str | None, scorer: str | None
) -> dict[str, Any]:
    target = "" if kind is None else scorer or kind
    values = _means([file[key] for file in files if (key := f"forgetting/{target}/{spec}") in file], FORGETTING)
    return {**common, "method": spec, "title": title, "target": kind, "scorer": scorer, **values}


def _means(found: list[npt.NDArray[np.float64]], names: tuple[str, ...]) -> dict[str, Any]:
    """Means over the seeds that have a figure, with the standard deviations; None where no seed has."""
    means: dict[str, Any] = {}
    spread: dict[str, float] = {}
    for column, name in enumerate(names):
        values = np.asarray([each[column] for each in found], dtype=np.float64)
        values = values[np.isfinite(values)] * (100 if name in _PERCENT else 1)
        key = _NAMES.get(name, name)
        means[key] = round(float(values.mean()), 6) if len(values) else None
        if len(values) > 1:
            spread[key] = round(float(values.std(ddof=1)), 6)
    return {**means, "spread": spread, "seeds": len(found)}


def _shown(setting: Setting, scorers: tuple[str, ...], first: Values) -> list[dict[str, Any]]:
    """Histograms of the scores of right and of wrong labels, of the first seed."""
    wrong = first.get("mislabelled")
    if wrong is None:
        return []
    shown = []
    for name in scorers:
        scores = first.get(f"scores/{name}")
        if scores is None:
            continue
        edges = np.linspace(scores.min(), max(scores.max(), scores.min() + 1e-12), _BINS + 1)
        shown.append({
            "noise": setting.noise.kind,
            "noise_ratio": setting.ratio,
            "scorer": name,
            "edges": edges.tolist(),
            "right": np.histogram(scores[wrong == 0], edges)[0].tolist(),
            "wrong": np.histogram(scores[wrong == 1], edges)[0].tolist(),
        })  # fmt: skip
    return shown


def _add_published(rows: list[dict[str, Any]], published: list[dict[str, str]]) -> None:
    """Put published figures beside ours; `doubtful` marks those that cannot come from what the study says."""
    keys = ("scorer", "method", "target")
    lines = {(float(line["noise_ratio"]), *(line[key] for key in keys)): line for line in published}
    for row in rows:
        # A preset of a method is held against the study's figure, too; a preset of a scorer is another scorer.
        names = [row["scorer"] or "", (row["method"] or "").partition(":")[0], row["target"] or ""]
        line = lines.get((row["noise_ratio"], *names)) if row["noise"] == "symmetric" else None
        if line is not None:
            figures = {key: float(value) for key, value in line.items() if key not in (*keys, "noise_ratio") and value}
            doubtful = bool(figures.pop("doubtful", 0))
            row["published"] = {**figures, "doubtful": doubtful}
