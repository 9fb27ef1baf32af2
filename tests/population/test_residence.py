"""Examples on a device, once for a process."""

import gc
import weakref

import numpy as np
import pytest
import torch

from untrain.data import Examples
from untrain.population import residence
from untrain.population.residence import resident

CPU = torch.device("cpu")


def some(count: int = 6) -> Examples:
    return Examples.of(np.random.default_rng(count).normal(size=(count, 4)), np.arange(count) % 2)


def test_all_models_share_the_same_tensors() -> None:
    examples = some()
    inputs, labels = resident(examples, CPU, torch.float32)
    assert resident(examples, CPU, torch.float32)[0] is inputs
    assert isinstance(inputs, torch.Tensor)
    assert inputs.dtype == torch.float32
    np.testing.assert_array_equal(labels.numpy(), examples.labels)
    np.testing.assert_array_equal(inputs.numpy(), examples.inputs.astype(np.float32))
    assert resident(some(), CPU, torch.float32)[0] is not inputs
    assert resident(examples, CPU, torch.float64)[0] is not inputs


def test_examples_go_when_nobody_uses_them() -> None:
    examples = some(7)
    labels = weakref.ref(resident(examples, CPU, torch.float32)[1])
    assert labels() is not None
    del examples
    gc.collect()
    assert labels() is None


def test_the_least_recently_used_goes_first_and_the_last_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (some(count) for count in (10, 11, 12))
    monkeypatch.setattr(residence, "_CPU_BYTES", 16 * 22)  # of two sets in float32
    kept = [resident(examples, CPU, torch.float32)[0] for examples in (first, second)]
    assert resident(first, CPU, torch.float32)[0] is kept[0]
    resident(third, CPU, torch.float32)
    assert resident(first, CPU, torch.float32)[0] is kept[0]
    assert resident(second, CPU, torch.float32)[0] is not kept[1]
    monkeypatch.setattr(residence, "_CPU_BYTES", 0)
    last = resident(third, CPU, torch.float32)[0]
    assert resident(third, CPU, torch.float32)[0] is last
