"""How often the interval of the noise ratio covers the truth: kinds of noise x shares x data x seeds.

    python benchmarks/noise_interval.py [--scorer linear|auto] [--seeds 1] [--images 2000] [--unseen]

Every setting puts wrong labels into clean data, runs the scorer and compares; whether the interval covers, and the
widths, are printed as Markdown. The interval was tuned on the first settings. With `--unseen`, data, kinds, shares and
seeds are others, on which nothing was chosen.
"""

import argparse

import numpy as np

import untrain as un
from label_noise import UNSEEN, clean, noisy
from untrain.errors import UndecidableError

SHARES = {
    "clean": (0.0,),
    "symmetric": (0.1, 0.2, 0.4),
    "pair": (0.1, 0.3),
    "one class": (0.04,),
    "instance": (0.1, 0.2),
}

SHARES_UNSEEN = {
    "clean": (0.0,),
    "symmetric": (0.05, 0.15, 0.3),
    "pair": (0.2,),
    "class": (0.15,),
    "instance": (0.05, 0.15, 0.25),
}
FIRST_SEED_UNSEEN = 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorer", default="linear", choices=("linear", "auto"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--unseen", action="store_true")
    options = parser.parse_args()
    data_sets: tuple[str, ...] = ("digits", "breast cancer", "wine", "mnist", "cifar10")
    kinds, seeds = SHARES, range(options.seeds)
    if options.unseen:
        data_sets, kinds = UNSEEN, SHARES_UNSEEN
        seeds = range(FIRST_SEED_UNSEEN, FIRST_SEED_UNSEEN + options.seeds)
    covered, widths = [], []
    print("| data | noise | share | estimate | interval | covers |\n|---|---|---|---|---|---|", flush=True)
    for data in data_sets:
        for kind, share in [(kind, share) for kind, shares in kinds.items() for share in shares]:
            for seed in seeds:
                noise = noisy(clean(data, options.images, seed), kind, share, seed)
                try:
                    found = detected(noise, options.scorer, seed)
                except UndecidableError:
                    print(f"| {data} | {kind} | {noise.ratio:.3f} | refused | | |", flush=True)
                    continue
                assert found.interval is not None
                low, high = found.interval
                covered.append(low <= noise.ratio <= high)
                widths.append(high - low)
                print(
                    f"| {data} | {kind} | {noise.ratio:.3f} | {found.noise_ratio:.3f} | {low:.3f} to {high:.3f} | "
                    f"{'yes' if covered[-1] else 'no'} |",
                    flush=True,
                )
    print(
        f"\n{sum(covered)} of {len(covered)} intervals cover ({np.mean(covered):.0%}); median width "
        f"{np.median(widths):.3f}, mean {np.mean(widths):.3f}."
    )


def detected(noise: un.Noisy, scorer: str, seed: int) -> un.Suspects:
    """What the scorer finds: `auto` trains networks, `linear` takes the inputs for features."""
    if scorer == "auto":
        return un.detect(None, noise.examples, seed=seed)
    return un.detect(features=noise.examples.inputs, labels=noise.examples.labels, seed=seed)


if __name__ == "__main__":
    main()
