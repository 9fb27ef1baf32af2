"""The results of an experiment: every key of `results.json`, read and written in this one place."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from untrain.core.estimate import Estimate, Spread
from untrain.errors import ConfigError, InputError, IntegrityError

SCHEMA: Literal[1] = 1
"""Version of `results.json`. It grows when a key changes its meaning or goes away; a new key does not change it."""

LARGEST = 1e9
"""Larger figures are damage: no score, time or confidence of an experiment is near it."""

Figure = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Proportion = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What the results of every kind of experiment say.

    Attributes:
        schema: version of the form.
        experiment: name of the experiment.
        title: its title.
        configuration: the experiment as it was run, every default written out.
        environment: versions and hardware, by name.
        processors: number of jobs by the kind of processor that did them; empty in results of earlier versions.
    """

    schema: Literal[1] = SCHEMA
    experiment: str
    title: str
    configuration: dict[str, object]
    environment: dict[str, str]
    processors: dict[str, Count] = {}

    @property
    def mixed(self) -> str:
        """What it means that several kinds of processor did the jobs, as a sentence; empty where one did all."""
        if len(self.processors) < 2:
            return ""
        kinds = "; ".join(f"{kind} ({count} jobs)" for kind, count in self.processors.items())
        return (
            f"Several kinds of processor did the jobs: {kinds}. Results in float32 depend on the processor in their "
            "last bits, so one machine alone would give other bits; times of different kinds are not comparable."
        )


class PublishedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Figures that a study published for the setting of a row: accuracies in percent, None where it gives none."""

    final_score: Figure | None = None
    test_accuracy: Figure | None = None
    forget_accuracy: Figure | None = None
    seconds: Figure | None = None


class ComparisonRow(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one forget setting. Accuracies are in percent.

    Attributes:
        dataset: source of the examples.
        forget: the forget setting.
        forget_ratio: forgotten share of the training set.
        forget_examples: size of the forget set.
        method: `name` or `name:preset`.
        title: what the method is, in a few words.
        models: N, unlearned models and retrained models each.
        forget_quality: F.
        final_score: F times the accuracies relative to retraining.
        epsilon_mean: mean epsilon over the forget set, in nats.
        epsilon: epsilon of each forget example; None where it is not defined.
        buckets: number of buckets of F.
        capped: number of forget examples whose epsilon is at its cap.
        retain_accuracy: mean over models, on the retain set.
        test_accuracy: on the test set.
        forget_accuracy: on the forget set.
        validation_accuracy: on the validation set.
        seconds_per_model: time of one model computed alone.
        ceiling: F of retrained models against other retrained models.
        speedup: time of retraining over that of the method.
        same_cost_score: final score of short retraining that takes as long; None where that is not known.
        same_cost_test_accuracy: its test accuracy.
        published: figures of a study for the same setting, if there are any.
        memory_left: mean memory left of the models, 0 for retrained models and 1 for the original, with its interval;
            None with fewer than 3 models, and in results that earlier versions wrote.
        told_apart: share of the models that an exact test tells from retrained ones by their memory; None with fewer
            than 19 models, which it needs.
        told_different: share that it tells from retrained ones by any difference; None likewise.
        memory_models: number of models per side, the first ones, that the last three figures are from.
        rank_energy: distance of the models from retrained ones; None with fewer than 8 models, and where the models of
            the method do not vary.
        rank_energy_models: number of models per side, the first ones, that it is from.
        epochs: mean number of epochs on the retain set until accuracy had converged; None for methods that do not wait
            for it.
        originals: K, number of originals that the unlearned models start from; 1 in results that do not say it.
        memory_spread: standard deviations of the memory left, within and between originals.
        test_accuracy_spread: likewise, of the test accuracy in percent.
        apart_from_next: whether the rank energies of this method and the next in the ranking by final score differ: the
            95 % interval of their paired difference excludes 0. None where one of them is not known.

    Raises:
        ValueError: an estimate lies outside of its interval, or is too large.
    """

    dataset: str
    forget: str
    forget_ratio: Proportion
    forget_examples: Count
    method: str
    title: str
    models: Count
    forget_quality: Proportion
    final_score: NotNegative
    epsilon_mean: Figure | None
    epsilon: tuple[Figure | None, ...]
    buckets: Count
    capped: Count
    retain_accuracy: Percent
    test_accuracy: Percent
    forget_accuracy: Percent
    validation_accuracy: Percent
    seconds_per_model: NotNegative
    ceiling: Proportion
    speedup: NotNegative
    same_cost_score: Figure | None
    same_cost_test_accuracy: Figure | None
    published: PublishedComparison | None = None
    memory_left: Estimate | None = None
    told_apart: Estimate | None = None
    told_different: Estimate | None = None
    memory_models: Count | None = None
    rank_energy: Estimate | None = None
    rank_energy_models: Count | None = None
    epochs: NotNegative | None = None
    originals: Count = 1
    memory_spread: Spread | None = None
    test_accuracy_spread: Spread | None = None
    apart_from_next: bool | None = None

    def __post_init__(self) -> None:
        for name in ("memory_left", "told_apart", "told_different", "rank_energy"):
            estimate: Estimate | None = getattr(self, name)
            if estimate and not -LARGEST <= estimate.low <= estimate.value <= estimate.high <= LARGEST:
                raise ValueError(f"`{name}` of {self.method!r} lies outside of its interval, or is too large")


class ForgetExample(msgspec.Struct, frozen=True, kw_only=True):
    """A forget example and how confident the models of every method are of it.

    Attributes:
        id: of the example.
        position: in the forget set.
        label: name of its class.
        image: PNG in base64, or None if it is no image.
        confidences: of every model, by method; those of retrained models under `reference`.
    """

    id: str
    position: Count
    label: str
    image: str | None
    confidences: dict[str, Annotated[tuple[Figure, ...], msgspec.Meta(min_length=1)]]


class ShownExamples(msgspec.Struct, frozen=True, kw_only=True):
    """The examples that the report shows for one forget setting."""

    forget: str
    examples: tuple[ForgetExample, ...]


class ComparisonSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of examples; of the forget sets by forget setting."""

    train: Count
    validation: Count
    test: Count
    forget: dict[str, Count]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order of the methods at one forget setting by one measure, without full and short retraining.

    Attributes:
        forget: the forget setting.
        measure: `memory left`, of which the nearest to 0 is first, or `F`, of which the highest is first.
        ranks: rank of each method, 1 for the first, with an interval.
        agreement: Kendall's tau with the order at the experiment's first forget setting, with an interval.
    """

    forget: str
    measure: Literal["memory left", "F"]
    ranks: dict[str, Estimate]
    agreement: Estimate


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why the number of models grew no further at a forget setting, where it was not fixed.

    Attributes:
        forget: the forget setting.
        reason: `ranked`, every method differs from the next by rank energy; `precise enough`, the rank energy of those
            that do not is known to the tolerance; `not separable`, neither, with the most models.
        models: N.
        looks: numbers of models at which it was decided.
        most_models: largest N that was allowed.
        tolerance: half of the width of an interval of a rank energy, relative to it, that is precise enough.
        alpha: probability that any pair of equal methods is told apart, over all looks and pairs.
        order: the methods by rank energy, nearest to retraining first, without full and short retraining.
        undecided: neighbors in this order that are not told apart.
        constant: methods without a place in it, since their models do not vary.
    """

    forget: str
    reason: Literal["ranked", "precise enough", "not separable"]
    models: Count
    looks: tuple[Count, ...]
    most_models: Count
    tolerance: Proportion
    alpha: Proportion
    order: tuple[str, ...]
    undecided: tuple[tuple[str, str], ...]
    constant: tuple[str, ...] = ()


class ComparisonResults(Common, frozen=True, kw_only=True):
    """Results of a comparison of unlearning methods.

    Attributes:
        rows: one for each method at each forget setting.
        shown: examples of each forget setting that the report shows.
        sizes: numbers of examples.
        orders: how the order of the methods changes with the forget setting; none where there is one setting, where
            fewer than two methods are compared, and in results that earlier versions wrote.
        endings: of each forget setting, where the number of models was not fixed.

    Raises:
        ValueError: a forget setting of the rows has no shown examples, or one of these lacks a method of the rows; or
            the orders are not of the same methods.
    """

    kind: Literal["comparison"] = "comparison"
    rows: Annotated[tuple[ComparisonRow, ...], msgspec.Meta(min_length=1)]
    shown: tuple[ShownExamples, ...]
    sizes: ComparisonSizes
    orders: tuple[Order, ...] = ()
    endings: tuple[Ending, ...] = ()

    def __post_init__(self) -> None:
        shown = {entry.forget: entry.examples for entry in self.shown}
        for row in self.rows:
            if row.forget not in shown:
                raise ValueError(f"no examples are shown for the forget setting {row.forget!r}")
            for example in shown[row.forget]:
                if missing := {row.method, "reference"} - example.confidences.keys():
                    raise ValueError(f"the shown example {example.id!r} has no confidences of {min(missing)!r}")
        if any(order.ranks.keys() != self.orders[0].ranks.keys() for order in self.orders):
            raise ValueError("the orders of the methods are not of the same methods")


class PublishedMislabel(msgspec.Struct, frozen=True, kw_only=True):
    """Figures that a study published for the setting of a row, in the units of the row; None where it gives none.

    Attributes:
        auc: ROC AUC.
        accuracy: of a scorer's decisions.
        precision: of a scorer.
        test_accuracy: after forgetting.
        doubtful: whether the figures contradict what the study says elsewhere.
    """

    auc: Figure | None = None
    accuracy: Figure | None = None
    precision: Figure | None = None
    test_accuracy: Figure | None = None
    doubtful: bool = False


MislabelFigure = Literal[
    "auc", "accuracy", "precision", "recall", "estimated_noise_ratio", "flagged", "test_accuracy"
]  # fmt: skip
"""Figures of a row that tables show."""


class MislabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer, or one method, at one noise: means over seeds, None where a figure is not defined.

    A row without a method is of a scorer that looked for mislabeled examples; one with a method is of a model after
    forgetting, or of the `original`. Precision, recall and accuracies are in percent, ratios are shares.

    Attributes:
        setting: number of the noise in the experiment.
        dataset: source of the examples.
        noise: kind of the noise.
        noise_ratio: share of wrong labels.
        title: what the scorer or method is, in a few words.
        scorer: `name` or `name:preset`; of a row with a method, the one whose flagged examples were forgotten.
        method: `name` or `name:preset`.
        target: what was forgotten: `mislabelled`, everything that is wrong, or `detected`, what the scorer flagged.
        seeds: how many seeds the means are over.
        spread: standard deviations over seeds, by the names of the figures.
        seconds: processor time.
        published: figures of a study for the same setting, if there are any.
        told: whether the scorer was told the noise ratio.
        auc: ROC AUC of the scores.
        precision: share of the flagged labels that are wrong.
        recall: share of the wrong labels that are flagged.
        accuracy: share of the labels that are rightly called correct or wrong.
        estimated_noise_ratio: the scorer's estimate.
        estimated_low: lower end of its interval.
        estimated_high: upper end of its interval.
        model_error: share of the labels not flagged that held-out predictions miss.
        flagged: share of the labels that are flagged.
        note: why the scorer refused to decide, where it did for some seed.
        test_accuracy: of the model.
    """

    setting: Count
    dataset: str
    noise: str
    noise_ratio: Proportion
    title: str
    scorer: str | None = None
    method: str | None = None
    target: str | None = None
    seeds: Count
    spread: dict[str, NotNegative] = {}
    seconds: NotNegative | None = None
    published: PublishedMislabel | None = None
    told: bool = False
    auc: Proportion | None = None
    precision: Percent | None = None
    recall: Percent | None = None
    accuracy: Percent | None = None
    estimated_noise_ratio: Proportion | None = None
    estimated_low: Figure | None = None
    estimated_high: Figure | None = None
    model_error: Proportion | None = None
    flagged: Proportion | None = None
    note: str | None = None
    test_accuracy: Percent | None = None


class ScoreHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a scorer's scores, of correct and of wrong labels, for one seed.

    Attributes:
        noise: kind of the noise.
        noise_ratio: share of wrong labels.
        scorer: `name` or `name:preset`.
        edges: of the bins, rising.
        correct: number of correct labels in each bin; the key on disk is `right`.
        wrong: number of wrong labels in each bin.

    Raises:
        ValueError: the edges do not rise, or the counts do not fit them.
    """

    noise: str
    noise_ratio: Proportion | None
    scorer: str
    edges: Annotated[tuple[Figure, ...], msgspec.Meta(min_length=2)]
    correct: tuple[Count, ...] = msgspec.field(name="right")
    wrong: tuple[Count, ...]

    def __post_init__(self) -> None:
        if not len(self.correct) == len(self.wrong) == len(self.edges) - 1:
            raise ValueError(f"the histogram of {self.scorer!r} needs one count between any two edges")
        if any(left >= right for left, right in pairwise(self.edges)):
            raise ValueError(f"the edges of the histogram of {self.scorer!r} do not rise")


class MislabelSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of training examples, test examples and classes."""

    train: Count
    test: Count
    classes: Count


class FoundExample(msgspec.Struct, frozen=True, kw_only=True):
    """One of the most suspicious examples, as the report shows it.

    Attributes:
        id: of the example.
        image: PNG in base64.
        label: name of the given class.
        true_label: name of the true class.
    """

    id: str
    image: str
    label: str
    true_label: str


class FoundExamples(msgspec.Struct, frozen=True, kw_only=True):
    """The most suspicious examples of a scorer at one noise, for one seed, the most suspicious first."""

    noise: str
    noise_ratio: Proportion | None
    scorer: str
    examples: tuple[FoundExample, ...]


class MislabelResults(Common, frozen=True, kw_only=True):
    """Results of an experiment with mislabeled examples.

    Attributes:
        rows: of every scorer and method at every noise.
        shown: histograms of the scores at one noise.
        found: what a scorer found at this noise, where examples are images; None in results of earlier versions.
        seeds: of which figures are means.
        sizes: of the data.

    Raises:
        ValueError: a table made of the rows would have holes.
    """

    kind: Literal["mislabel"] = "mislabel"
    rows: Annotated[tuple[MislabelRow, ...], msgspec.Meta(min_length=1)]
    shown: tuple[ScoreHistogram, ...]
    found: FoundExamples | None = None
    seeds: Count
    sizes: MislabelSizes

    def __post_init__(self) -> None:
        settings = {row.setting for row in self.rows}
        settings_of = defaultdict[tuple[str | None, str | None, str | None, bool], set[int]](set)
        for row in self.rows:
            settings_of[row.scorer, row.method, row.target, row.told].add(row.setting)
        for (scorer, method, *_), there in settings_of.items():
            if there != settings:
                raise ValueError(f"the row of {method or scorer!r} is missing for noise {min(settings - there)}")

    @property
    def detections(self) -> list[MislabelRow]:
        """Rows of scorers."""
        return [row for row in self.rows if row.method is None]


Results = ComparisonResults | MislabelResults
"""Results of any kind of experiment."""

_KINDS: dict[str, type[ComparisonResults] | type[MislabelResults]] = {
    "comparison": ComparisonResults,
    "mislabel": MislabelResults,
}


class _Header(msgspec.Struct, frozen=True):
    """What is looked at first."""

    schema: int
    kind: str = "comparison"


def parse_results(data: bytes, where: str) -> Results:
    """Parse the content of a `results.json`; errors name `where`.

    Raises:
        ConfigError: a later version of untrain wrote it.
        IntegrityError: it is not what a run writes.
    """
    try:
        header = msgspec.json.decode(data, type=_Header)
        if header.schema == SCHEMA and header.kind in _KINDS:
            return msgspec.json.decode(data, type=_KINDS[header.kind])
    except (msgspec.DecodeError, RecursionError) as error:
        raise IntegrityError(f"{where} is damaged or incomplete: {error}; run the experiment again") from error
    raise ConfigError(
        f"{where} holds results of kind {header.kind!r} and schema {header.schema}, which this version of untrain does "
        "not know: use the version that wrote it"
    )


def read_results(directory: str | Path) -> Results:
    """The results of a run, from its `results.json`.

    Raises:
        ConfigError: the directory holds no results, or those of a later version of untrain.
        InputError: the file cannot be read.
        IntegrityError: the file is not what a run writes.
    """
    path = Path(directory) / "results.json"
    if not path.is_file():
        raise ConfigError(f"{directory} holds no results.json: has the run finished?")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_results(data, str(path))


def results_text(results: Results) -> bytes:
    """The content of `results.json`."""
    return msgspec.json.format(msgspec.json.encode(results), indent=1)
