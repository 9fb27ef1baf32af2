"""From the stored files of an experiment with mislabeled examples to its results."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.core.registry import base_name
from untrain.detection import SCORERS
from untrain.experiments.catalog import published_rows
from untrain.experiments.config import to_plain
from untrain.experiments.mislabel.work import DETECTION, FORGETTING, MislabelWork, Setting
from untrain.methods import METHODS
from untrain.report.images import png
from untrain.report.results import (
    FoundExample,
    FoundExamples,
    MislabelResults,
    MislabelRow,
    MislabelSizes,
    PublishedMislabel,
    ScoreHistogram,
)

_PERCENT = {"precision", "recall", "accuracy", "test_accuracy"}
_NAMES = {"noise_ratio": "estimated_noise_ratio", "low": "estimated_low", "high": "estimated_high"}
_BINS = 60
_MOST_FOUND = 24
"""Examples that the report shows."""

Array = npt.NDArray[np.float64]
Files = Sequence[tuple[dict[str, Array], dict[str, str]]]
"""Arrays and metadata of the files of one noise, one for each seed."""


def mislabel_results(work: MislabelWork) -> MislabelResults:
    """The results of a finished run."""
    experiment = work.experiment
    rows: list[MislabelRow] = []
    shown: list[ScoreHistogram] = []
    found: FoundExamples | None = None
    for number, setting in enumerate(work.settings):
        files = list(work.files(number))
        rows += _rows(work, number, files)
        shown += _histograms(setting, experiment.scorers, files[0][0])
        found = found or _found(work, setting, files[0][0])
    train, test = work.parts
    return MislabelResults(
        experiment=experiment.name,
        title=experiment.title,
        rows=tuple(_with_published(rows, experiment.published)),
        shown=tuple(shown),
        found=found,
        seeds=experiment.seeds,
        configuration=to_plain(experiment),
        sizes=MislabelSizes(train=len(train), test=len(test), classes=len(train.classes)),
        environment=work.environment(),
        processors=work.processors(),
    )


def _rows(work: MislabelWork, number: int, files: Files) -> list[MislabelRow]:
    """Rows of every scorer, of the original, and of every method after forgetting each target."""
    experiment, setting = work.experiment, work.settings[number]
    measured_ratio = round(float(np.mean([arrays["noise_ratio"][0] for arrays, _ in files])), 6)
    base = MislabelRow(
        setting=number,
        dataset=experiment.data.source,
        noise=setting.noise.kind,
        noise_ratio=measured_ratio if setting.ratio is None else setting.ratio,
        title="",
        seeds=0,
    )
    rows = [_detection(base, files, spec, told=spec in experiment.told) for spec in experiment.scorers]
    original = msgspec.structs.replace(base, method="original", title="original")
    rows.append(_with_means(original, files, "forgetting//original", FORGETTING))
    for target in experiment.forgotten:
        for spec in experiment.methods:
            row = msgspec.structs.replace(
                base,
                method=spec,
                title=METHODS.of(base_name(spec)).title,
                target="mislabelled" if target == "mislabelled" else "detected",
                scorer=None if target == "mislabelled" else target,
            )
            rows.append(_with_means(row, files, f"forgetting/{target}/{spec}", FORGETTING))
    return rows


def _detection(base: MislabelRow, files: Files, spec: str, *, told: bool) -> MislabelRow:
    notes = [metadata[key] for _, metadata in files if (key := f"note/{spec}") in metadata]
    row = msgspec.structs.replace(
        base, scorer=spec, title=SCORERS.of(base_name(spec)).title, told=told, note=notes[0] if notes else None
    )
    row = _with_means(row, files, f"detection/{spec}", DETECTION)
    return msgspec.structs.replace(row, estimated_noise_ratio=None) if told else row


def _with_means(row: MislabelRow, files: Files, key: str, names: tuple[str, ...]) -> MislabelRow:
    """The row with means and standard deviations over the seeds that have a figure; None where no seed has."""
    stored = [arrays[key] for arrays, _ in files if key in arrays]
    means: dict[str, float | None] = {}
    spread: dict[str, float] = {}
    for column, name in enumerate(names):
        values = np.asarray([array[column] for array in stored], dtype=np.float64)
        values = values[np.isfinite(values)] * (100 if name in _PERCENT else 1)
        field = _NAMES.get(name, name)
        means[field] = round(float(values.mean()), 6) if len(values) else None
        if len(values) > 1:
            spread[field] = round(float(values.std(ddof=1)), 6)
    return msgspec.structs.replace(row, spread=spread, seeds=len(stored), **means)


def _histograms(setting: Setting, scorers: Sequence[str], arrays: dict[str, Array]) -> list[ScoreHistogram]:
    """Histograms of the scores of correct and of wrong labels, where they were stored."""
    wrong = arrays.get("mislabelled")
    if wrong is None:
        return []
    histograms = []
    for name in scorers:
        scores = arrays.get(f"scores/{name}")
        if scores is None:
            continue
        edges = np.linspace(scores.min(), max(scores.max(), scores.min() + 1e-12), _BINS + 1)
        histograms.append(
            ScoreHistogram(
                noise=setting.noise.kind,
                noise_ratio=setting.ratio,
                scorer=name,
                edges=tuple(edges.tolist()),
                correct=tuple(np.histogram(scores[wrong == 0], edges)[0].tolist()),
                wrong=tuple(np.histogram(scores[wrong == 1], edges)[0].tolist()),
            )
        )
    return histograms


def _found(work: MislabelWork, setting: Setting, arrays: dict[str, Array]) -> FoundExamples | None:
    """The most suspicious examples of `auto`, or of the first scorer, where they are images and scores were stored."""
    scorers = [name for name in ("auto", *work.experiment.scorers) if f"scores/{name}" in arrays]
    train, _ = work.parts
    if not scorers or png(train.inputs[0]) is None:
        return None
    given = work.noisy(setting, 0).examples
    top = np.argsort(-arrays[f"scores/{scorers[0]}"], kind="stable")[:_MOST_FOUND]
    examples = tuple(
        FoundExample(
            id=str(train.ids[row]),
            image=png(train.inputs[row]) or "",
            label=given.classes[given.labels[row]],
            true_label=train.classes[train.labels[row]],
        )
        for row in top.tolist()
    )
    return FoundExamples(noise=setting.noise.kind, noise_ratio=setting.ratio, scorer=scorers[0], examples=examples)


def _with_published(rows: Sequence[MislabelRow], table: str | None) -> list[MislabelRow]:
    """The rows with published figures beside ours, if a table of them is named."""
    if table is None:
        return list(rows)
    keys = ("scorer", "method", "target")
    lines = {(float(line["noise_ratio"]), *(line[key] for key in keys)): line for line in published_rows(table)}

    def published(row: MislabelRow) -> PublishedMislabel | None:
        # Any preset of a method is compared with the study's figure; a preset of a scorer is another scorer.
        key = (row.noise_ratio, row.scorer or "", base_name(row.method or ""), row.target or "")
        return _published(lines[key]) if row.noise == "symmetric" and key in lines else None

    return [msgspec.structs.replace(row, published=published(row)) for row in rows]


def _published(line: dict[str, str]) -> PublishedMislabel:
    names = ("auc", "accuracy", "precision", "test_accuracy")
    figures = {name: float(line[name]) for name in names if line[name]}
    return PublishedMislabel(**figures, doubtful=bool(line["doubtful"]))
