"""Pseudo labels."""

from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import STEP, assert_same, copied, population, request, step, tensors
from untrain.data import Examples
from untrain.methods import build_method
from untrain.methods.pseudo_labels import PseudoLabels
from untrain.methods.transpose import Transpose
from untrain.population import Training


def test_examples_are_chosen_by_how_far_the_prediction_moved() -> None:
    models = population(count=2)
    before = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    after = torch.tensor(
        [
            [[0.85, 0.15, 0.0], [0.6, 0.1, 0.3], [0.45, 0.55, 0.0], [0.5, 0.3, 0.2]],  # moved by 0.05, 0.3, 0.05, 0.3
            [[0.0, 1.0, 0.0], [0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.2, 0.35, 0.45]],  # by 0.9, 0, 0.2, 0.05
        ],
        dtype=torch.float64,
    )
    found = PseudoLabels().subsets(models, before.expand(2, -1, -1), after, 30)
    assert found.shape == (2, 34)
    for row, chosen in enumerate(({1, 3}, {0, 2})):
        assert {position for position in range(4) if found[row, position] == position} == chosen
        instead = [found[row, position] for position in range(4) if position not in chosen]
        assert all(4 <= position < 34 for position in instead)
        assert found[row, 4:].tolist() == list(range(4, 34))
    strict = PseudoLabels(change=0.5).subsets(models, before.expand(2, -1, -1), after, 30)
    assert [(strict[row, :4] < 4).tolist() for row in range(2)] == [[False] * 4, [True, False, False, False]]
    more = torch.full((2, 50, 3), 1 / 3)
    assert set(PseudoLabels().subsets(models, more, more, 3)[0].tolist()) == {50, 51, 52}
    assert not np.array_equal(*PseudoLabels().subsets(models, more, more, 3))


def test_the_two_predictions_are_the_originals_and_the_transposed_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    simple = msgspec.structs.replace(STEP, epochs=6, batch_size=16)
    original = models.module()
    unlearned = Transpose(recipe=simple).forget(models.clone(), asked)
    seen: list[tuple[Examples, Any]] = []
    run = Training.run

    def watched(self: Training, part: Examples, *, subsets: Any = None, **options: Any) -> None:
        if subsets is None:
            run(self, part, **options)
        else:
            seen.append((part, subsets))

    monkeypatch.setattr(Training, "run", watched)
    before = copied(models)
    PseudoLabels(simple=simple, change=0.2).forget(models, asked)
    assert all(torch.equal(before[name], tensor) for name, tensor in models.tensors.items())
    [(part, subsets)] = seen
    assert part.ids.tolist() == [*asked.forget.ids, *asked.retain.ids]
    decisions = []
    for row in range(2):
        old, new = (
            module(tensors(asked.forget)[0]).softmax(1).tolist() for module in (original, unlearned.module(row))
        )
        for position in range(len(asked.forget)):
            apart = sum(abs(old[position][kind] - new[position][kind]) for kind in range(3)) / 2
            assert (subsets[row, position] == position) == (apart > 0.2)
            decisions.append(apart > 0.2)
    assert 0 < sum(decisions) < len(decisions)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_pseudo_labels_are_learned_by_the_steps_of_plain_torch(balance: float) -> None:
    models, asked = population(), request()
    recipe = msgspec.structs.replace(STEP, class_balance=balance)
    plain = models.clone()
    unlearned = Transpose(recipe=STEP).forget(models.clone(), asked)
    PseudoLabels(change=0.0, simple=STEP, recipe=recipe).forget(models, asked)
    counts = np.bincount(asked.training_set.labels, minlength=3)
    weights = torch.from_numpy(counts.astype(float) ** -balance)
    for row in range(2):
        module = plain.module(row).train()
        with torch.no_grad():
            pseudo = unlearned.module(row)(tensors(asked.forget)[0]).softmax(1)
        wanted = torch.cat([pseudo, F.one_hot(tensors(asked.retain)[1], 3).double()])
        log_p = module(tensors(asked.training_set)[0]).log_softmax(1)
        total, mass = torch.zeros(()).double(), torch.zeros(()).double()
        for example in range(len(wanted)):
            for kind in range(3):
                total = total - weights[kind] * wanted[example, kind] * log_p[example, kind]
                mass = mass + weights[kind] * wanted[example, kind]
        step(module, recipe, total / mass)
        assert_same(models, row, module)


def test_small_takes_the_simply_unlearned_model_from_transpose() -> None:
    small, transposed = build_method("pseudo-labels:small"), build_method("transpose:small")
    assert isinstance(small, PseudoLabels)
    assert isinstance(transposed, Transpose)
    assert small.simple == transposed.recipe
