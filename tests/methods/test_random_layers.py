"""Random layers."""

from typing import Any

import msgspec
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.problems import STEP, assert_same, copied, population, request, step, tensors
from untrain.methods.base import learned, reset
from untrain.methods.random_layers import RandomLayers
from untrain.models import CNN, MLP
from untrain.models.weights import Tensors
from untrain.population import SGD, EpochFactors, Training


def test_choices_are_random_and_of_the_right_size() -> None:
    models = population(MLP(widths=(4,)), count=400)
    chosen, noisy = RandomLayers().choose(models, 22, 1)
    assert chosen.shape == noisy.shape == (400, 22)
    assert set(chosen.sum(1).tolist()) == {9}
    assert set(noisy.sum(1).tolist()) == {6}
    assert not (noisy & ~chosen).any()
    assert chosen.double().mean(0).sub(9 / 22).abs().max() < 0.1
    assert noisy.double().mean(0).sub(6 / 22).abs().max() < 0.1
    assert not torch.equal(chosen, RandomLayers().choose(models, 22, 2)[0])
    few, little = RandomLayers().choose(models, 4, 1)
    assert few.all()
    assert set(little.sum(1).tolist()) == {2}


def test_only_the_chosen_tensors_move_and_get_noise_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models = population(CNN(widths=(4,) * 9), count=6)
    names = learned(models)
    assert len(names) == 11
    states: list[Tensors] = [copied(models)]  # before and after the training of each epoch
    run = Training.run

    def watched(self: Training, *arguments: Any, **options: Any) -> None:
        states.append(copied(models))
        run(self, *arguments, **options)
        states.append(copied(models))

    monkeypatch.setattr(Training, "run", watched)
    RandomLayers(chosen=4).forget(models, request())
    assert len(states) == 1 + 2 * 9

    def moved(first: int, row: int) -> set[str]:
        """What differs between one state and the next."""
        return {
            name
            for name, _ in models.skeleton.named_parameters()
            if not torch.equal(states[first][name][row], states[first + 1][name][row])
        }

    noised: list[Tensor] = []
    trained_by: list[list[set[str]]] = []
    for row in range(6):
        assert moved(0, row) == {"28.weight", "28.bias"}  # the last layer
        everything = {name for name, _ in models.skeleton.named_parameters()}
        trained_by.append([])
        for epoch in range(5):
            trained = moved(1 + 2 * epoch, row)
            assert everything - set(names) <= trained  # batch norm always learns
            assert len(trained & set(names)) == 4
            if epoch:
                disturbed = moved(2 * epoch, row)
                earlier = set().union(*trained_by[row])
                assert disturbed <= (trained & set(names)) - earlier
                assert len(disturbed) <= 2  # int(0.7 * 4)
                noised += [(states[2 * epoch + 1][name] - states[2 * epoch][name])[row].flatten() for name in disturbed]
            else:
                earlier = set()
            trained_by[row].append(trained & set(names))
        for epoch in range(5, 9):
            assert moved(2 * epoch, row) == set()
            assert moved(1 + 2 * epoch, row) == everything
    assert len(noised) > 12
    assert torch.cat(noised).std() == pytest.approx(0.04, rel=0.1)
    assert len({tuple(map(frozenset, sets)) for sets in trained_by}) == 6


def test_noise_goes_to_marked_tensors_alone() -> None:
    models = population(count=2)
    before, names = copied(models), ["3.weight", "7.bias"]
    RandomLayers(noise=10.0).disturb(models, names, torch.tensor([[True, False], [False, True]]), 1)
    for name in before:
        moved = [not torch.equal(before[name][row], models.tensors[name][row]) for row in range(2)]
        assert moved == [name == "3.weight", name == "7.bias"]


def test_every_epoch_begins_with_a_new_optimizer() -> None:
    models, asked = population(), request()
    recipe = msgspec.structs.replace(STEP, epochs=2, schedule=EpochFactors(factors=(1, 5)))
    plain = models.clone()
    reset(plain, "7.weight", "reset")
    RandomLayers(partial_epochs=0, recipe=recipe).forget(models, asked)
    for row in range(2):
        module = plain.module(row).train()
        for rate in (0.05, 0.25):
            now = msgspec.structs.replace(STEP, optimizer=SGD(lr=rate, momentum=0.9, weight_decay=0.01))
            step(module, now, F.cross_entropy(module(tensors(asked.retain)[0]), tensors(asked.retain)[1]))
        assert_same(models, row, module)
