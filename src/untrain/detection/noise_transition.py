"""From class probabilities and given labels to which labels are wrong, by maximum likelihood.

The model is that each example has a true class c, of probability p(c | x), and that the label y was given with
probability T[c, y]. The transition matrix T, and a temperature that mends over- or underconfidence of p, are what
makes the given labels most likely; both are found without a single clean label. What is left is Bayes' rule: the
probability that the label is wrong is `1 - p(y | x) T[y, y] / sum_c p(c | x) T[c, y]`.

Source: expectation maximisation of a noise transition after Dawid, Skene (1979), "Maximum Likelihood Estimation of
Observer Error-Rates Using the EM Algorithm", and Mnih, Hinton (2012), "Learning to Label Aerial Images from Noisy
Data"; temperature after Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks".
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from untrain.data.examples import Labels
from untrain.detection.base import Scores

_ROUNDS, _TOLERANCE = 100, 1e-5
_TEMPERATURES = (0.5, 10.0)
"""Where the temperature may lie; below, probabilities of well-separated classes would all become 0 or 1."""

_TEMPERATURE_SPREAD = 0.25
"""Standard deviation of the logarithm of the temperature, before the data are seen. Under heavy noise, soft
probabilities and a transition matrix explain the same labels nearly as well; this weak belief that models are
about calibrated decides then, and hardly matters where the data speak."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the labels say once their errors are accounted for.

    Attributes:
        classes: `[n, C]`, probability of each true class given input and label.
        transition: `[C, C]`, probability of each given label (column) for a true class (row).
        temperature: by which log-probabilities were divided; above 1 they were overconfident.
    """

    classes: Scores
    transition: Scores
    temperature: float

    def wrongness(self, labels: Labels) -> Scores:
        """Probability that each label is wrong, `[n]`."""
        wrong: Scores = np.clip(1 - self.classes[np.arange(len(labels)), labels], 0, 1)
        return wrong


def fit_posterior(log_p: Scores, labels: Labels, start: npt.NDArray[np.float64]) -> Posterior:
    """Fit transition matrix and temperature, and apply Bayes' rule.

    Args:
        log_p: `[n, C]` log-probabilities of the true class, from models that have not seen the label, up to a constant
            in each row.
        labels: `[n]`, as given.
        start: `[C, C]`, a first transition matrix; what is zero there stays zero.

    Cost: at most 100 passes over `[n, C]`, and twenty fits of the temperature.
    """
    transition, temperature = start, 1.0
    for number in range(_ROUNDS):
        if number % 5 == 0:
            temperature = _temperature(log_p, labels, transition)
        classes = _bayes(log_p / temperature, labels, transition)
        counts = np.eye(len(transition))  # one right label of each class, lest a class vanish
        np.add.at(counts.T, labels, classes)
        before, transition = transition, counts / counts.sum(1, keepdims=True)
        if np.abs(transition - before).max() < _TOLERANCE:
            break
    return Posterior(_bayes(log_p / temperature, labels, transition), transition, temperature)


def _bayes(log_p: Scores, labels: Labels, transition: Scores) -> Scores:
    classes: Scores = np.exp(log_softmax(log_p + _log(transition)[:, labels].T, axis=1))
    return classes


def _temperature(log_p: Scores, labels: Labels, transition: Scores) -> float:
    given = _log(transition)[:, labels].T

    def unlikelihood(log_temperature: float) -> float:
        log_q = log_softmax(log_p / np.exp(log_temperature), axis=1)
        surprise = 0.5 * (log_temperature / _TEMPERATURE_SPREAD) ** 2
        return surprise - float(logsumexp(log_q + given, axis=1).sum())

    found = minimize_scalar(unlikelihood, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def _log(transition: Scores) -> Scores:
    logarithms: Scores = np.log(np.maximum(transition, 1e-300))
    return logarithms
