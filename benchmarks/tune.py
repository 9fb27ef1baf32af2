"""Tune the fine-tuning of each method for small data, as the comparison study did: that alone, by validation accuracy.

    python benchmarks/tune.py digits
    python benchmarks/tune.py digits --preset study
    python benchmarks/tune.py cifar10-small --data-dir DATA

Every learning rate of a method's fine-tuning is multiplied by each factor in turn; what erases is left alone, and so
is what makes the simply unlearned model of pseudo-labels. For each factor four models forget 2 % of the experiment's
training set, and the mean accuracy on its validation part is printed, beside that of retraining. Neither the test part
nor any retrained-model audit is looked at. The presets `small` hold what was chosen.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from untrain.experiments import read_experiment
from untrain.experiments.comparison.work import ORIGINAL, Arm, ChunkJob, ComparisonWork
from untrain.experiments.config import Experiment
from untrain.experiments.executors.processes import one_thread
from untrain.methods import METHODS as REGISTRY
from untrain.methods import build_method
from untrain.methods.transpose import Transpose

FACTORS = (1, 3, 10, 30, 100, 300)
METHODS: dict[str, tuple[str, ...]] = {
    "finetune": ("recipe",),
    "kl-contrast": ("repair",),
    "gradient-reinit": ("recipe",),
    "conv-noise": ("recipe",),
    "prune-entropy": ("recipe",),
    "transpose": ("recipe",),
    "pseudo-labels": ("recipe",),
    "reset-distill": ("warm_up", "recipe"),
    "random-layers": ("recipe",),
    "reinit-match": ("recipe",),
    "neggrad-plus": ("recipe",),
    "random-labels": ("recipe",),
    "scrub": ("follow",),
    "salun": ("repair",),
    "l1-sparse": ("recipe",),
}
FIXED: dict[str, dict[str, Any]] = {
    "conv-noise": {"minority_weight": 1.0},  # the classes are balanced
    "pseudo-labels": {"simple": Transpose.presets["small"]["recipe"]},
    "random-layers": {"chosen": 2},  # a small network has few tensors to choose from
}
MODELS = 4


def main() -> None:
    """Print a table of validation accuracies in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--data-dir")
    parser.add_argument("--methods", help="separated by commas; default all, or those that have the preset")
    parser.add_argument("--preset", help="preset to start from; default that of the method's own constants")
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    arguments = parser.parse_args()
    experiment = read_experiment(arguments.experiment)
    if not isinstance(experiment, Experiment):
        parser.error(f"expected a comparison, got {arguments.experiment}")
    experiment = msgspec.structs.replace(experiment, forget=(0.02,), methods=(), settings={}, originals=1)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = ComparisonWork(experiment, Path(folder), arguments.data_dir)
        work.experiment = work.prepared()
        work.do(ChunkJob(ORIGINAL, 0, 1))
        print(f"{'factor':>16}", *(f"{factor:>11g}" for factor in arguments.factors), flush=True)
        names = arguments.methods.split(",") if arguments.methods else METHODS
        for name in names:
            if arguments.preset is None or arguments.preset in REGISTRY.of(name).presets:
                cells = [trial(work, name, METHODS[name], factor, arguments.preset) for factor in arguments.factors]
                print(f"{name:>16}", *(f"{cell:>11}" for cell in cells), flush=True)
        print(f"{'retrain':>16} {trial(work, 'retrain', (), 1):>11}")


def trial(work: ComparisonWork, name: str, recipes: tuple[str, ...], factor: float, preset: str | None = None) -> str:
    """Mean validation accuracy after forgetting with the learning rates of these recipes multiplied, and epochs."""
    method = build_method(name, preset=preset, settings=FIXED.get(name))
    for recipe in recipes:
        old = getattr(method, recipe)
        optimizer = msgspec.structs.replace(old.optimizer, lr=old.optimizer.lr * factor)
        method = msgspec.structs.replace(method, **{recipe: msgspec.structs.replace(old, optimizer=optimizer)})
    models = work.unlearn(Arm("0.02", f"tune/{name}/{preset}/{factor}"), method, 0, MODELS, work.engine)
    accuracy = f"{100 * models.accuracy(work.splits.validation).mean():.1f}"
    return accuracy if models.epochs_taken is None else f"{accuracy} ({models.epochs_taken.mean():.1f})"


if __name__ == "__main__":
    main()
