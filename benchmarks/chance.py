"""Size and power of the test that refuses labels which cannot be told right from wrong.

    python benchmarks/chance.py [--seeds 100] [--scorer linear|auto] [--data "mnist 0 1"] [--shares random 0.5]

A row tells how many of the seeds were answered, not refused. Where labels are drawn at random, or half of two classes
are wrong, every answer is an error.
"""

import argparse
from collections.abc import Callable

import numpy as np

import untrain as un
from label_noise import clean
from untrain.errors import UndecidableError

SHARES = ("random", "0.5", "0.45", "0.4", "0.3")
"""Shares of wrong labels; `random` permutes all labels."""

DATA: dict[str, Callable[[], un.Examples]] = {
    "breast cancer": lambda: clean("breast cancer", 0, 0),
    "mnist 0 1": lambda: un.load("mnist", classes=["0", "1"], per_class=1000, seed=0),
    "digits 4 9": lambda: un.load("digits", classes=["4", "9"]),
}
"""Data of two classes."""


def relabeled(examples: un.Examples, share: str, seed: int) -> un.Examples:
    """The examples with this share of wrong labels, exactly so many in each class."""
    if share == "random":
        return un.Examples.of(examples.inputs, np.random.default_rng(seed).permutation(examples.labels))
    noise = un.symmetric_noise(len(examples.classes), float(share))
    return un.mislabel(examples, noise, exact=True, seed=seed).examples


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--scorer", default="linear", choices=("linear", "auto"))
    parser.add_argument("--data", nargs="+", default=["breast cancer", "mnist 0 1"], choices=list(DATA))
    parser.add_argument("--shares", nargs="+", default=SHARES)
    options = parser.parse_args()
    print("| data | wrong | answered |\n|---|---|---|", flush=True)
    for data in options.data:
        examples = DATA[data]()
        for share in options.shares:
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
            name = "labels at random" if share == "random" else f"{float(share):.0%}"
            print(f"| {data} ({len(examples)}) | {name} | {answered} of {options.seeds} |", flush=True)


if __name__ == "__main__":
    main()
