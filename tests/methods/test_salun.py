"""SalUn."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import population, request, tensors
from untrain.data import Examples
from untrain.methods import build_method
from untrain.methods.salun import SalUn
from untrain.population import Batch, Training


@pytest.mark.parametrize(("share", "batch_size"), [(0.5, 1000), (0.25, 5)])
def test_salient_are_the_largest_gradients_of_all_layers(share: float, batch_size: int) -> None:
    models, asked = population(), request()
    method = build_method("salun", settings={"share": share, "relabel": {"batch_size": batch_size}})
    assert isinstance(method, SalUn)
    masks = method.masks(models, asked)
    module = models.module()
    for x, y in zip(*(tensor.split(batch_size) for tensor in tensors(asked.forget)), strict=True):
        F.cross_entropy(module(x), y).backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert masks.keys() == gradients.keys()
    sizes = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    for position in range(2):
        salient = torch.cat([mask[position].flatten() for mask in masks.values()]) == 1
        assert salient.sum() == int(share * len(sizes))
        assert sizes[salient].min() >= sizes[~salient].max()


def test_what_is_not_salient_stays_bit_for_bit() -> None:
    models, asked = population(), request()
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    method = SalUn()
    masks = method.masks(models, asked)
    method.forget(models, asked)
    for name, mask in masks.items():
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(models.tensors[name][mask == 0], before[name][mask == 0]), name
        assert bool((models.tensors[name][mask == 1] != before[name][mask == 1]).all()), name


def test_salun_draws_labels_for_each_epoch_and_ends_with_the_retain_set(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    runs: list[tuple[str, bool, list[float]]] = []
    count = len(asked.forget)
    own = torch.from_numpy(asked.forget.labels).expand(2, -1)
    logits = torch.randn(2, count, 3, dtype=torch.float64) + 100 * F.one_hot(own, 3)
    positions = torch.arange(count).expand(2, -1)

    def run(self: Training, examples: Examples, *, targets: torch.Tensor | None = None, **_: Any) -> None:
        loss = self.loss(Batch(logits, own, positions, slice(0, 2), None, {}, given=targets))
        runs.append((self.purpose, examples is asked.forget, loss.tolist()))

    monkeypatch.setattr(Training, "run", run)
    SalUn().forget(models, asked)
    assert [(purpose, forgotten) for purpose, forgotten, _ in runs] == [("relabel", True), ("repair", False)] * 10
    losses = [tuple(found) for purpose, _, found in runs if purpose == "relabel"]
    assert len(set(losses)) == 10
    assert all(first != second for first, second in losses)
    assert np.mean(losses) == pytest.approx(100 * 2 / 3, abs=12)  # 0 for the true label, 100 for the other two
    expected = [F.cross_entropy(logits[model], own[model]).item() for model in range(2)]
    assert runs[-1][2] == pytest.approx(expected)
