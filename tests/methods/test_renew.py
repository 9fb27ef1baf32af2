"""Renewal: what is mixed, what is trained, and the one factor on the last layer."""

import msgspec
import numpy as np
import pytest
import torch

from untrain.data import Examples, Splits, split
from untrain.methods import Request
from untrain.methods.renew import Renew, log_odds, matching_factors
from untrain.models import CNN, factory
from untrain.population import SGD, Adam, Cosine, Engine, EpochFactors, Population, Recipe

RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=10, batch_size=16, keep_best_from_epoch=5
)


def problem() -> Splits:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=120)
    inputs = generator.normal(size=(120, 1, 8, 8)) + labels[:, None, None, None]
    return split(Examples.of(inputs.astype(np.float32), labels), 0.25, 0.25)


def population(parts: Splits) -> Population:
    build = factory(CNN(widths=(4, 6)), (1, 8, 8), 3)
    return Population.create(build, 2, dtype=torch.float64, engine=Engine(2)).train(
        parts.train, msgspec.structs.replace(RECIPE, keep_best_from_epoch=None)
    )


def request(parts: Splits, validation: Examples | None) -> Request:
    few, rest = parts.train.select(range(6)), parts.train.select(range(6, len(parts.train)))
    return Request(few, rest, RECIPE, validation)


def test_the_last_layer_alone_is_scaled_until_the_model_is_as_sure_as_it_was() -> None:
    parts = problem()
    wanted = log_odds(population(parts).logits(parts.validation))
    method = Renew(share=0.1)
    scaled = method.forget(population(parts), request(parts, parts.validation))
    plain = method.forget(population(parts), request(parts, None))
    torch.testing.assert_close(log_odds(scaled.logits(parts.validation)), wanted)
    assert (log_odds(plain.logits(parts.validation)) < 0.9 * wanted).all()
    last = ["7.weight", "7.bias"]
    for name, tensor in plain.tensors.items():
        if name in last:
            factors = scaled.tensors[name] / tensor
            torch.testing.assert_close(
                factors, factors.flatten(1)[:, :1].view(-1, *[1] * (tensor.ndim - 1)) + 0 * tensor
            )
        else:
            assert torch.equal(scaled.tensors[name], tensor)
    assert torch.equal(scaled.logits(parts.test).argmax(-1), plain.logits(parts.test).argmax(-1))


def test_weights_shrink_toward_new_ones_and_normalization_stays() -> None:
    parts = problem()
    models = population(parts)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    fresh = models.fresh()
    Renew(keep=0.25).mix(models)
    moved = {name for name, tensor in models.tensors.items() if not torch.equal(tensor, before[name])}
    assert moved == {"0.weight", "3.weight", "7.weight", "7.bias"}
    for name in moved:
        torch.testing.assert_close(models.tensors[name], 0.25 * before[name] + fresh.tensors[name])


@pytest.mark.parametrize("schedule", [Cosine(), EpochFactors(factors=(1.0, 0.1))])
def test_the_recipe_is_the_originals_shortened(schedule: Cosine | EpochFactors) -> None:
    recipe = Recipe(
        optimizer=Adam(lr=1e-3, weight_decay=0.1),
        schedule=schedule,
        epochs=30,
        class_balance=1,
        keep_best_from_epoch=20,
    )
    found = Renew(share=0.1).shortened(recipe)
    assert found == msgspec.structs.replace(recipe.compressed(0.1), keep_best_from_epoch=None)
    assert found.epochs == Renew(share=0.1).passes(recipe) == 3


def test_factors_of_two_classes_are_the_ratio_of_mean_margins() -> None:
    """With two classes sureness is the mean difference of the logits, which a factor multiplies."""
    logits = torch.randn(3, 50, 2, dtype=torch.float64)
    margins = (logits[..., 0] - logits[..., 1]).abs().mean(1)
    torch.testing.assert_close(log_odds(logits), margins)
    wanted = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    torch.testing.assert_close(matching_factors(logits, wanted), wanted / margins)


def test_factors_reach_what_they_can_and_stop_where_they_cannot() -> None:
    logits = torch.randn(3, 40, 5, dtype=torch.float64)
    wanted = torch.tensor([0.5, 3.0, 1e9], dtype=torch.float64)
    factors = matching_factors(logits, wanted)
    torch.testing.assert_close(log_odds(logits * factors[:, None, None])[:2], wanted[:2])
    torch.testing.assert_close(factors[2], torch.tensor(64.0, dtype=torch.float64))


def test_log_odds_are_the_mean_log_odds_of_the_prediction() -> None:
    logits = torch.randn(2, 30, 4, dtype=torch.float64)
    most = logits.softmax(-1).max(-1).values
    torch.testing.assert_close(log_odds(logits), (most / (1 - most)).log().mean(1))
