"""Labels that are drawn, and a teacher's predictions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import population
from untrain.data import Examples
from untrain.methods.targets import divergence, drawn_labels, relabeled
from untrain.population import Batch


@pytest.mark.parametrize("wrong", [True, False])
def test_random_labels_are_uniform_and_each_models_own(wrong: bool) -> None:
    models = population(count=3)
    generator = np.random.default_rng(1)
    many = Examples.of(generator.normal(size=(6000, 1)), generator.integers(4, size=6000))
    drawn = drawn_labels(models, many, "labels", wrong=wrong)
    true = torch.from_numpy(many.labels)
    assert drawn.shape == (3, 6000)
    for label in range(4):
        shares = torch.stack([torch.bincount(row[true == label], minlength=4) / (true == label).sum() for row in drawn])
        expected = torch.full((4,), 1 / 3 if wrong else 1 / 4)
        if wrong:
            expected[label] = 0
            assert bool((shares[:, label] == 0).all())
        torch.testing.assert_close(shares, expected.expand(3, -1), rtol=0, atol=0.05)
    assert (drawn[0] == drawn[1]).double().mean() < 0.4
    torch.testing.assert_close(drawn_labels(models.select([2]), many, "labels", wrong=wrong)[0], drawn[2])


def test_labels_of_ones_own_replace_those_given() -> None:
    logits = torch.randn(2, 2, 3, dtype=torch.float64)
    given, positions = torch.tensor([[0, 2], [1, 1]]), torch.tensor([[2, 0], [1, 2]])
    batch = Batch(logits, torch.zeros(2, 2).long(), positions, slice(1, 3), None, {}, given=given)
    expected = [F.cross_entropy(logits[0], given[0]), F.cross_entropy(logits[1], given[1])]
    torch.testing.assert_close(relabeled(batch), torch.stack(expected))


def test_divergence_is_torchs() -> None:
    teacher, student = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    for model in range(2):
        expected = F.kl_div((student[model] / 3).log_softmax(1), (teacher[model] / 3).softmax(1), reduction="batchmean")
        torch.testing.assert_close(divergence(teacher, student, 3.0)[model].mean(), expected)
