"""What the verdict says of methods that do nothing, hide or destroy, and of retraining, as Markdown.

    python -m benchmarks.verdicts --seeds 3        all networks; seven minutes on one core
    python -m benchmarks.verdicts --quick          one network, six methods, seconds

None of them may be called forgotten. Each is called through `untrain.forget`, as a plug-in, with an audit against 19
retrained models, and any loss of accuracy is accepted, so that only the audit protects. MNIST takes part where
`UNTRAIN_DATA` is set.
"""

import argparse
import itertools
import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer
from tests.workflows.false_methods import (
    DECEIVING,
    DESTROYING,
    FORGET_SETS,
    HIDING,
    IDLE,
    TRAPS,
    Trained,
    registered,
    train_network,
)

import untrain as un
from untrain.errors import InputError
from untrain.models import Factory, Model
from untrain.population import SGD, Adam, Cosine, Recipe
from untrain.records import Outcome
from untrain.testing import toy_problem

PUBLISHED = ("finetune", "finetune:kaggle", "gradient-ascent", "random-labels", "scrub")
"""Methods of the library as they are, listed beside the others."""
RETRAINING, HIDDEN, REFUSED = "retrain", "hidden-retrain", "refused"
METHODS = (*IDLE, *HIDING, *DESTROYING, *DECEIVING, *PUBLISHED, RETRAINING, HIDDEN)
GROUPS: dict[str, tuple[str, ...]] = {
    "do nothing": IDLE,
    "hide": HIDING,
    "destroy": DESTROYING,
    "retraining with a factory that builds no new model": TRAPS,
    "methods of the library": PUBLISHED,
    "fitting the outputs of a retrained model (a known limit)": DECEIVING,
    "retraining": (RETRAINING,),
    "retraining that does not say so": (HIDDEN,),
}
"""Methods by what they do, as the totals name them."""
QUICK = (
    "jitter:tiny",
    "continue:tiny",
    "scale-output:third",
    "ascend:small",
    "flip-labels:small",
    "start-over:uniform",
    RETRAINING,
    HIDDEN,
)


class Problem(NamedTuple):
    """Examples and the network that learns them."""

    examples: Callable[[], un.Examples]
    model: Model
    recipe: Recipe


class Trial(NamedTuple):
    """One verdict."""

    problem: str
    forget: str
    method: str
    outcome: str
    memory: float = math.nan


SLOW_SGD = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=20, batch_size=32)
FAST_SGD = Recipe(optimizer=SGD(lr=0.1, momentum=0.9), schedule=Cosine(), epochs=30, batch_size=32)
ADAM = Recipe(optimizer=Adam(lr=3e-3), schedule=Cosine(), epochs=40, batch_size=32)


def table_of_tumors() -> un.Examples:
    """Columns of a table, standardized."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    return un.Examples.of(((inputs - inputs.mean(0)) / inputs.std(0)).astype(np.float32), labels)


def toy_images() -> un.Examples:
    """Images of four classes, a third of them mislabeled."""
    parts = toy_problem(count=450)
    return un.Examples.concatenate([parts.train, parts.validation, parts.test])


PROBLEMS = {
    "digits, MLP": Problem(lambda: un.load("digits", limit=450), un.MLP(widths=(64,)), FAST_SGD),
    "table, MLP": Problem(table_of_tumors, un.MLP(widths=(50, 50)), ADAM),
    "digits, CNN": Problem(lambda: un.load("digits", limit=450), un.CNN(widths=(8, 16)), SLOW_SGD),
    "toy images, CNN": Problem(toy_images, un.CNN(widths=(8, 16)), SLOW_SGD),
}
if "UNTRAIN_DATA" in os.environ:
    PROBLEMS["MNIST, CNN"] = Problem(lambda: un.load("mnist", limit=900), un.CNN(widths=(8, 16)), SLOW_SGD)


def trials(names: Iterable[str], seeds: int, methods: tuple[str, ...]) -> Iterator[Trial]:
    """Every verdict, as it is known."""
    for name, forget, seed in itertools.product(names, FORGET_SETS, range(seeds)):
        examples, model, recipe = PROBLEMS[name]
        trained = train_network(examples(), model, recipe, forget=forget, seed=seed)
        with tempfile.TemporaryDirectory() as directory:
            for method in methods:
                result = trained.forget(method, audit=Path(directory))
                audit = result.record.audit
                print(name, forget, seed, method, result.verdict, audit and audit.words, sep=" | ", file=sys.stderr)
                yield Trial(name, forget, method, result.verdict.outcome, memory_left(result))
        for trap, factory in trained.traps.items():
            yield Trial(name, forget, trap, with_trap(trained, factory))


def memory_left(result: un.Forgotten) -> float:
    """Memory left by the audit; not a number where the original was kept."""
    figures = result.record.audit and result.record.audit.memory
    return float(figures.left.value) if figures else math.nan


def with_trap(trained: Trained, factory: Factory) -> str:
    """The outcome of retraining with a factory that builds no new model."""
    try:
        return str(trained.forget(RETRAINING, audit=None, factory=factory).verdict.outcome)
    except InputError as error:
        print(error, file=sys.stderr)
        return REFUSED


def cell(trials: list[Trial]) -> str:
    """How often each outcome came, and the mean memory left."""
    counts = ", ".join(f"{outcome} {count}" for outcome, count in Counter(t.outcome for t in trials).most_common())
    memories = [trial.memory for trial in trials if not math.isnan(trial.memory)]
    return f"{counts} ({np.mean(memories):.2f})" if memories else counts


def print_table(trials: list[Trial]) -> None:
    """A row for each method, a column for each network."""
    networks, methods = (
        list(dict.fromkeys(names)) for names in zip(*[(t.problem, t.method) for t in trials], strict=True)
    )
    for line in (["method", *networks], ["---"] * (len(networks) + 1)):
        print("| " + " | ".join(line) + " |")
    for method in methods:
        cells = [cell([t for t in trials if (t.problem, t.method) == (network, method)]) for network in networks]
        print("| " + " | ".join([f"`{method}`", *cells]) + " |")


def print_totals(trials: list[Trial]) -> None:
    """A row for each group of methods, a column for each outcome."""
    outcomes = [outcome for outcome in (*map(str, Outcome), REFUSED) if outcome in {trial.outcome for trial in trials}]
    for line in (["methods", "verdicts", *outcomes], ["---"] * (len(outcomes) + 2)):
        print("| " + " | ".join(line) + " |")
    for group, methods in GROUPS.items():
        counts = Counter(trial.outcome for trial in trials if trial.method in methods)
        if counts:
            cells = [group, counts.total(), *(counts[outcome] for outcome in outcomes)]
            print("| " + " | ".join(map(str, cells)) + " |")


def main() -> None:
    """Print a table for each kind of forget set, and totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="originals of each network and forget set")
    parser.add_argument("--networks", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="one network, two originals, six methods")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    arguments = parser.parse_args()
    networks, seeds = (arguments.networks[:1], 2) if arguments.quick else (arguments.networks, arguments.seeds)
    methods = QUICK if arguments.quick else tuple(arguments.methods)
    with registered():
        done = list(trials(networks, seeds, methods))
    print_totals(done)
    for forget in FORGET_SETS:
        print(f"\n**Forgetting 20 examples: {forget}** ({seeds} originals each; in brackets the mean memory left)\n")
        print_table([trial for trial in done if trial.forget == forget])
    for trial in done:
        if trial.method in IDLE + HIDING + DESTROYING + TRAPS and trial.outcome == Outcome.FORGOTTEN:
            print(f"- Wrongly called forgotten: {trial}")


if __name__ == "__main__":
    main()
