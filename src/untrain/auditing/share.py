"""The exact interval of a share.

Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".
"""

from scipy.special import betaincinv

from untrain.core.estimate import Estimate


def exact_share(share: float, count: float, level: float) -> Estimate:
    """Clopper and Pearson's interval of a share of `count` cases, which need not be whole.

    >>> print(exact_share(0.0, 10, 0.95))
    0.000 (0.000 to 0.308)
    """
    inside, outside, tail = count * share, count * (1 - share), (1 - level) / 2
    low = float(betaincinv(inside, outside + 1, tail)) if inside > 0 else 0.0
    high = float(betaincinv(inside + 1, outside, 1 - tail)) if outside > 0 else 1.0
    return Estimate(share, low, high)
