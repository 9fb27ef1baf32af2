"""How the rule was chosen that flags labels where noise depends on the example: every rule that was tried.

    python benchmarks/flags.py [--images 2000] [--seeds 3]

MNIST and digits, nine kinds of noise in twelve settings, by the fast path on the inputs. A row is a rule, a cell the
mean F1 over the seeds, or the flagged share where all labels are right. Markdown goes to the standard output.
"""

import argparse
from collections import defaultdict
from unittest import mock

import numpy as np
import numpy.typing as npt

import untrain as un
from label_noise import clean, noisy
from untrain.detection.linear import nearest_components, principal_components
from untrain.detection.neighborhoods import contradictions

SETTINGS = (
    ("clean", 0.0), ("symmetric", 0.1), ("symmetric", 0.2), ("symmetric", 0.45), ("pair", 0.3), ("class", 0.18),
    ("one class", 0.045), ("imbalance", 0.1), ("two classes", 0.2), ("instance", 0.1), ("instance", 0.2),
    ("instance", 0.3),
)  # fmt: skip
Mask = npt.NDArray[np.bool_]


def rules(examples: un.Examples, seed: int) -> dict[str, Mask]:
    """What each rule flags."""
    labels, classes, count = examples.labels, len(examples.classes), len(examples)
    with mock.patch("untrain.detection.judgment.find_refutation", return_value=None):
        suspects = un.detect(features=examples.inputs, labels=labels, seed=seed)
    by_fit = np.isin(np.arange(count), suspects.flagged)
    order = np.argsort(-suspects.scores, kind="stable")
    neighbors = nearest_components(principal_components(examples.inputs), 20)[0]

    def highest(share: float) -> Mask:
        return np.isin(np.arange(count), order[: round(share * count)])

    flags = {"transition alone": by_fit, "score above 0": suspects.scores > 0}
    flags["score above -2"] = suspects.scores > -2
    for nearest in (5, 10, 20):
        shown = contradictions(neighbors, labels, classes, nearest)
        flags[f"always, contradicted by {nearest}"] = shown.contradicted
        refuted = shown.lower > suspects.noise_ratio
        worth = refuted and shown.excess >= 0.2 * shown.contradicted.mean()
        flags[f"if refuted, contradicted by {nearest}"] = shown.contradicted if refuted else by_fit
        flags[f"and if a fifth is right, contradicted by {nearest}"] = shown.contradicted if worth else by_fit
        flags[f"and as many by score, {nearest}"] = highest(shown.contradicted.mean()) if worth else by_fit
        flags[f"and twice the excess by score, {nearest}"] = highest(2 * shown.excess) if worth else by_fit
    return flags


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for data in ("digits", "mnist"):
        cells = defaultdict[str, list[float]](list)
        for kind, share in SETTINGS:
            figures = defaultdict[str, list[float]](list)
            for seed in range(options.seeds):
                noise = noisy(clean(data, options.images, seed), kind, share, seed)
                wrong = noise.mislabelled
                for rule, flagged in rules(noise.examples, seed).items():
                    f1 = 2 * (flagged & wrong).sum() / max(flagged.sum() + wrong.sum(), 1)
                    figures[rule].append(float(f1 if wrong.any() else flagged.mean()))
            for rule, values in figures.items():
                cells[rule].append(float(np.mean(values)))
        print(f"| {data} | {' | '.join(f'{kind} {share:g}' for kind, share in SETTINGS)} |")
        print("|---" * (len(SETTINGS) + 1) + "|")
        for rule, row in cells.items():
            print(f"| {rule} | {' | '.join(f'{value:.3f}' for value in row)} |")
        print(flush=True)


if __name__ == "__main__":
    main()
