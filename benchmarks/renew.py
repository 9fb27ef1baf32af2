"""How much of a whole training can be had in a third of its cost, without looking at the original?

    python benchmarks/renew.py digits
    python benchmarks/renew.py table1-cifar10-small --data-dir DATA

New models are trained on the retain set in a third of the recipe's epochs, each line with one change. The rule is that
of `benchmarks/tune.py`: mean accuracy on the validation part, forgetting 2 %; the accuracy on the retain set stands
beside it. The experiment has another seed than its tables, so images, splits, forget sets and models are others.
Neither the test part, nor the score, nor the memory left is looked at. The lines below the rule are no candidates: they
start from the original or cost more, and show what there is to gain.

The validation part is halved: all are measured on the second half, and one line trains on the first.
"""

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from untrain.data import Examples
from untrain.experiments import read_experiment
from untrain.experiments.comparison.work import ORIGINAL, Arm, ChunkJob, ComparisonWork
from untrain.experiments.config import Experiment
from untrain.experiments.executors.processes import one_thread
from untrain.methods import Method, Request, build_method
from untrain.methods.targets import divergence
from untrain.population import Batch, Cosine, OneCycle, Population, Recipe, cross_entropy
from untrain.population.engine import seconds_of

SEED, SHARE = 1, 1 / 3


class Trial(Method, frozen=True, tag="trial"):
    """Short retraining with changes.

    Attributes:
        share: of the recipe's epochs.
        rate: factor on the learning rate.
        batch: factor on the batch size.
        schedule: another schedule, or None.
        average: share of the training whose states are averaged, once an epoch.
        smoothing: of the labels.
        distill: weight of the original's predictions on the retain set, at temperature 2.
        keep: what is kept of the original's weights.
        held_out: also train on the first half of the validation part.
    """

    share: float = SHARE
    rate: float = 1.0
    batch: float = 1.0
    schedule: Any = None
    average: float = 0.0
    smoothing: float = 0.0
    distill: float = 0.0
    keep: float = 0.0
    held_out: bool = False

    def forget(self, models: Population, request: Request) -> Population:
        """Train new models."""
        renewed = models.fresh()
        if self.keep:
            for name, _ in models.skeleton.named_parameters():
                if models.tensors[name].ndim > 2:  # no normalization
                    renewed.tensors[name].add_(self.keep * models.tensors[name])
        examples = request.retain
        if self.held_out and request.validation is not None:
            examples = Examples.concatenate([examples, halves(request.validation)[0]])
        teacher = models.logits(examples) if self.distill else None
        recipe = self.changed(request.recipe)
        training = renewed.training(recipe, loss=self.loss(), purpose="retrain")
        first_averaged = recipe.epochs - max(1, round(self.average * recipe.epochs)) if self.average else recipe.epochs
        states = []
        for epoch in range(round(recipe.epochs)):
            training.run(examples, epochs=1, targets=teacher)
            if epoch >= first_averaged:
                states.append({name: tensor.clone() for name, tensor in renewed.tensors.items()})
        for name, tensor in renewed.tensors.items():
            if states and tensor.is_floating_point():
                tensor.copy_(torch.stack([state[name] for state in states]).mean(0))
        return renewed

    def changed(self, recipe: Recipe) -> Recipe:
        """The recipe of the training."""
        short = recipe.compressed(self.share)
        optimizer = msgspec.structs.replace(short.optimizer, lr=self.rate * short.optimizer.lr)
        schedule, size = self.schedule or short.schedule, max(2, round(self.batch * short.batch_size))
        return msgspec.structs.replace(short, optimizer=optimizer, schedule=schedule, batch_size=size)

    def loss(self) -> Callable[[Batch], Tensor]:
        """The loss of a batch."""
        if self.distill:
            return lambda batch: (
                (1 - self.distill) * cross_entropy(batch)
                + self.distill * 4 * divergence(batch.targets, batch.logits, 2.0).mean(1)
            )
        if self.smoothing:
            return lambda batch: (
                F.cross_entropy(
                    batch.logits.flatten(0, 1), batch.labels.flatten(), reduction="none", label_smoothing=self.smoothing
                )
                .view(batch.labels.shape)
                .mean(1)
            )
        return cross_entropy


STEP = Cosine(per="step")
VARIANTS: dict[str, Method] = {
    "a third of the epochs": Trial(),
    "learning rate x 2": Trial(rate=2),
    "learning rate x 4": Trial(rate=4),
    "cosine by step": Trial(schedule=STEP),
    "cosine by step, rate x 2": Trial(schedule=STEP, rate=2),
    "one cycle": Trial(schedule=OneCycle()),
    "one cycle, rate x 2": Trial(schedule=OneCycle(), rate=2),
    "one cycle, rate x 4": Trial(schedule=OneCycle(), rate=4),
    "batch / 2": Trial(batch=0.5),
    "batch / 4": Trial(batch=0.25),
    "batch / 2, one cycle": Trial(batch=0.5, schedule=OneCycle()),
    "batch / 4, one cycle": Trial(batch=0.25, schedule=OneCycle()),
    "batch / 4, rate / 2, one cycle": Trial(batch=0.25, rate=0.5, schedule=OneCycle()),
    "batch / 8, rate / 2, one cycle": Trial(batch=0.125, rate=0.5, schedule=OneCycle()),
    "average of the last half": Trial(average=0.5),
    "batch / 4, average of the last half": Trial(batch=0.25, average=0.5),
    "label smoothing 0.1": Trial(smoothing=0.1),
    "half of the held-out data beside": Trial(held_out=True),
}
BEYOND: dict[str, Method] = {
    "keep 0.3 of the original": Trial(keep=0.3),
    "distillation from the original": Trial(distill=0.5),
    "half of the epochs": build_method("short-retrain:half"),
    "retraining": build_method("retrain"),
}


def halves(examples: Examples) -> tuple[Examples, Examples]:
    """Even and odd positions."""
    return examples.select(range(0, len(examples), 2)), examples.select(range(1, len(examples), 2))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--data-dir")
    parser.add_argument("--models", type=int, default=8)
    arguments = parser.parse_args()
    experiment = read_experiment(arguments.experiment)
    if not isinstance(experiment, Experiment):
        parser.error(f"{arguments.experiment} is not a comparison; name one that is")
    experiment = msgspec.structs.replace(experiment, forget=(0.02,), methods=(), settings={}, seed=SEED)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = ComparisonWork(experiment, Path(folder), arguments.data_dir)
        work.do(ChunkJob(ORIGINAL, 0, 1))
        print(f"{'':>36} {'validation':>18} {'retain':>8} {'seconds':>8}   (accuracy in percent)")
        for name, method in (VARIANTS | BEYOND).items():
            if name == next(iter(BEYOND)):
                print("-" * 70)
            print(line(work, name, method, arguments.models), flush=True)


def line(work: ComparisonWork, name: str, method: Method, count: int) -> str:
    """Accuracies of one variant; all variants begin from the same weights and see the same orders."""
    start = seconds_of(torch.device("cpu"))
    models = work.unlearn(Arm("0.02", "variant"), method, 0, count, work.engine)
    seconds = (seconds_of(torch.device("cpu")) - start) / count
    unseen, retain = (
        100 * models.accuracy(part) for part in (halves(work.splits.validation)[1], work.sets("0.02").retain)
    )
    error = float(np.std(unseen, ddof=1)) / math.sqrt(count)
    return f"{name:>36} {unseen.mean():10.1f} +- {error:4.1f} {retain.mean():8.1f} {seconds:8.2f}"


if __name__ == "__main__":
    main()
