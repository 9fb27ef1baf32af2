"""Rewinding: what it starts from, what it trains, and when it says that it forgets by construction."""

from pathlib import Path

import msgspec
import pytest
import torch

from tests.methods.problems import copied, population, request
from untrain.errors import InputError, NotSupportedError
from untrain.methods import Checkpoint, Request
from untrain.methods.rewind import Rewind
from untrain.models import CNN, MLP, factory
from untrain.models.weights import arrays_of, write_weights
from untrain.population import SGD, Cosine, Population, Recipe
from untrain.records import state_digest
from untrain.testing import check_method

RECIPE = Recipe(optimizer=SGD(lr=0.05), schedule=Cosine(), epochs=4, batch_size=1000)


def asked() -> Request:
    sets = request()
    return Request(sets.forget, sets.retain, RECIPE, sets.validation)


def stored(path: Path, seed: int = 7) -> Checkpoint:
    """Weights that are not the original's, as after one epoch."""
    module = Population.create(factory(CNN(widths=(6, 8)), (1, 8, 8), 3), 1, seed=seed, dtype=torch.float64).module()
    write_weights(path / "checkpoint.safetensors", module, {})
    return Checkpoint(path=str(path / "checkpoint.safetensors"), epoch=1)


def test_it_follows_the_rest_of_the_recipe_from_the_checkpoint(tmp_path: Path) -> None:
    """Plain torch: one step an epoch on all retained examples, at the rates of epochs 1, 2 and 3 of 4."""
    checkpoint = stored(tmp_path)
    module = Population.create(factory(CNN(widths=(6, 8)), (1, 8, 8), 3), 1, seed=7, dtype=torch.float64).module()
    module.train()
    retain = asked().retain
    inputs, labels = torch.from_numpy(retain.inputs).double(), torch.from_numpy(retain.labels)
    for epoch in (1, 2, 3):
        optimizer = torch.optim.SGD(module.parameters(), RECIPE.schedule.rate(0.05, epoch, 4))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), labels).backward()
        optimizer.step()
    unlearned = Rewind(checkpoint=checkpoint).forget(population(), asked())
    for name, tensor in module.state_dict().items():
        for row in range(2):
            torch.testing.assert_close(unlearned.tensors[name][row], tensor, rtol=1e-9, atol=1e-12, msg=name)


def test_nothing_of_the_original_is_left(tmp_path: Path) -> None:
    method = Rewind(checkpoint=stored(tmp_path))
    other = population()
    for tensor in other.tensors.values():
        tensor.mul_(2)
    one, two = method.forget(population(), asked()), method.forget(other, asked())
    assert all(torch.equal(one.tensors[name], tensor) for name, tensor in copied(two).items())


def test_it_keeps_the_promises_of_every_method(tmp_path: Path) -> None:
    model, path = MLP(widths=(24,)), tmp_path / "start.safetensors"
    module = Population.create(factory(model, (1, 8, 8), 4), 1, seed=5, dtype=torch.float64).module()
    write_weights(path, module, {})
    check_method(Rewind(checkpoint=Checkpoint(path=str(path), epoch=0, before_forgotten=True)), model)


def test_it_is_exact_where_that_is_declared() -> None:
    assert not Rewind().exact
    assert not Rewind(checkpoint=Checkpoint(path="x", epoch=1)).exact
    assert Rewind(checkpoint=Checkpoint(path="x", epoch=1, before_forgotten=True)).exact


def test_what_it_costs_and_what_a_record_says_of_it(tmp_path: Path) -> None:
    checkpoint = stored(tmp_path)
    assert Rewind().passes(RECIPE) is None
    assert Rewind(checkpoint=checkpoint).passes(RECIPE) == 3
    module = Population.create(factory(CNN(widths=(6, 8)), (1, 8, 8), 3), 1, seed=7, dtype=torch.float64).module()
    assert Rewind(checkpoint=checkpoint).settings() == {
        "checkpoint": state_digest(arrays_of(module)), "epoch": 1, "before_forgotten": False,
    }  # fmt: skip


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    checkpoint = stored(tmp_path)
    with pytest.raises(NotSupportedError, match="pass checkpoint="):
        Rewind().forget(population(), asked())
    late = Rewind(checkpoint=msgspec.structs.replace(checkpoint, epoch=4))
    with pytest.raises(InputError, match="before the last of 4 epochs, got epoch 4"):
        late.forget(population(), asked())
    with pytest.raises(InputError, match="lacks"):
        Rewind(checkpoint=checkpoint).forget(population(CNN(widths=(6, 8, 8))), asked())
    missing = Rewind(checkpoint=msgspec.structs.replace(checkpoint, path=str(tmp_path / "none.safetensors")))
    with pytest.raises(InputError, match=r"none\.safetensors"):
        missing.forget(population(), asked())
