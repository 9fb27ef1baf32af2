"""Exact intervals of proportions.

Source: Clopper, Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".
"""

from scipy.special import betaincinv


def exact_interval(successes: float, failures: float, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a proportion; numbers need not be whole.

    Args:
        successes: number of successes.
        failures: number of failures.
        level: confidence level.

    >>> exact_interval(0, 10, 0.95)[0]
    0.0
    """
    tail = (1 - level) / 2
    low = float(betaincinv(successes, failures + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures > 0 else 1.0
    return low, high
