"""Bad teacher."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.methods.problems import WHOLE, assert_same, descend, population, request, tensors
from untrain.errors import NotSupportedError
from untrain.methods import build_method
from untrain.population import Training


def test_the_student_imitates_a_new_network_on_what_it_forgets() -> None:
    models, asked = population(), request()
    module, bad = models.module(), models.fresh()
    (x, _), (u, _) = tensors(asked.retain), tensors(asked.forget)
    settings = {"share": 1.0, "temperature": 2.0, "recipe": {**WHOLE, "epochs": 2}}
    build_method("bad-teacher", settings=settings).forget(models, asked)
    for position in range(2):
        with torch.no_grad():
            target = (torch.cat([bad.module(position)(u), module(x)]) / 2).softmax(1)
        own = copy.deepcopy(module)

        def loss(own: nn.Module = own, target: Tensor = target) -> Tensor:
            logits: Tensor = own(torch.cat([u, x]))
            return (target * (target.log() - (logits / 2).log_softmax(1))).mean()  # over elements, as the authors do

        assert_same(models, position, descend(own, [loss] * 2))


def test_the_student_sees_thirty_percent_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    seen: list[Any] = []
    monkeypatch.setattr(Training, "run", lambda _self, _examples, **options: seen.append(options["subsets"]))
    build_method("bad-teacher").forget(models, asked)
    count = len(asked.forget)
    drawn = []
    for subset in seen[0]:
        assert len(set(subset)) == len(subset) == count + int(0.3 * len(asked.retain))
        assert subset[:count].tolist() == list(range(count))
        assert count <= subset[count:].min() <= subset.max() < count + len(asked.retain)
        drawn.append(set(subset[count:]))
    assert drawn[0] != drawn[1]


def test_a_bad_teacher_must_be_built() -> None:
    models, asked = population(), request()
    models.factory = None
    with pytest.raises(NotSupportedError, match="no factory: pass factory="):
        build_method("bad-teacher").forget(models, asked)
