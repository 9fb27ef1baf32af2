"""Data and label noise of the benchmarks of detection."""

import numpy as np
import numpy.typing as npt
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

import untrain as un
from untrain.data import instance_noise

KINDS = ("clean", "symmetric", "pair", "class", "one class", "imbalance", "two classes", "instance")
UNSEEN = ("iris", "moons", "mixture", "diabetes", "mnist 3 5 8", "even digits")
"""Data on which nothing was chosen."""

_TABLES = {"breast cancer": "load_breast_cancer", "wine": "load_wine", "iris": "load_iris"}


def clean(data: str, images: int, seed: int) -> un.Examples:
    """The data with their own labels; of MNIST and CIFAR-10, `images` of them, as many of each class."""
    if data in UNSEEN and data != "iris":
        return _unseen(data, seed)
    if data in _TABLES:
        inputs, labels = getattr(datasets, _TABLES[data])(return_X_y=True)
        return un.Examples.of(inputs.astype(np.float32), labels)
    return un.load("digits") if data == "digits" else un.load(data, per_class=images // 10, seed=seed)


def _unseen(data: str, seed: int) -> un.Examples:
    """Data with other shapes: two moons, a mixture of overlapping clusters, and other questions about known data."""
    if data == "mnist 3 5 8":
        return un.load("mnist", classes=["3", "5", "8"], per_class=400, seed=seed)
    if data == "even digits":  # five digits of one class each
        digits = un.load("digits")
        return un.Examples.of(digits.inputs, digits.labels % 2)
    if data == "moons":
        inputs, labels = datasets.make_moons(1000, noise=0.2, random_state=seed)
    elif data == "mixture":
        inputs, labels = datasets.make_classification(
            1500, n_features=20, n_informative=10, n_classes=5, class_sep=1.5, flip_y=0, random_state=seed
        )
    else:  # diabetes: thirds of a measure of progression, which its columns hardly predict
        inputs, target = datasets.load_diabetes(return_X_y=True)
        labels = np.searchsorted(np.quantile(target, [1 / 3, 2 / 3]), target)
    return un.Examples.of(inputs.astype(np.float32), labels.astype(np.int64))


def noisy(examples: un.Examples, kind: str, share: float, seed: int) -> un.Noisy:
    """Wrong labels of one kind, about this share of all."""
    if kind == "instance":
        return instance_noise(examples, weak_probabilities(examples, seed), share)
    if kind == "imbalance":
        examples = imbalanced(examples)
    if kind == "two classes":
        examples = un.Examples.of(*_two(examples, (4, 9)), ids=examples.ids[np.isin(examples.labels, (4, 9))].tolist())
    return un.mislabel(examples, transition(examples, kind, share), seed=seed)


def transition(examples: un.Examples, kind: str, share: float) -> npt.NDArray[np.float64]:
    """The transition matrix of a kind of noise that depends on the class alone."""
    classes = len(examples.classes)
    if kind == "pair":
        return un.pair_noise(classes, share)
    if kind == "class":  # every other class is taken for another one, three further on if there are so many
        step = 3 if classes > 3 else 1
        matrix = np.eye(classes)
        for label in range(0, classes, 2):
            matrix[label, label], matrix[label, (label + step) % classes] = 1 - 2 * share, 2 * share
        return matrix
    if kind in ("one class", "two classes"):  # the fourth class, or the first of two, is taken for the last
        matrix = np.eye(classes)
        label = min(4, classes - 2)
        size = float((examples.labels == label).mean())
        matrix[label, label], matrix[label, -1] = 1 - min(share / size, 0.5), min(share / size, 0.5)
        return matrix
    return un.symmetric_noise(classes, share)


def imbalanced(examples: un.Examples) -> un.Examples:
    """One example in twenty of the second half of the classes."""
    rare = examples.labels >= len(examples.classes) // 2
    kept = np.arange(len(examples)) % 20 == 0
    return examples.select(np.flatnonzero(~rare | kept))


def weak_probabilities(examples: un.Examples, seed: int) -> npt.NDArray[np.float64]:
    """What a logistic regression on at most 200 examples believes: its mistakes look like those of people."""
    inputs = examples.inputs.reshape(len(examples), -1)
    inputs = (inputs - inputs.mean(0)) / np.maximum(inputs.std(0 if examples.inputs.ndim == 2 else None), 1e-6)
    chosen = np.random.default_rng(100 + seed).permutation(len(examples))[: min(200, len(examples) // 2)]
    model = LogisticRegression(max_iter=100).fit(inputs[chosen], examples.labels[chosen])
    return np.asarray(model.predict_proba(inputs))


def _two(examples: un.Examples, classes: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    chosen = np.isin(examples.labels, classes)
    return examples.inputs[chosen], (examples.labels[chosen] == classes[1]).astype(np.int64)
