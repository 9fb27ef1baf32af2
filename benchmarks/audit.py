"""How few models an audit needs, on networks: its figures at N models a side against those of a thousand others.

    python benchmarks/audit.py                  # some twenty minutes of one core
    python benchmarks/audit.py --methods renew  # of one method
    python benchmarks/audit.py --models 128     # to see that it runs

The digits of `untrain run digits`, 2 % forgotten. Each method makes 2 x MODELS models forget, and as many are trained
without the forgotten examples. One half of the models tells what is true, as well as MODELS can; the other half is
divided into audits of N models a side, as many as there are. Printed for each N: the mean rank energy of the audits and
half the mean width of their 95 % intervals; how many of the intervals hold what is true; how many certificates are
above zero, and their mean; and the competition's F of at most 32 audits, whose mean depends on N. `retrain` compares
retrained models with others: there the true rank energy is zero, and a certificate above zero is wrong.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import numpy.typing as npt
import torch

from untrain.auditing import certificate, forget_quality, rank_energy
from untrain.auditing.certificate import FEWEST_MODELS
from untrain.core.randomness import Streams
from untrain.data import forget_ratio, load, split
from untrain.experiments import read_experiment
from untrain.experiments.config import Experiment
from untrain.methods import Request, build_method
from untrain.models import factory
from untrain.population import Engine, Population

METHODS = ("retrain", "renew", "prune-entropy:small", "transpose:small")
SIZES = (8, 16, 32, 64, 128)
Array = npt.NDArray[np.float64]


def confidences(methods: Sequence[str], models: int) -> dict[str, Array]:
    """Of all arms, `[2 * models, S]`; `reference` is what the others are compared with."""
    experiment = read_experiment("digits")
    assert isinstance(experiment, Experiment)
    digits = load("digits")
    parts = split(digits)
    sets = forget_ratio(parts.train, 0.02)
    build = factory(experiment.model, digits.inputs.shape[1:], len(digits.classes))
    request = Request(sets.forget, sets.retain, experiment.recipe, parts.validation)
    original = Population.create(build, 1, engine=Engine()).train(parts.train, experiment.recipe)
    arms, start = {}, time.process_time()
    for arm in ("reference", *methods):
        method = build_method("retrain" if arm == "reference" else arm)
        pieces = []
        for first in range(0, 2 * models, 16):
            copies = original.repeat(16, streams=Streams(1).child(arm), first=first)
            copies.engine = Engine(16)
            pieces.append(method.forget(copies, request).confidences(sets.forget))
        arms[arm] = np.concatenate(pieces)
        sys.stderr.write(f"{arm}: {time.process_time() - start:.0f} s\n")
    return arms


def main() -> None:
    """Print a table for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1024, help="that tell what is true, and that are audited")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    asked = parser.parse_args()
    models = asked.models
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", RuntimeWarning)  # examples on which no attack gives an answer
    arms = confidences(asked.methods, models)
    reference = arms.pop("reference")
    for name, arm in arms.items():
        known = rank_energy(arm[:models], reference[:models]).total
        true = 0.0 if name == "retrain" else known.value
        largest = certificate(arm[:models], reference[:models]).epsilon
        print(f"\n{name}: rank energy {known.value:.4f} ({known.low:.4f} to {known.high:.4f}), certified {largest:.2f}")
        print(f"{'N':>5}{'audits':>8}{'mean':>9}{'+-':>9}{'held':>8}{'certified':>11}{'mean':>7}{'F':>9}")
        for size in (size for size in SIZES if size <= models):
            places = [slice(first, first + size) for first in range(models, 2 * models, size)]
            energies = [rank_energy(arm[place], reference[place]).total for place in places]
            held = np.mean([energy.low <= true <= energy.high for energy in energies])
            half = np.mean([(energy.high - energy.low) / 2 for energy in energies])
            proven = " " * 18
            if size >= FEWEST_MODELS:
                epsilons = [certificate(arm[place], reference[place]).epsilon for place in places]
                proven = f"{np.mean([epsilon > 0 for epsilon in epsilons]):11.1%}{np.mean(epsilons):7.2f}"
            score = np.mean([forget_quality(arm[place], reference[place]).score for place in places[:32]])
            value = np.mean([energy.value for energy in energies])
            print(f"{size:5}{len(places):8}{value:9.4f}{half:9.4f}{held:8.1%}{proven}{score:9.4f}", flush=True)


if __name__ == "__main__":
    main()
