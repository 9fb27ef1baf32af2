"""The noise transition matrix, fitted by maximum likelihood, and the probability that each label is wrong.

The model: an example has a true class c with probability p(c | x), and its label y was drawn with probability T[c, y].
The transition matrix T, and a temperature that calibrates p, maximize the likelihood of the given labels; no clean
label is needed. By Bayes' rule, the label is wrong with probability
`1 - p(y | x) T[y, y] / sum_c p(c | x) T[c, y]`.

Source: expectation maximization of a transition matrix after Dawid, Skene (1979), "Maximum Likelihood Estimation of
Observer Error-Rates Using the EM Algorithm", and Mnih, Hinton (2012), "Learning to Label Aerial Images from Noisy
Data"; temperature after Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks".
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from untrain.data.examples import Labels
from untrain.detection.base import Scores

_ROUNDS, _TOLERANCE = 100, 1e-5
_TEMPERATURES = (0.5, 10.0)
"""Bounds of the temperature; below, probabilities of well-separated classes would all become 0 or 1."""

_TEMPERATURE_SPREAD = 0.25
"""Standard deviation of a normal prior on the logarithm of the temperature. Under heavy noise, soft probabilities and
noisy labels explain the data nearly equally well; this weak prior, that models are about calibrated, then decides."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """The true classes, given inputs and labels.

    Attributes:
        classes: `[n, C]`, probability of each true class, given input and label.
        transition: `[C, C]`, probability of each given label (column) for a true class (row).
        temperature: divisor of the log-probabilities; above 1 they were overconfident.
    """

    classes: Scores
    transition: Scores
    temperature: float

    def error_probability(self, labels: Labels) -> Scores:
        """Probability that each label is wrong, `[n]`."""
        return np.asarray(np.clip(1 - self.classes[np.arange(len(labels)), labels], 0, 1))


def fit_posterior(log_p: Scores, labels: Labels, start: Scores) -> Posterior:
    """Fit the transition matrix and the temperature, and apply Bayes' rule.

    Args:
        log_p: `[n, C]`, log-probabilities of the true class, from models that have not seen the label, up to a constant
            in each row.
        labels: `[n]`, given labels.
        start: `[C, C]`, initial transition matrix; its zeros stay zero.

    Cost: at most 100 passes over `[n, C]`, and twenty fits of the temperature.
    """
    transition, temperature = start, 1.0
    for round_number in range(_ROUNDS):
        if round_number % 5 == 0:
            temperature = _temperature(log_p, labels, transition)
        classes = _bayes(log_p / temperature, labels, transition)
        counts = np.eye(len(transition))  # one right label of each class, so that no class vanishes
        np.add.at(counts.T, labels, classes)
        previous, transition = transition, counts / counts.sum(1, keepdims=True)
        if np.abs(transition - previous).max() < _TOLERANCE:
            break
    return Posterior(_bayes(log_p / temperature, labels, transition), transition, temperature)


def _bayes(log_p: Scores, labels: Labels, transition: Scores) -> Scores:
    return np.asarray(np.exp(log_softmax(log_p + _log(transition)[:, labels].T, axis=1)))


def _temperature(log_p: Scores, labels: Labels, transition: Scores) -> float:
    from scipy.optimize import minimize_scalar

    log_given = _log(transition)[:, labels].T

    def negative_log_posterior(log_temperature: float) -> float:
        log_q = log_softmax(log_p / np.exp(log_temperature), axis=1)
        prior = 0.5 * (log_temperature / _TEMPERATURE_SPREAD) ** 2
        return prior - float(logsumexp(log_q + log_given, axis=1).sum())

    result = minimize_scalar(negative_log_posterior, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(result.x))


def _log(transition: Scores) -> Scores:
    return np.asarray(np.log(np.maximum(transition, 1e-300)))
