"""SCRUB."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.problems import WHOLE, assert_same, population, request, tensors
from untrain.methods import build_method
from untrain.population import Recipe


def test_scrub_leaves_the_teacher_and_follows_it() -> None:
    models, asked = population(), request()
    module, teacher = models.module(), models.module()
    (x, y), (u, _) = tensors(asked.retain), tensors(asked.forget)
    settings = {"alpha": 0.3, "gamma": 0.7, "leave": {**WHOLE, "epochs": 2}, "follow": {**WHOLE, "epochs": 3}}
    build_method("scrub", settings=settings).forget(models, asked)

    def apart(inputs: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            target = (teacher(inputs) / 4).softmax(1)
        return 16 * F.kl_div((logits / 4).log_softmax(1), target, reduction="batchmean")

    leave, follow = (torch.optim.SGD(module.parameters(), 0.05, 0.9, weight_decay=0.01) for _ in range(2))
    module.train()
    for epoch in range(3):
        if epoch < 2:
            leave.zero_grad()
            (-apart(u, module(u))).backward()
            leave.step()
        follow.zero_grad()
        logits = module(x)
        (0.7 * F.cross_entropy(logits, y) + 0.3 * apart(x, logits)).backward()
        follow.step()
    for position in range(2):
        assert_same(models, position, module)


def test_the_small_scale_rate_falls_after_the_fifth_eighth_and_ninth_epoch() -> None:
    follow: Recipe = build_method("scrub:small-scale").follow  # type: ignore[attr-defined]
    rates = [follow.schedule.rate(1.0, epoch, 10) for epoch in range(10)]
    for epoch, rate in enumerate(rates, start=1):
        assert rate == pytest.approx(0.1 ** sum(epoch > decay for decay in (5, 8, 9)))
