"""How many examples are evaluated at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrain.data import Examples
from untrain.models import CNN, MLP, factory
from untrain.models.inputs import NamedTensors
from untrain.population import Population, evaluation
from untrain.population.evaluation import bytes_of_example, evaluation_batch

CPU = torch.device("cpu")


def test_the_largest_activation_counts() -> None:
    images = torch.zeros(2, 3, 8, 8)
    assert bytes_of_example(factory(CNN(widths=(40, 8)), (3, 8, 8), 2)(), images) == 4 * 40 * 4 * 4
    assert bytes_of_example(factory(MLP(widths=(5,)), (3, 8, 8), 2)(), images) == 4 * 3 * 8 * 8  # the input
    assert bytes_of_example(nn.Linear(4, 9).double(), torch.zeros(1, 4).double()) == 8 * 9


def test_named_inputs_and_random_layers_will_do() -> None:
    class Named(nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return nn.functional.dropout(first + second)

    named = NamedTensors({"first": torch.zeros(3, 6), "second": torch.zeros(3, 6)})
    before = torch.get_rng_state()
    assert bytes_of_example(Named(), named) == 24
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("example_bytes", "expected"), [(2**12, 1024), (2**12 + 1, 512), (0, 16_384), (2**30, 16), (2**18, 16)]
)
def test_a_batch_is_a_power_of_two_that_fits(example_bytes: int, expected: int) -> None:
    assert evaluation_batch(example_bytes, CPU) == expected


@pytest.mark.parametrize("batch", [1, 7, 16_384])
def test_logits_do_not_depend_on_the_batch(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Examples.of(np.random.default_rng(0).normal(size=(40, 1, 8, 8)), np.arange(40) % 3)
    models = Population.create(factory(CNN(), (1, 8, 8), 3), 3, dtype=torch.float64)
    expected = models.logits(examples)
    for name in ("_FEWEST", "_MOST"):
        monkeypatch.setattr(evaluation, name, batch)
    torch.testing.assert_close(models.logits(examples), expected, rtol=0, atol=1e-12)
