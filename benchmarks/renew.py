"""Choose the constants of `renew`, on validation data of one data set: CIFAR-10.

    python benchmarks/renew.py --data-dir DATA

The experiment is `table1-cifar10-small` with another seed, so that images, splits, forget sets and models are others
than in its tables, with 16 models a side and with accuracy on the validation part, of which `renew` itself sees no
label. Each line changes one thing of the defaults. Printed are the final score, F, and accuracies of unlearned over
those of retrained models, each the mean of 2 % and 10 % forgotten. Scores of 16 models differ by a tenth from draw to
draw: read big differences only.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from untrain.auditing import final_score, forget_quality
from untrain.experiments import read_experiment
from untrain.experiments.comparison.work import ORIGINAL, Arm, ChunkJob, ComparisonWork
from untrain.experiments.config import Experiment
from untrain.experiments.executors.processes import one_thread
from untrain.methods import Method, Request, build_method
from untrain.methods.renew import Renew
from untrain.population import Population

MODELS, RATIOS, SEED = 16, ("0.02", "0.1"), 1


class Unmatched(Renew, frozen=True, tag="unmatched"):
    """The same without the factor on the last layer."""

    def forget(self, models: Population, request: Request) -> Population:
        """Forget as if there were no validation examples."""
        return super().forget(models, dataclasses.replace(request, validation=None))


VARIANTS: dict[str, Method] = {
    "renew": Renew(),
    "without the factor": Unmatched(),
    "keep 0": Renew(keep=0),
    "keep 0.15": Renew(keep=0.15),
    "keep 0.5": Renew(keep=0.5),
    "keep 0.8": Renew(keep=0.8),
    "share 0.2": Renew(share=0.2),
    "share 0.5": Renew(share=0.5),
    "prune-entropy:small": build_method("prune-entropy:small"),
    "short-retrain:third": build_method("short-retrain:third"),
    "short-retrain:half": build_method("short-retrain:half"),
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    experiment = read_experiment("table1-cifar10-small")
    assert isinstance(experiment, Experiment)
    experiment = msgspec.structs.replace(experiment, forget=RATIOS, methods=(), settings={}, seed=SEED)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = ComparisonWork(experiment, Path(folder), parser.parse_args().data_dir)
        work.do(ChunkJob(ORIGINAL, 0, 1))
        retrained = {ratio: measured(work, ratio, "reference", build_method("retrain")) for ratio in RATIOS}
        print(f"{'':>20} {'final':>7} {'F':>7} {'retain':>7} {'validation':>10}")
        for name, method in VARIANTS.items():
            rows = [compared(measured(work, ratio, name, method), retrained[ratio]) for ratio in RATIOS]
            final, quality, retain, validation = np.mean(rows, axis=0)
            print(f"{name:>20} {final:7.4f} {quality:7.4f} {retain:7.3f} {validation:10.3f}", flush=True)


Measured = tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], float, float]


def measured(work: ComparisonWork, ratio: str, name: str, method: Method) -> Measured:
    """Confidences in the forget set, and mean accuracies on the retain set and on the validation part."""
    models, sets = work.unlearn(Arm(ratio, name), method, 0, MODELS, work.engine), work.forgets[ratio]
    retain, validation = (float(models.accuracy(part).mean()) for part in (sets.retain, work.splits.validation))
    return models.confidences(sets.forget), retain, validation


def compared(unlearned: Measured, retrained: Measured) -> tuple[float, float, float, float]:
    """Final score, F, and both ratios of accuracies."""
    quality = forget_quality(unlearned[0], retrained[0]).score
    final = final_score(quality, unlearned[1], retrained[1], unlearned[2], retrained[2])
    return final, quality, unlearned[1] / retrained[1], unlearned[2] / retrained[2]


if __name__ == "__main__":
    main()
