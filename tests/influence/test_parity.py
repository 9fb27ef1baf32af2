"""The study's own network, scores and updates, from its authors' code: ours are the same.

They are reached with the weight of the last layer, without its bias, and a pseudo-inverse in double precision. With the
bias, AUCs stay within 0.3 points and the precision of self-influence is 1.5 points higher.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from untrain.data import Examples, load
from untrain.influence import Curvature
from untrain.methods import Request, build_method
from untrain.models import MLP, factory
from untrain.population import SGD, Population, Recipe

RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=20, batch_size=32)


@pytest.fixture(scope="module")
def golden() -> dict[str, npt.NDArray[Any]]:
    with np.load(Path(__file__).parent / "mislabel_study_r0.2.npz") as stored:
        return dict(stored)


def first_thousand(data_dir: Path, part: Any) -> Examples:
    """The first 1000 zeros, then the first 1000 ones, in file order."""
    mnist = load("mnist", part=part, data_dir=data_dir, classes=["0", "1"])
    chosen = mnist.select(np.concatenate([np.flatnonzero(mnist.labels == digit)[:1000] for digit in (0, 1)]))
    return Examples.of(chosen.inputs, chosen.labels, classes=["0", "1"])


@pytest.fixture(scope="module")
def trained(data_dir: Path, golden: dict[str, npt.NDArray[Any]]) -> Examples:
    clean = first_thousand(data_dir, "train")
    labels = golden["noisy_labels"].astype(np.int64)
    np.testing.assert_array_equal(labels != clean.labels, golden["mislabelled"])
    return Examples.of(clean.inputs, labels, classes=["0", "1"])


@pytest.fixture
def network(golden: dict[str, npt.NDArray[Any]]) -> Population:
    module = factory(MLP(widths=(50,)), (1, 28, 28), 2)()
    state = {
        "1.weight": golden["hidden_kernel"].T,
        "1.bias": golden["hidden_bias"],
        "3.weight": golden["output_kernel"].T,
        "3.bias": golden["output_bias"],
    }
    module.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()})
    return Population.from_module(module)


def test_scores_are_the_studys(network: Population, trained: Examples, golden: dict[str, npt.NDArray[Any]]) -> None:
    found = Curvature(parameters="last-weight", damping=0.0).fit(network, trained)
    logits = network.logits(trained)[0]
    scores = {
        "loss": torch.nn.functional.cross_entropy(logits, torch.from_numpy(trained.labels), reduction="none").numpy(),
        "self": found.self_influence(),
        "train": found.train_influence(),
        "leave_one_out": found.leave_one_out(),
    }
    wrong = golden["mislabelled"]
    for name, ours in scores.items():
        theirs = golden[f"score_{name}"]
        assert roc_auc_score(wrong, ours) == pytest.approx(roc_auc_score(wrong, theirs), abs=1e-3)
        precision, expected = (wrong[np.argsort(-each, kind="stable")[:400]].mean() for each in (ours, theirs))
        assert precision == pytest.approx(expected, abs=0.0051)
        assert spearmanr(ours, theirs).statistic > 0.9999
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())
    assert found.diagnose().residual < 1e-10


@pytest.mark.parametrize("name", ["influence", "ssse"])
def test_updates_are_the_studys(
    name: str, network: Population, trained: Examples, golden: dict[str, npt.NDArray[Any]], data_dir: Path
) -> None:
    wrong, tests = golden["mislabelled"], first_thousand(data_dir, "test")
    kept, gone = (trained.select(np.flatnonzero(mask)) for mask in (~wrong, wrong))

    def accuracy(models: Population) -> float:
        return 100 * float(
            np.mean([models.accuracy(tests.select(np.flatnonzero(tests.labels == digit))) for digit in (0, 1)])
        )

    printed = json.loads(str(golden["accuracy_json"]))
    assert accuracy(network) == pytest.approx(printed["pre"], abs=0.05)
    unlearned = build_method(f"{name}:study").forget(network, Request(gone, kept, RECIPE))
    assert accuracy(unlearned) == pytest.approx(printed[name], abs=0.05)
    kernel = golden[f"output_kernel_{name}"]
    np.testing.assert_allclose(unlearned.tensors["3.weight"][0].numpy().T, kernel, rtol=1e-4, atol=1e-3)
