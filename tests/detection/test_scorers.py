"""Each scorer finds mislabeled examples and equals its formula."""

import copy
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from tests.detection.toys import DIGITS, RECIPE, build, detect_in, noisy, quality, subject, trained
from tests.influence.problems import Slow, problem
from untrain.core.randomness import Streams
from untrain.core.registry import base_name
from untrain.data import load, mislabel, symmetric_noise
from untrain.detection import SCORERS, detect, inspect
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.cross_validation import cross_validate
from untrain.influence import Curvature
from untrain.models import CNN, factory
from untrain.population import Engine, Population, UntilConverged
from untrain.population.recipe import batch_bounds

BARS = {
    "auto": 0.97,
    "neighbours": 0.97,
    "confident": 0.97,
    "margin": 0.97,
    "linear": 0.97,
    "loss": 0.95,
    "self-influence": 0.95,
    "self-influence:full": 0.95,
    "train-influence": None,  # signed: which end is suspicious depends on how far the model was trained
    "leave-one-out-influence": None,
}


@pytest.mark.parametrize("scorer", list(BARS))
def test_wrong_labels_are_suspicious(scorer: str) -> None:
    noise = noisy()
    found = detect_in(noise, scorer)
    assert found.examples is noise.examples
    assert found.scorer == scorer
    assert found.scores.shape == (300,)
    assert found.scores.dtype == np.float64
    assert np.isfinite(found.scores).all()
    bar = BARS[scorer]
    assert bar is None or roc_auc_score(noise.mislabelled, found.scores) > bar
    assert found.noise_ratio == pytest.approx(0.2, abs=0.03)
    assert found.interval is None or found.interval[0] <= found.noise_ratio <= found.interval[1]
    assert len(set(found.flagged.tolist())) == len(found.flagged)
    assert np.diff(found.scores[found.flagged]).max() <= 0  # the most suspicious first
    if bar == 0.97:
        assert min(quality(noise, found)) > 0.9


@pytest.mark.parametrize(
    ("epochs", "scorer", "low", "high"),
    [
        (0.5, "train-influence", 0, 0.1),  # wrong labels pull against all others
        (2, "train-influence", 0.7, 0.95),
        (2, "train-influence:full", 0.8, 0.95),
        (12, "leave-one-out-influence", 0.1, 0.4),  # near an optimum, self-influence with its sign reversed
    ],
)
def test_signed_influences_turn_round_while_a_model_is_trained(
    epochs: float, scorer: str, low: float, high: float
) -> None:
    noise = noisy()
    models = trained(noise.examples, msgspec.structs.replace(RECIPE, epochs=epochs))
    found = detect(models, noise.examples, scorer=scorer, noise_ratio=0.2)
    assert low <= roc_auc_score(noise.mislabelled, found.scores) <= high


def test_every_scorer_that_is_installed_with_us_has_a_bar() -> None:
    ours = {name for name in SCORERS.names() if SCORERS.origin(name).startswith("untrain ")}
    assert {base_name(name) for name in BARS} == ours


def test_scorers_share_models_of_a_subject_without_a_difference() -> None:
    shared = subject(noisy().examples)
    for scorer in (*BARS, "confident:cleanlab"):
        together, alone = inspect(shared, scorer), detect_in(noisy(), scorer)
        np.testing.assert_array_equal(together.scores, alone.scores)
        assert together.flagged.tolist() == alone.flagged.tolist()


@pytest.mark.parametrize("scorer", list(BARS))
def test_the_model_is_not_changed(scorer: str) -> None:
    noise = noisy()
    models = trained(noise.examples)
    module = models.module().train()
    before, tensors = copy.deepcopy(module.state_dict()), {name: t.clone() for name, t in models.tensors.items()}
    by_module = detect(module, noise.examples, scorer=scorer, factory=build(noise.examples), recipe=RECIPE)
    by_population = detect(models, noise.examples, scorer=scorer, recipe=RECIPE)
    assert module.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    for name, tensor in models.tensors.items():
        assert torch.equal(tensor, tensors[name])
    np.testing.assert_array_equal(by_module.scores, by_population.scores)


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
        detect(models.module(), examples, scorer=scorer, seed=seed, factory=make, recipe=recipe) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.flagged.tolist() == again.flagged.tolist()
    assert np.array_equal(first.scores, other.scores) == (scorer in ("loss", "neighbours"))


def test_the_loss_is_minus_log_softmax() -> None:
    examples = noisy().examples
    module = trained(examples).module()
    logits = module(torch.from_numpy(examples.inputs)).detach().double()
    expected = F.cross_entropy(logits, torch.from_numpy(examples.labels), reduction="none")
    np.testing.assert_allclose(detect_in(noisy(), "loss").scores, expected.numpy(), rtol=1e-5, atol=1e-6)
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
    found = detect(
        models, examples, scorer="margin", seed=3, recipe=msgspec.structs.replace(RECIPE, keep_best_from_epoch=2)
    )
    np.testing.assert_allclose(found.scores, -np.array(totals) / 12, atol=1e-7)
    assert set(found.flagged.tolist()) == {row for row in range(300) if totals[row] < 0}
    assert found.noise_ratio == pytest.approx(sum(total < 0 for total in totals) / 300)


def test_the_margin_is_that_of_all_epochs_where_a_recipe_would_end_earlier() -> None:
    examples = noisy().examples
    whole, ending = (
        detect(trained(examples), examples, scorer="margin", recipe=recipe).scores
        for recipe in (RECIPE, msgspec.structs.replace(RECIPE, until_converged=UntilConverged()))
    )
    np.testing.assert_array_equal(ending, whole)


@pytest.mark.parametrize(("scorer", "prune"), [("confident", "both"), ("confident:cleanlab", "by-noise-rate")])
def test_confident_learning_looks_at_held_out_probabilities(scorer: str, prune: Any) -> None:
    noise = noisy(0.3, spread=0.6)
    asked, labels = subject(noise.examples), noise.examples.labels
    p = np.exp(cross_validate(asked, RECIPE, "confident").log_p)
    joint = confident_joint(p, labels)
    wrong = pruned(p, labels, joint, prune)
    assert wrong.tolist() != pruned(p, labels, joint, "by-class").tolist()
    found = detect_in(noise, scorer)
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
            found = detect(models, examples, scorer=scorer + preset, noise_ratio=0.1)
            np.testing.assert_allclose(found.scores, torch.stack(values).numpy(), rtol=1e-3, atol=1e-7)
            np.testing.assert_array_equal(found.scores, told[scorer])
            assert found.evidence["solve"]["damping"] == damping
