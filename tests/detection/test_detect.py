"""Each scorer finds wrong labels and equals its formula; what cannot be answered is refused with a sentence."""

import copy
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from tests.detection.toys import RECIPE, blobs, build, noisy, subject, trained
from tests.influence.problems import Slow, problem
from untrain.core.randomness import Streams
from untrain.data import Examples, Noisy, load, mislabel, pair_noise, symmetric_noise
from untrain.detection import SCORERS, Finding, Scorer, Subject, Suspects, build_scorer, detect, inspect
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.cross_validation import cross_validate
from untrain.detection.scorers.auto import Auto
from untrain.errors import ConfigError, InputError, NotSupportedError, UndecidableError
from untrain.influence import Curvature
from untrain.models import CNN, MLP, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe
from untrain.population.recipe import batch_bounds
from untrain.population.training import Training

DIGITS = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15, batch_size=64
)  # as in the packaged experiment
MNIST = Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=20, batch_size=32)
BARS = {
    "auto": 0.97,
    "neighbours": 0.97,
    "confident": 0.97,
    "margin": 0.97,
    "loss": 0.95,
    "self-influence": 0.95,
    "self-influence:full": 0.95,
    "train-influence": None,  # signed: which end is suspicious depends on how far the model was trained
    "leave-one-out-influence": None,
}


def found_in(noise: Noisy, scorer: str | Scorer = "auto", noise_ratio: float | None = None, seed: int = 0) -> Suspects:
    models = trained(noise.examples, seed=seed)
    return detect(models, noise.examples, scorer, noise_ratio, seed, recipe=RECIPE)


def quality(noise: Noisy, found: Suspects) -> tuple[float, float]:
    """Precision and recall."""
    right = sum(bool(noise.mislabelled[position]) for position in found.flagged)
    return right / len(found.flagged), right / int(noise.mislabelled.sum())


# Every scorer


@pytest.mark.parametrize("scorer", list(BARS))
def test_wrong_labels_are_suspicious(scorer: str) -> None:
    noise = noisy()
    found = found_in(noise, scorer)
    assert found.examples is noise.examples
    assert found.scorer == scorer
    assert found.scores.shape == (300,)
    assert found.scores.dtype == np.float64
    assert np.isfinite(found.scores).all()
    bar = BARS[scorer]
    assert bar is None or roc_auc_score(noise.mislabelled, found.scores) > bar
    assert found.noise_ratio == pytest.approx(0.2, abs=0.03)
    assert found.interval[0] <= found.noise_ratio <= found.interval[1]
    assert len(set(found.flagged.tolist())) == len(found.flagged)
    assert np.diff(found.scores[found.flagged]).max() <= 0  # the most suspicious first
    if bar == 0.97:
        assert min(quality(noise, found)) > 0.9


def test_signed_influences_turn_round_while_a_model_is_trained() -> None:
    noise = noisy()
    for epochs, scorer, low, high in (
        (0.5, "train-influence", 0, 0.1),  # wrong labels pull against all others
        (2, "train-influence", 0.7, 0.95),
        (2, "train-influence:full", 0.8, 0.95),
        (12, "leave-one-out-influence", 0.1, 0.4),  # near an optimum, the influence on itself with its sign turned
    ):
        models = trained(noise.examples, msgspec.structs.replace(RECIPE, epochs=epochs))
        found = detect(models, noise.examples, scorer, 0.2)
        assert low <= roc_auc_score(noise.mislabelled, found.scores) <= high


def test_every_scorer_that_is_installed_with_us_has_a_bar() -> None:
    ours = {name for name in SCORERS.names() if SCORERS.origin(name).startswith("untrain ")}
    assert {name.partition(":")[0] for name in BARS} == ours


@pytest.mark.parametrize("ratio", [0, 0.1, 0.335, 1])
@pytest.mark.parametrize("scorer", ["loss", "neighbours"])
def test_a_known_ratio_flags_so_many_of_the_highest_scores(scorer: str, ratio: float) -> None:
    found = found_in(noisy(), scorer, ratio)
    ranked = sorted(range(300), key=lambda position: -found.scores[position])
    assert found.flagged.tolist() == ranked[: round(300 * ratio)]
    assert (found.noise_ratio, found.interval) == (ratio, (ratio, ratio))


def test_what_only_ranks_asks_neighbours_how_many() -> None:
    ranked, asked = found_in(noisy(), "loss"), found_in(noisy(), "neighbours")
    assert ranked.evidence["note"] == "loss only ranks; the noise ratio is that of neighbours"
    assert (ranked.noise_ratio, ranked.interval, ranked.model_error) == (
        asked.noise_ratio,
        asked.interval,
        asked.model_error,
    )
    assert len(ranked.flagged) == round(300 * asked.noise_ratio)
    assert "note" not in asked.evidence
    assert "note" not in found_in(noisy(), "loss", 0.2).evidence


def test_scorers_of_one_subject_share_without_a_difference() -> None:
    shared = subject(noisy().examples)
    for scorer in (*BARS, "confident:cleanlab"):
        together, alone = inspect(shared, scorer), found_in(noisy(), scorer)
        np.testing.assert_array_equal(together.scores, alone.scores)
        assert together.flagged.tolist() == alone.flagged.tolist()


@pytest.mark.parametrize("scorer", ["auto", "margin", "loss", "neighbours"])
def test_the_same_seed_gives_the_same_bits_since_nothing_is_measured(
    scorer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("what is fastest was measured")

    examples = mislabel(load("digits", limit=150, classes=["0", "1", "2"]), symmetric_noise(3, 0.2)).examples
    make = factory(CNN(widths=(4,)), (1, 8, 8), 3)
    recipe = msgspec.structs.replace(DIGITS, epochs=4, batch_size=16)
    models = Population.create(make, 1, engine=Engine()).train(examples, recipe)
    monkeypatch.setattr("untrain.population.population.choose_engine", measured)
    first, again, other = (
        detect(models.module(), examples, scorer, seed=seed, factory=make, recipe=recipe) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.flagged.tolist() == again.flagged.tolist()
    assert np.array_equal(first.scores, other.scores) == (scorer in ("loss", "neighbours"))


@pytest.mark.parametrize("scorer", list(BARS))
def test_the_model_is_not_changed(scorer: str) -> None:
    noise = noisy()
    models = trained(noise.examples)
    module = models.module().train()
    before, tensors = copy.deepcopy(module.state_dict()), {name: t.clone() for name, t in models.tensors.items()}
    by_module = detect(module, noise.examples, scorer, factory=build(noise.examples), recipe=RECIPE)
    by_population = detect(models, noise.examples, scorer, recipe=RECIPE)
    assert module.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    for name, tensor in models.tensors.items():
        assert torch.equal(tensor, tensors[name])
    np.testing.assert_array_equal(by_module.scores, by_population.scores)


def test_without_a_model_one_that_suits_is_trained_first() -> None:
    said: list[str] = []
    found = detect(None, noisy().examples, progress=said.append)
    assert min(quality(noisy(), found)) > 0.85
    assert said == ["training a network", "looking for wrong labels"]


# Each equals its formula


def test_the_loss_is_minus_log_softmax() -> None:
    examples = noisy().examples
    module = trained(examples).module()
    logits = module(torch.from_numpy(examples.inputs)).detach().double()
    expected = F.cross_entropy(logits, torch.from_numpy(examples.labels), reduction="none")
    np.testing.assert_allclose(found_in(noisy(), "loss").scores, expected.numpy(), rtol=1e-5, atol=1e-6)
    by_hand = [-float(row[label] - row.exp().sum().log()) for row, label in zip(logits, examples.labels, strict=True)]
    np.testing.assert_allclose(expected.numpy(), by_hand, atol=1e-12)


def test_the_area_under_the_margin_is_that_of_an_ordinary_loop() -> None:
    examples = noisy().examples
    streams = Streams(3).child("detect", "margin")
    module = Population.create(build(examples), 1, seed=streams, dtype=torch.float64).module().train()
    x, y = torch.from_numpy(examples.inputs).double(), torch.from_numpy(examples.labels)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    totals = [0.0] * 300
    for epoch in range(12):
        order = streams.generator("train/order", 0, epoch).permutation(300)
        for first, last in batch_bounds(300, 16):
            rows = torch.from_numpy(order[first:last])
            optimizer.zero_grad()
            F.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
        for row, logits in enumerate(module(x).tolist()):
            others = [logit for label, logit in enumerate(logits) if label != examples.labels[row]]
            totals[row] += logits[examples.labels[row]] - max(others)
    models = trained(examples, dtype=torch.float64)
    found = detect(models, examples, "margin", seed=3, recipe=msgspec.structs.replace(RECIPE, best_from=2))
    np.testing.assert_allclose(found.scores, -np.array(totals) / 12, atol=1e-7)
    assert set(found.flagged.tolist()) == {row for row in range(300) if totals[row] < 0}
    assert found.noise_ratio == pytest.approx(sum(total < 0 for total in totals) / 300)


@pytest.mark.parametrize(("scorer", "prune"), [("confident", "both"), ("confident:cleanlab", "by-noise-rate")])
def test_confident_learning_looks_at_held_out_probabilities(scorer: str, prune: Any) -> None:
    noise = noisy(0.3, spread=0.6)
    asked, labels = subject(noise.examples), noise.examples.labels
    p = np.exp(cross_validate(asked, RECIPE, "confident").log_p[-1])
    joint = confident_joint(p, labels)
    wrong = pruned(p, labels, joint, prune)
    assert wrong.tolist() != pruned(p, labels, joint, "by-class").tolist()
    found = found_in(noise, scorer)
    np.testing.assert_array_equal(found.scores, [1 - row[label] for row, label in zip(p, labels, strict=True)])
    assert set(found.flagged.tolist()) == set(np.flatnonzero(wrong).tolist())
    assert found.noise_ratio == pytest.approx(1 - joint.trace() / 300)
    missed = [p[row].argmax() != labels[row] for row in range(300) if not wrong[row]]
    assert found.model_error == pytest.approx(sum(missed) / len(missed))
    assert found.suggested is not None
    assert found.suggested.tolist() == p.argmax(1).tolist()


@pytest.mark.parametrize("name", ["binary", "mlp", "cnn"])
def test_influence_scores_are_those_of_dense_matrices(name: str) -> None:
    models, examples = problem(name, count=30)
    ending = [key for key in models.tensors if key.endswith("weight")][-1]
    for preset, names, damping in (
        ("", [ending], 0.0),
        (":full", list(dict(models.module().named_parameters())), 1e-3),
    ):
        slow = Slow(models, examples, names)
        matrix, gradients = slow.gauss_newton(), slow.gradients()
        inverted = (
            torch.linalg.pinv(matrix) if damping == 0 else torch.linalg.inv(matrix + damping * torch.eye(len(matrix)))
        )
        mean = gradients.mean(0)
        expected = {
            "self-influence": [g @ inverted @ g for g in gradients],
            "train-influence": [mean @ inverted @ g for g in gradients],
            "leave-one-out-influence": [(30 * mean - g) / 29 @ inverted @ g for g in gradients],
        }
        which: Any = "all" if preset else "last-weight"
        ours = Curvature(parameters=which, damping=damping).fit(models, examples)
        told = {
            "self-influence": ours.self_influence(),
            "train-influence": ours.train_influence(),
            "leave-one-out-influence": ours.leave_one_out(),
        }
        for scorer, values in expected.items():
            found = detect(models, examples, scorer + preset, noise_ratio=0.1)
            np.testing.assert_allclose(found.scores, torch.stack(values).numpy(), rtol=1e-3, atol=1e-7)
            np.testing.assert_array_equal(found.scores, told[scorer])
            assert found.evidence["solve"]["damping"] == damping


def test_the_interval_is_wilsons_lowered_by_the_models_own_error() -> None:
    for ratio, error in ((0.0, 0.0), (0.2, 0.0), (0.2, 0.03), (0.01, 0.5), (1.0, 0.0)):
        found = found_in(noisy(), Told(ratio=ratio, error=error))
        # A true share p and what is seen differ by 1.96 standard errors of p at both ends.
        square = 1.96**2 / 300
        low, high = sorted(np.roots([1 + square, -2 * ratio - square, ratio**2]).real)
        assert found.interval == pytest.approx((max(0, low - error), min(1, high)), abs=1e-9)
        assert found.model_error == error


# Auto


def test_auto_says_what_it_believes() -> None:
    noise = noisy()
    found = found_in(noise)
    assert found.scores.min() >= 0
    assert found.scores.max() <= 1
    assert set(found.flagged.tolist()) == set(np.flatnonzero(found.scores > 0.5).tolist())
    assert found.noise_ratio == pytest.approx(found.scores.mean())
    assert found.suggested is not None
    assert (found.suggested == noise.true_labels).mean() > 0.95
    np.testing.assert_allclose(found.evidence["transition"], symmetric_noise(3, 0.2), atol=0.08)
    msgspec.json.encode(found.evidence)  # plain values


def test_auto_costs_at_most_two_trainings_and_three_on_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[int] = []
    original = Training._run_epoch

    def counted(self: Training, chunk: Any, optimizer: Any, examples: Any, epoch: int, bounds: Any, *rest: Any) -> None:
        visits.append(chunk.size * bounds[-1][1])
        original(self, chunk, optimizer, examples, epoch, bounds, *rest)

    models, examples = trained(noisy().examples), noisy().examples
    monkeypatch.setattr(Training, "_run_epoch", counted)
    detect(models, examples, recipe=msgspec.structs.replace(RECIPE, epochs=8))
    trainings = sum(visits) / (8 * 300)
    assert 2 + 3 * 0.6 < trainings <= 2 + 3 * 0.82


@pytest.mark.parametrize("missing", ["factory", "recipe", "both"])
def test_auto_falls_back_to_neighbours_and_says_so(missing: str) -> None:
    examples = noisy().examples
    module = trained(examples).module()
    make = build(examples) if missing == "recipe" else None
    found = detect(module, examples, factory=make, recipe=RECIPE if missing == "factory" else None)
    other = detect(module, examples, "neighbours")
    assert found.evidence["note"].startswith("auto fell back to neighbours")
    assert found.scorer == "auto"
    np.testing.assert_array_equal(found.scores, other.scores)
    assert found.flagged.tolist() == other.flagged.tolist()
    assert (found.noise_ratio, found.interval) == (other.noise_ratio, other.interval)


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_cannot_be_decided(seed: int) -> None:
    clean = blobs(400, classes=2, seed=seed)
    noise = Examples.of(clean.inputs, np.random.default_rng(seed).integers(2, size=400))
    with pytest.raises(UndecidableError, match=r"nothing can be known .* agree with \d\d\.\d % .* no better"):
        detect(trained(noise), noise, recipe=RECIPE, seed=seed)


def test_a_network_that_learns_nothing_cannot_decide() -> None:
    examples = noisy().examples
    lazy = msgspec.structs.replace(RECIPE, optimizer=SGD(lr=1e-9))
    with pytest.raises(UndecidableError, match="or the network cannot learn the task"):
        detect(trained(examples, lazy), examples, recipe=lazy)


def test_any_class_may_be_taken_for_any_other() -> None:
    noise = mislabel(blobs(500, spread=0.35), pair_noise(3, 0.3), exact=True)
    found = found_in(noise)
    assert min(quality(noise, found)) > 0.9
    np.testing.assert_allclose(found.evidence["transition"], pair_noise(3, 0.3), atol=0.1)


def test_a_rare_class_leaves_numbers() -> None:
    clean = blobs(200, classes=2)
    labels = clean.labels.copy()
    labels[:2] = 2  # two examples that look like any other
    examples = Examples.of(clean.inputs, labels)
    found = detect(trained(examples), examples, recipe=RECIPE)
    assert np.isfinite(found.scores).all()
    assert found.noise_ratio == pytest.approx(0.01, abs=0.03)


def test_a_class_to_which_the_joint_gives_nobody_leaves_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_class_two(probabilities: Any, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        counts = np.bincount(labels)
        return np.array([[counts[0], 0, 0], [0, counts[1], 0], [counts[2], 0, 0]])

    monkeypatch.setattr("untrain.detection.scorers.auto.confident_joint", without_class_two)
    found = found_in(noisy())
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(np.sum(found.evidence["transition"], axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("scorer", ["auto", "neighbours"])
def test_clean_digits_are_left_alone(scorer: str) -> None:
    digits = load("digits")
    models = Population.create(factory(CNN(widths=(8, 16)), (1, 8, 8), 10), 1, engine=Engine()).train(digits, DIGITS)
    found = detect(models, digits, scorer, recipe=DIGITS)
    assert len(found.flagged) <= 0.01 * len(digits)
    assert found.noise_ratio <= 0.01
    assert found.interval[0] == 0


@pytest.mark.parametrize("ratio", [0.1, 0.2])
def test_the_interval_contains_the_truth(ratio: float) -> None:
    for seed in range(3):
        noise = noisy(ratio, seed=seed)
        low, high = found_in(noise, seed=seed).interval
        assert low <= noise.ratio <= high


@pytest.mark.slow
@pytest.mark.parametrize("matrix", [symmetric_noise, pair_noise])
@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3])
def test_the_interval_contains_the_truth_nineteen_times_in_twenty(
    matrix: Callable[[int, float], npt.NDArray[np.float64]], ratio: float
) -> None:
    covered = []
    for seed in range(10):
        noise = mislabel(load("digits"), matrix(10, ratio), seed=seed)
        make = factory(CNN(widths=(8, 16)), (1, 8, 8), 10)
        models = Population.create(make, 1, seed=seed, engine=Engine()).train(noise.examples, DIGITS)
        low, high = detect(models, noise.examples, seed=seed, recipe=DIGITS).interval
        covered.append(low <= noise.ratio <= high)
    assert sum(covered) >= 9


def zeros_and_ones(data_dir: Path, ratio: float, seed: int) -> tuple[Noisy, Suspects]:
    """The study's problem: a thousand images of each class, two hidden layers of 50."""
    clean = load("mnist", data_dir=data_dir, classes=["0", "1"], per_class=1000, seed=seed)
    noise = mislabel(clean, symmetric_noise(2, ratio), exact=True, seed=seed)
    make = factory(MLP(widths=(50, 50)), (1, 28, 28), 2)
    models = Population.create(make, 1, seed=seed, engine=Engine()).train(noise.examples, MNIST)
    return noise, detect(models, noise.examples, recipe=MNIST, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_heavy_noise_among_zeros_and_ones(data_dir: Path, seed: int) -> None:
    noise, found = zeros_and_ones(data_dir, 0.4, seed)
    assert min(quality(noise, found)) >= 0.98
    assert found.noise_ratio == pytest.approx(0.4, abs=0.015)
    assert found.interval[0] <= 0.4 <= found.interval[1]


def test_clean_zeros_and_ones_are_left_alone(data_dir: Path) -> None:
    _, found = zeros_and_ones(data_dir, 0, 0)
    assert len(found.flagged) <= 0.01 * 2000


# A scorer of one's own


class Told(Scorer, frozen=True, tag="told"):
    """Says what it is told."""

    ratio: float | None = 0.2
    error: float | None = None
    kind: str = "fine"

    def score(self, subject: Subject) -> Finding:
        scores = np.arange(float(len(subject.labels)))
        wrong = None
        if self.kind == "nan":
            scores[3] = np.nan
        elif self.kind == "infinite":
            scores[5] = np.inf
        elif self.kind == "short":
            scores = scores[:-1]
        elif self.kind == "column":
            scores = scores[:, None]
        elif self.kind == "flags":
            wrong = scores >= 250
        elif self.kind == "short flags":
            wrong = scores[:7] > 3
        return Finding(scores, wrong=wrong, noise_ratio=self.ratio, model_error=self.error)


class Nameless(Scorer, frozen=True):
    def score(self, subject: Subject) -> Finding:
        return Finding(np.zeros(len(subject.labels)), noise_ratio=0.0)


def test_a_plug_in_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"told": EntryPoint("told", "tests.detection.test_detect:Told", "untrain.scorers")}
    monkeypatch.setattr(SCORERS, "_points", points)
    assert build_scorer("told", settings={"ratio": 0.5}) == Told(ratio=0.5)
    found = detect(trained(noisy().examples), noisy().examples, "told")
    assert found.scorer == "told"
    assert found.flagged.tolist() == list(range(299, 239, -1))
    with pytest.raises(ConfigError, match="one of the scorers told, got 'loss'"):
        found_in(noisy(), "loss")


def test_a_scorer_may_flag_without_a_ratio_or_have_no_name() -> None:
    found = found_in(noisy(), Told(ratio=None, kind="flags"))
    assert found.flagged.tolist() == list(range(299, 249, -1))
    assert found.noise_ratio == pytest.approx(50 / 300)
    assert "note" not in found.evidence
    assert found_in(noisy(), Told(ratio=0.5, kind="flags")).flagged.tolist() == found.flagged.tolist()
    nobody = found_in(noisy(), Nameless())
    assert (nobody.scorer, nobody.noise_ratio, len(nobody.flagged)) == ("Nameless", 0, 0)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Told(kind="nan"), "finite scores from told, got nan for example 3"),
        (Told(kind="infinite"), "finite scores from told, got inf for example 5"),
        (Told(kind="short"), r"300 scores from told, got shape \(299,\)"),
        (Told(kind="column"), r"300 scores from told, got shape \(300, 1\)"),
        (Told(kind="short flags"), r"300 booleans from told .*, got bool of shape \(7,\)"),
        (Told(ratio=1.5), "noise ratio in 0..1 from told, got 1.5"),
        (Told(ratio=float("nan")), "noise ratio in 0..1 from told, got nan"),
    ],
)
def test_what_a_scorer_must_not_say_is_refused(scorer: Scorer, message: str) -> None:
    with pytest.raises(InputError, match=message):
        found_in(noisy(), scorer)


# What cannot be answered


class Squeezed(nn.Module):
    """One logit an example, without an axis for classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.Tensor(self.layer(x)[:, 0])


def ruined() -> nn.Module:
    module = trained(noisy().examples).module()
    next(iter(module.parameters())).data[0, 0] = float("nan")
    return module


def with_labels(labels: Any, classes: list[str] | None = None) -> Examples:
    return Examples.of(np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32), labels, None, classes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: (None, with_labels([0, 1] * 10, ["a", "b", "c"])), "two examples of each class, got 0 of class 'c'"),
        (lambda: (None, with_labels([0, 1] * 10 + [2])), "two examples of each class, got 1 of class '2'"),
        (lambda: (None, with_labels([0] * 20)), "at least two classes, got 1"),
        (lambda: (nn.Linear(4, 5), noisy().examples), r"with 3 logits, .* got shape \(5,\)"),
        (lambda: (Squeezed(), noisy().examples), r"with 3 logits, .* got shape \(\)"),
        (lambda: (ruined(), noisy().examples), "finite logits, got NaN or infinity for example blob .*diverged"),
        (lambda: (Population.create(build(noisy().examples), 2), noisy().examples), "one model, got 2.*`select`"),
        (lambda: ("model.pt", noisy().examples), "torch module or a population as model, got str"),
        (lambda: (nn.Linear(4, 3), noisy().examples.inputs), "must be Examples, .* got ndarray"),
    ],
)
def test_models_and_examples_that_do_not_fit_are_refused(make: Callable[[], Any], message: str) -> None:
    model, examples = make()
    with pytest.raises(InputError, match=message):
        detect(model, examples, recipe=RECIPE)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=f"noise ratio in 0..1, got {ratio}"):
        found_in(noisy(), "loss", ratio)


def test_unknown_scorers_are_refused() -> None:
    nobody: Any = Auto
    with pytest.raises(InputError, match="name of a scorer or a Scorer, got StructMeta"):
        found_in(noisy(), nobody)
    for scorer, message in (("magic", "scorers auto, .*got 'magic'"), ("auto:fast", r"presets \(none\) of auto")):
        with pytest.raises(ConfigError, match=message):
            found_in(noisy(), scorer)


@pytest.mark.parametrize("scorer", ["confident", "margin"])
def test_what_trains_needs_factory_and_recipe(scorer: str) -> None:
    examples = noisy().examples
    models = trained(examples)
    for model, recipe in ((models, None), (models.module(), RECIPE)):
        with pytest.raises(NotSupportedError, match=f"since {scorer} trains models .* take neighbours"):
            detect(model, examples, scorer, recipe=recipe)


def test_a_network_without_a_linear_end_can_only_be_ranked() -> None:
    examples = noisy().examples
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    with pytest.raises(
        NotSupportedError, match=r"loss only ranks, and nobody can estimate .*linear layer whose output"
    ):
        detect(module, examples, "loss")
    assert len(detect(module, examples, "loss", 0.1).flagged) == 30
    for scorer in ("auto", "neighbours", "self-influence"):
        with pytest.raises(NotSupportedError, match="linear layer whose output is the logits"):
            detect(module, examples, scorer, 0.1)


def test_too_few_examples_for_folds_are_refused() -> None:
    examples = with_labels([0, 1] * 4)
    models = Population.create(build(examples), 1, engine=Engine())
    for scorer in (Auto(), build_scorer("confident")):
        with pytest.raises(InputError, match="at least 10 examples for 5 folds, got 8"):
            detect(models, examples, scorer, recipe=RECIPE)
    assert len(detect(models, examples, "neighbours").scores) == 8
