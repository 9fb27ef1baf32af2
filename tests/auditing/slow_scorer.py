"""The competition's scorer as written: every threshold on every model, no sorting. Slow, and obviously right.

It follows the published scoring code step by step (with its assertion mended) and is what the fast one is
tested against.
"""

import math

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float64]


def epsilon(unlearned: Array, retrained: Array, delta: float = 1e-5) -> float:
    retrained_is_positive = np.median(retrained) > np.median(unlearned)
    positive, negative = (retrained, unlearned) if retrained_is_positive else (unlearned, retrained)
    small, large = sorted((np.ptp(positive), np.ptp(negative)))
    if large > 0 and small / large < 0.01:
        return 50.0
    rates = np.concatenate([_intervals(positive, negative), _thresholds(positive, negative)], axis=1)
    fnr, fpr = rates
    if ((fnr == 0) & (fpr == 0)).any():
        return 50.0
    kept = (fnr > 0) & (fpr > 0)
    fnr, fpr = fnr[kept], fpr[kept]
    with np.errstate(invalid="ignore"):
        both = np.stack([np.log(1 - delta - fpr) - np.log(fnr), np.log(1 - delta - fnr) - np.log(fpr)])
    usable = ~np.isnan(both).all(axis=0)
    if not usable.any():
        return math.nan
    return float(np.clip(np.nanmax(both[:, usable], axis=0).clip(0).max(), 0, 50))


def _intervals(positive: Array, negative: Array) -> npt.NDArray[np.float32]:
    width = min(np.ptp(positive), np.ptp(negative))
    if np.ptp(positive) >= np.ptp(negative):
        positive, negative = negative, positive
    low, high = positive.min() + width - 2.0, positive.max() + 2.0
    rights = np.linspace(low, high, num=int(np.ceil((high - low) * 100)))
    rates = []
    for right in rights:
        lefts = np.linspace(right - width - 2.0, right - width + 2.0, num=400)
        inside = [(lefts[:, None] <= arm) & (arm <= right) for arm in (positive, negative)]
        rates.append([(~inside[0]).astype(np.float32).mean(1), inside[1].astype(np.float32).mean(1)])
    return np.concatenate(np.asarray(rates, dtype=np.float32), axis=1)


def _thresholds(positive: Array, negative: Array) -> npt.NDArray[np.float32]:
    both = torch.from_numpy(np.concatenate([positive, negative]))
    count = int(torch.ceil((both.max() - both.min()) * 100))
    thresholds = torch.linspace(float(both.min()), float(both.max()), count).double().numpy()
    return np.stack(
        [
            (positive < thresholds[:, None]).astype(np.float32).mean(1),
            (negative >= thresholds[:, None]).astype(np.float32).mean(1),
        ]
    )
