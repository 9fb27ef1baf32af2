"""KL and contrast."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import RECIPE, examples, population
from untrain.data import forget_ratio
from untrain.methods import Request
from untrain.methods.kl_contrast import KLContrast
from untrain.population import Batch, Training


def test_erasing_takes_one_step_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: dict[str, int] = {}
    original = Training._run_epoch

    def counted(self: Training, *arguments: Any) -> None:
        bounds = arguments[4]
        steps[self.purpose] = steps.get(self.purpose, 0) + len(bounds)
        original(self, *arguments)

    models = population(count=1)
    monkeypatch.setattr(Training, "_run_epoch", counted)
    sets = forget_ratio(examples(400), 0.5)
    KLContrast().forget(models, Request(sets.forget, sets.retain, RECIPE))
    assert steps == {"erase": 4, "contrast": 8 * 4, "repair": 8}  # 200 of 400: batches of 64 and of 256


def test_contrast_and_erasure_are_their_formulas() -> None:
    method = KLContrast()
    logits, beside = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 7, 3, dtype=torch.float64)
    other = Batch(beside, torch.zeros(2, 7), torch.zeros(2, 7), slice(0, 2), None, {})
    found = method._similarity(Batch(logits, torch.zeros(2, 5), torch.zeros(2, 5), slice(0, 2), None, {}, other))
    for model in range(2):
        pairs = -F.log_softmax(logits[model] @ beside[model].T / 1.15, dim=1)
        torch.testing.assert_close(found[model], pairs.mean())
    from untrain.methods.kl_contrast import _divergence_from_uniform

    erased = _divergence_from_uniform(Batch(logits, torch.zeros(2, 5), torch.zeros(2, 5), slice(0, 2), None, {}))
    uniform = torch.full((5, 3), 1 / 3, dtype=torch.float64)
    for model in range(2):
        expected = F.kl_div(F.log_softmax(logits[model], dim=1), uniform, reduction="batchmean")
        torch.testing.assert_close(erased[model], expected)
