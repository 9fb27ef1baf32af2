import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import untrain as un
from untrain.detection import Finding, Scorer, Subject, read_review, write_review
from untrain.errors import ConfigError, InputError, NotSupportedError, UndecidableError
from untrain.population import Engine, Population, suited
from untrain.workflows.compare import Comparison
from untrain.workflows.repair import _judge, corrected_accuracies

RECIPE = un.Recipe(optimizer=un.SGD(lr=0.1, momentum=0.9), schedule=un.Cosine(), epochs=60, batch_size=32)
SHORT = msgspec.structs.replace(RECIPE, epochs=6)
"""Where it does not matter whether wrong labels are learned by heart."""


class Own(nn.Module):
    """A person's own network, which holds something besides its parameters."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, classes))
        self.version = "mine"

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layers(inputs)
        return logits


class Told(Scorer, frozen=True, tag="told"):
    """Flags what it is told."""

    positions: tuple[int, ...]

    def score(self, subject: Subject) -> Finding:
        wrong = np.zeros(len(subject.labels), dtype=np.bool_)
        wrong[list(self.positions)] = True
        return Finding(scores=wrong.astype(np.float64), wrong=wrong, noise_ratio=float(wrong.mean()))


@dataclass
class Case:
    parts: un.Splits
    noisy: un.Noisy
    original: Population

    @property
    def examples(self) -> un.Examples:
        return self.noisy.examples

    @property
    def wrong(self) -> tuple[int, ...]:
        return tuple(np.flatnonzero(self.noisy.mislabelled).tolist())

    @property
    def module(self) -> nn.Module:
        return self.original.module()


@pytest.fixture(scope="module")
def case() -> Case:
    parts = un.split(un.load("digits"), validation=0.15, test=0.4)
    noisy = un.mislabel(parts.train, un.symmetric_noise(10, 0.3))
    return Case(parts, noisy, Population.create(Own, 1).train(noisy.examples, RECIPE))


def accuracy(module: nn.Module, examples: un.Examples) -> float:
    assert not module.training
    return float(Population.from_module(module).accuracy(examples)[0])


def test_a_repaired_model_is_better_on_clean_data(case: Case) -> None:
    noisy_validation = un.mislabel(case.parts.validation, un.symmetric_noise(10, 0.3), seed=1).examples
    said: list[str] = []
    repaired = un.repair(
        case.module, case.examples, validation=noisy_validation, factory=Own, recipe=RECIPE, progress=said.append
    )
    assert repaired.accepted
    assert repaired.method == "retrain"
    assert repaired.forgotten.tolist() == repaired.suspects.flagged.tolist()
    assert case.noisy.mislabelled[repaired.forgotten].mean() > 0.8
    assert accuracy(repaired.model, case.parts.test) > case.original.accuracy(case.parts.test)[0] + 0.03
    assert repaired.before == accuracy(case.module, noisy_validation)
    assert repaired.after == accuracy(repaired.model, noisy_validation)
    assert repaired.verdict.startswith(f"Accepted: forgetting {len(repaired.forgotten)} examples by retrain")
    forgotten = case.examples.select(repaired.forgotten)
    shares = [f"{100 * accuracy(model, forgotten):.0f} %" for model in (case.module, repaired.model)]
    assert f"The original predicts {shares[0]} of the forgotten labels, the new model {shares[1]}." in repaired.verdict
    assert repaired.measured_on == f"the {len(noisy_validation)} validation examples, labels as given"
    assert said == ["looking for wrong labels", f"forgetting {len(repaired.forgotten)} examples"]


def test_ones_own_class_comes_back_and_what_went_in_is_unchanged(case: Case) -> None:
    module = case.module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    validation = case.parts.validation
    repaired = un.repair(module, case.examples, validation=validation, scorer=Told(positions=case.wrong))
    assert repaired.accepted
    assert repaired.method == "ssse"
    assert isinstance(repaired.model, Own)
    assert repaired.model is not module
    assert repaired.model.version == "mine"
    assert repaired.after == accuracy(repaired.model, validation) > repaired.before
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_the_method_follows_from_what_is_known(case: Case) -> None:
    told, some = Told(positions=tuple(range(20))), case.examples.select(range(200))
    without_recipe = Population.from_module(case.module, factory=Own)
    assert un.repair(without_recipe, some, scorer=told, recipe=RECIPE).method == "retrain"
    assert un.repair(case.original, some, scorer=told).method == "retrain"  # a population knows its recipe
    assert un.repair(without_recipe, some, scorer=told).method == "ssse"
    with pytest.raises(NotSupportedError, match=r"short-retrain:half trains new models; pass .*recipe= "):
        un.repair(without_recipe, some, scorer=told, method="short-retrain:half")


def test_finetuning_follows_the_recipe_where_it_is_known(case: Case) -> None:
    told = Told(positions=case.wrong)
    validation = case.parts.validation
    short = un.repair(case.module, case.examples, validation=validation, scorer=told, method="finetune")
    whole = un.repair(case.module, case.examples, validation=validation, scorer=told, method="finetune", recipe=RECIPE)
    same = case.original.clone().train(
        case.examples.select(np.setdiff1d(np.arange(len(case.examples)), case.wrong)), RECIPE, purpose="finetune"
    )
    for name, tensor in same.module().state_dict().items():
        torch.testing.assert_close(whole.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert whole.after > short.after


def test_a_repair_that_would_hurt_is_refused(case: Case) -> None:
    module = case.module
    threes = np.flatnonzero(case.parts.train.labels == 3)
    told = Told(positions=tuple(threes.tolist()))
    validation = case.parts.validation
    repaired = un.repair(module, case.examples, validation=validation, scorer=told, factory=Own, recipe=RECIPE)
    assert not repaired.accepted
    assert repaired.model is module
    assert repaired.after < repaired.before == accuracy(module, validation)
    assert repaired.forgotten.tolist() == threes.tolist()
    assert repaired.verdict.startswith("Refused: ")
    for share in (repaired.before, repaired.after):
        assert f"{100 * share:.2f} %" in repaired.verdict
    population = un.repair(case.original, case.examples, validation=validation, scorer=told, factory=Own, recipe=RECIPE)
    assert not population.accepted
    assert all(torch.equal(population.model.state_dict()[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(
    ("lost", "won", "accepted", "verdict"),
    [
        (0, 0, True, r"Accepted: .* on them\."), (1, 2, True, r"Accepted: .* on them\."),
        (1, 0, True, r"Accepted: .* The drop is within one standard error .*1\.00 points.*"),
        (2, 0, False, r"Refused: .* The drop exceeds one standard error .*1\.41 points.* original is kept\."),
        (10, 6, True, r"Accepted: .* The drop is within .*4\.00 points.*"),
        (11, 6, False, "Refused: .*4.12 points.*"),
    ],
)  # fmt: skip
def test_a_fall_within_one_standard_error_passes(lost: int, won: int, accepted: bool, verdict: str) -> None:
    before = np.arange(100) < 50
    after = before.copy()
    after[:lost] = False
    after[50 : 50 + won] = True
    got, text = _judge(Comparison.of(before, after), "it", "them")
    assert got == accepted
    assert re.fullmatch(verdict, text)
    assert f"from 50.00 % to {50 - lost + won}.00 % on them" in text


def test_nothing_flagged_changes_nothing(case: Case) -> None:
    module = case.module
    validation = case.parts.validation
    repaired = un.repair(module, case.examples, validation=validation, scorer=Told(positions=()))
    assert repaired.model is module
    assert not repaired.accepted
    assert repaired.before == repaired.after == accuracy(module, validation)
    assert repaired.verdict.startswith("No label was flagged. The model is unchanged")
    assert repr(repaired) == str(repaired) == repaired.verdict


def test_a_review_restricts_what_is_forgotten(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_review(un.detect(case.module, case.examples, scorer=Told(positions=case.wrong)), path)
    head, *lines = path.read_text().splitlines()
    answered = [f"{'yes' if number in (1, 4) else 'no'}{line}" for number, line in enumerate(lines)]
    path.write_text("\n".join([head, *answered]))
    confirmed = [case.wrong[1], case.wrong[4]]
    assert read_review(path, case.examples).tolist() == confirmed
    validation = case.parts.validation
    repaired = un.repair(case.module, case.examples, validation=validation, review=path, method="finetune")
    assert repaired.forgotten.tolist() == confirmed
    assert repaired.suspects.scorer == "review"
    assert repaired.suspects.flagged.tolist() == confirmed
    fresh = un.repair(None, case.examples, review=path, factory=Own, recipe=SHORT)  # they are not held out
    trained = fresh.suspects.examples
    assert trained.ids[fresh.forgotten].tolist() == case.examples.ids[confirmed].tolist()
    assert fresh.suspects.flagged.tolist() == fresh.forgotten.tolist()
    path.write_text(head)
    repaired = un.repair(case.module, case.examples, review=path)
    assert repaired.verdict.startswith("The review confirms no label as wrong")
    path.write_text(f"{head}\nyes,nobody,1,2,1")
    with pytest.raises(InputError, match=r"'nobody'.* line 2"):
        un.repair(None, case.examples, review=path)


def table(count: int) -> un.Examples:
    """Digits as rows of numbers."""
    digits = un.load("digits", limit=count)
    return un.Examples.of(100 * digits.inputs.reshape(count, -1), digits.labels, classes=digits.classes)


def test_nothing_but_data_is_needed_to_detect() -> None:
    """Images take longer; `tests/cli/test_detect.py` has them."""
    said: list[str] = []
    found = un.detect(None, table(900), progress=said.append)
    assert said == ["training a network", "looking for wrong labels"]
    assert found.noise_ratio < 0.02
    assert len(found.flagged) < 20


def test_nothing_but_data_is_needed_to_repair(case: Case) -> None:
    repaired = un.repair(None, case.examples)
    held_out = len(case.examples) - len(repaired.suspects.examples)
    assert held_out == pytest.approx(len(case.examples) / 5, abs=5)
    assert repaired.measured_on == f"{held_out} randomly held-out examples, labels as given"
    assert repaired.method == "retrain"
    wrong = case.noisy.mislabelled[case.examples.positions(repaired.suspects.examples.ids)]
    assert wrong[repaired.forgotten].mean() > 0.9
    assert accuracy(repaired.model, case.parts.test) > 0.85
    same = un.repair(None, table(900), scorer=Told(positions=()))
    assert not same.accepted
    assert same.before > 0.9


def test_a_network_is_trained_by_ones_own_recipe_too(case: Case) -> None:
    told = Told(positions=(0, 1, 2))
    recipe = un.Recipe(optimizer=un.SGD(lr=0.05), epochs=2, keep_best_from_epoch=1)
    repaired = un.repair(None, case.examples, scorer=told, factory=Own, recipe=recipe)
    assert isinstance(repaired.model, Own)
    with pytest.raises(InputError, match="validation examples"):
        un.detect(None, case.examples, scorer=told, factory=Own, recipe=recipe)


def test_tables_have_a_network_that_suits_them() -> None:
    digits = table(600)
    assert isinstance(suited(digits)[0], un.MLP)
    noisy = un.mislabel(digits, un.symmetric_noise(10, 0.2))
    found = un.detect(None, noisy.examples)
    assert noisy.mislabelled[found.flagged].mean() > 0.8
    assert len(found.flagged) > 0.8 * noisy.mislabelled.sum()


def test_what_cannot_be_decided_is_said(case: Case) -> None:
    labels = np.random.default_rng(0).integers(10, size=len(case.examples))
    random = un.Examples.of(case.examples.inputs, labels)
    module = un.Population.create(Own, 1, engine=Engine()).train(random, RECIPE).module()
    with pytest.raises(UndecidableError):
        un.repair(module, random, factory=Own, recipe=RECIPE)
    with pytest.raises(InputError, match="does not fit its training examples"):
        un.repair(case.module, random, factory=Own, recipe=RECIPE)


def never() -> nn.Module:
    raise AssertionError("trained")


def few(case: Case) -> un.Examples:
    return case.examples.select(range(30))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scorer": "guess"}, ConfigError, "'guess'"),
        ({"method": "amnesia"}, ConfigError, "'amnesia'"),
        ({"noise_ratio": 1.5}, InputError, "0..1, got 1.5"),
        ({"review": "/no/such.csv"}, InputError, "/no/such.csv"),
        ({"examples": un.Examples.of(np.zeros((8, 4)), np.zeros(8, dtype=int))}, InputError, "two classes"),
        ({"examples": un.Examples.of(np.zeros((4, 4)), [0, 0, 1, 1])}, InputError, "of 4 examples in 2 classes"),
        ({"model": "model"}, InputError, "got 'model'"),
        ({"examples": 3}, InputError, "int"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(
    case: Case, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    asked: dict[str, Any] = {"model": None, "examples": case.examples, "factory": never}
    with pytest.raises(error, match=message):
        un.repair(**(asked | changes))


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (few, "also in the training set"),
        (lambda case: few(case).select([]), "at least one validation example"),
        (
            lambda case: un.Examples.of(
                few(case).inputs, few(case).labels, classes=["c" + name for name in few(case).classes]
            ),
            "must have the 10 classes .* got the 10 classes c0, c1, c2",
        ),
        (
            lambda case: un.Examples.of(np.zeros((30, 1, 4, 4)), few(case).labels, classes=few(case).classes),
            r"inputs \(1, 8, 8\) .* inputs \(1, 4, 4\)",
        ),
    ],
)
def test_validation_examples_that_do_not_fit_are_refused(
    case: Case, validation: Callable[[Case], un.Examples], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        un.repair(None, case.examples, factory=never, validation=validation(case))


def test_not_everything_can_be_forgotten(case: Case) -> None:
    told = Told(positions=tuple(range(len(case.examples))))
    with pytest.raises(InputError, match="All examples of class '0' would be forgotten"):
        un.repair(case.module, case.examples, validation=case.parts.validation, scorer=told)


def test_a_part_is_held_out_before_detection_and_the_noise_in_it_is_corrected(case: Case) -> None:
    repaired = un.repair(case.module, case.examples, factory=Own, recipe=RECIPE)
    assert len(repaired.suspects.examples) == pytest.approx(0.8 * len(case.examples), abs=6)
    assert repaired.accepted
    assert "corrected for wrong labels among these by the fitted transition" in repaired.verdict
    assert "one with the flagged labels and one without" in repaired.verdict
    assert accuracy(repaired.model, case.parts.test) > case.original.accuracy(case.parts.test)[0]


def test_both_networks_of_a_comparison_keep_their_best_state(case: Case) -> None:
    best = msgspec.structs.replace(RECIPE, epochs=3, keep_best_from_epoch=1)
    first = Told(positions=tuple(range(10)))
    repaired = un.repair(case.module, case.examples, factory=Own, recipe=best, scorer=first)
    assert "one with the flagged labels and one without" in repaired.verdict


def test_forgetting_clean_labels_is_not_accepted_without_validation(case: Case) -> None:
    clean = un.mislabel(case.parts.train, un.symmetric_noise(10, 0)).examples
    original = Population.create(Own, 1).train(clean, RECIPE)
    most = Told(positions=tuple(np.flatnonzero(clean.labels[:450] % 2 == 0).tolist()))
    repaired = un.repair(original, clean, scorer=most)
    assert not repaired.accepted
    assert repaired.after < repaired.before


def test_corrected_accuracies_are_those_on_true_labels() -> None:
    generator = np.random.default_rng(0)
    matrix = un.pair_noise(4, 0.3)
    true = generator.integers(4, size=200_000)
    given = np.array([generator.choice(4, size=int((true == label).sum()), p=matrix[label]) for label in range(4)],
                     dtype=object)  # fmt: skip
    labels = np.empty_like(true)
    for label in range(4):
        labels[true == label] = given[label]
    second = np.where(generator.random(len(true)) < 0.8, true, generator.integers(4, size=len(true)))
    got = corrected_accuracies(second, true, labels, matrix)
    assert got is not None
    assert got.before == pytest.approx((second == true).mean(), abs=0.01)
    assert got.after == pytest.approx(1, abs=0.01)
    assert corrected_accuracies(second, true, labels, np.full((4, 4), 0.25)) is None
