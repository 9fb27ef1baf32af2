"""Size and power of the test that refuses labels which cannot be told right from wrong.

    python benchmarks/chance.py [--seeds 100] [--scorer linear|auto]

A row tells how many of the seeds were answered, not refused. Where labels are drawn at random, or half of two classes
are wrong, every answer is an error.
"""

import argparse

import numpy as np

import untrain as un
from label_noise import clean
from untrain.errors import UndecidableError

SHARES = (None, 0.5, 0.45, 0.4, 0.3)
"""Shares of wrong labels; None permutes all labels."""


def examples_of(data: str) -> un.Examples:
    """Data of two classes, whole."""
    return un.load("mnist", classes=["0", "1"], per_class=1000, seed=0) if data == "mnist 0 1" else clean(data, 0, 0)


def relabeled(examples: un.Examples, share: float | None, seed: int) -> un.Examples:
    """The examples with this share of wrong labels, exactly so many in each class."""
    if share is None:
        return un.Examples.of(examples.inputs, np.random.default_rng(seed).permutation(examples.labels))
    noise = un.symmetric_noise(len(examples.classes), share)
    return un.mislabel(examples, noise, exact=True, seed=seed).examples


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--scorer", default="linear", choices=("linear", "auto"))
    options = parser.parse_args()
    print("| data | wrong | answered |\n|---|---|---|", flush=True)
    for data in ("breast cancer", "mnist 0 1"):
        examples = examples_of(data)
        for share in SHARES:
            answered = 0
            for seed in range(options.seeds):
                noisy = relabeled(examples, share, seed)
                try:
                    if options.scorer == "auto":
                        un.detect(None, noisy, seed=seed)
                    else:
                        un.detect(features=noisy.inputs, labels=noisy.labels, seed=seed)
                    answered += 1
                except UndecidableError:
                    pass
            name = "labels at random" if share is None else f"{share:.0%}"
            print(f"| {data} ({len(examples)}) | {name} | {answered} of {options.seeds} |", flush=True)


if __name__ == "__main__":
    main()
