"""Memory left in real networks: small ones on digits, where who saw the forgotten examples is known."""

import functools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import binom
from torch import nn

import untrain as un
from untrain.auditing import memory
from untrain.core.levels import ALPHA, FEWEST_MODELS

Array = npt.NDArray[np.float64]

RECIPE = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), epochs=10, batch_size=64)
TRAIN = un.split(un.load("digits")).train
SPLIT = un.forget_ratio(TRAIN, 0.02)


def build() -> nn.Module:
    return un.MLP(widths=(32,)).build((1, 8, 8), 10)


@functools.cache
def retrained(models: int) -> Array:
    """`[models, 29]` confidences of the forget set, under networks that never saw it."""
    return un.Population.create(build, models, seed=2).train(SPLIT.retain, RECIPE).confidences(SPLIT.forget)


def original(seed: int) -> un.Population:
    return un.Population.create(build, 1, seed=seed).train(TRAIN, RECIPE)


def jittered(model: un.Population, scale: float) -> un.Population:
    """The same network with noise on its weights, relative to their spread."""
    copy, generator = model.clone(), torch.Generator().manual_seed(0)
    for tensor in copy.tensors.values():
        tensor += scale * tensor.std() * torch.randn(tensor.shape, generator=generator)
    return copy


def finetuned(model: un.Population) -> un.Population:
    """Trained on at a rate at which nothing moves."""
    slow = un.Recipe(optimizer=un.SGD(lr=1e-6), epochs=1, batch_size=64)
    return model.clone().train(SPLIT.retain, slow)


def rescaled(model: un.Population) -> un.Population:
    """The last layer multiplied by a number near 1."""
    copy = model.clone()
    list(copy.tensors.values())[-2].mul_(0.98)
    return copy


@pytest.mark.parametrize("seed", range(3))
def test_a_method_that_does_nothing_is_told_apart(seed: int) -> None:
    reference, model = retrained(40)[:FEWEST_MODELS], original(seed)
    before = model.confidences(SPLIT.forget)[0]
    for after in (model, jittered(model, 1e-5), jittered(model, 1e-3), finetuned(model), rescaled(model)):
        result = memory(after.confidences(SPLIT.forget)[0], reference, before)
        assert result.left.value == pytest.approx(1, abs=0.15)
        assert result.p_value <= ALPHA


def rejections(models: int) -> Array:
    """`[models, 2]`: whether each is told apart by memory or by difference, as if delivered, against 19 others."""
    arm, before = retrained(models), original(0).confidences(SPLIT.forget)[0]
    generator = np.random.default_rng(0)
    rejected = []
    for i in range(models):
        others = generator.choice(np.delete(np.arange(models), i), FEWEST_MODELS, replace=False)
        result = memory(arm[i], arm[others], before)
        rejected.append((result.p_value <= ALPHA, result.different_p_value <= ALPHA))
    return np.array(rejected)


@pytest.mark.parametrize("models", [40, pytest.param(240, marks=pytest.mark.slow)])
def test_exact_retraining_is_told_apart_no_more_often_than_stated(models: int) -> None:
    """The draws share models, so the limit is that of a quarter as many."""
    limit = binom.isf(0.01, models // 4, ALPHA) / (models // 4)
    assert (rejections(models).mean(axis=0) <= limit).all()


@pytest.mark.slow
def test_originals_leave_a_trace_more_often_than_retrained_models_seem_to() -> None:
    arm = retrained(120)
    seen = un.Population.create(build, 40, seed=1).train(TRAIN, RECIPE).confidences(SPLIT.forget)
    shares = []
    for models in (seen, arm[80:]):
        traced = [memory(arm[i], np.roll(arm[:80], i, axis=0)[:39], one) for i, one in enumerate(models)]
        shares.append(np.mean([result.trace_p_value <= ALPHA for result in traced]))
    assert shares[0] >= 0.25
    assert shares[1] <= 0.2
