"""Print what the run of a comparison shows before it is finished, as Markdown.

    python benchmarks/unfinished.py docs/runs/table1-cifar10

Methods whose models are stored are compared with retrained models that are stored, as many as the method with the
fewest has. Needs the run alone, not its data. Figures in brackets are those of the study whose table the experiment
names. Time is that of one model computed alone.
"""

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from markdown import table, wrapped
from untrain.core.files import read_arrays
from untrain.experiments import Experiment, read_experiment
from untrain.experiments.comparison.results import published_figures
from untrain.experiments.comparison.scores import ArmFigures, Scores, scores_of
from untrain.report.results import PublishedComparison
from untrain.report.table import interval, number

NONE = number(None, 0)
HEADS = ["method", "final score", "memory left", "retain %", "test %", "forget %", "s/model"]


def arms(run: Path) -> dict[str, dict[str, ArmFigures]]:
    """What is stored, by forget setting and method."""
    files = defaultdict[tuple[str, str], list[Path]](list)
    for path in sorted(run.glob("populations/*/*.safetensors")):
        metadata = read_arrays(path)[1]
        if metadata["format"] == "untrain.outcome.1":
            files[metadata["forget"], metadata["method"]].append(path)
    stored = defaultdict[str, dict[str, ArmFigures]](dict)
    for (forget, method), paths in files.items():
        if len({path.parent for path in paths}) > 1:
            raise SystemExit(f"{run} holds {method} of two configurations: delete one of {paths[0].parent.parent}")
        stored[forget][method] = ArmFigures.joined([read_arrays(path)[0] for path in paths])
    return stored


def lines(experiment: Experiment, forget: str, figures: dict[str, ArmFigures]) -> Iterator[list[str]]:
    """A line of each method, the highest score first; then the retrained models and the originals."""
    originals, reference = figures["original"], figures["reference"]
    origins = np.arange(len(reference.confidences)) % experiment.originals
    scores = {
        name: scores_of(arm, reference, originals.confidences, origins)
        for name, arm in figures.items()
        if name not in ("original", "reference")
    }
    for name, mine in sorted(scores.items(), key=lambda item: -item[1].final_score):
        yield [f"`{name}`", *_of_method(mine, study(experiment, forget, name))]
    yield ["retrained", NONE, NONE, *_accuracies(_means(reference), study(experiment, forget, "retrain")), NONE]
    yield ["original", NONE, "1", *_accuracies(_means(originals), PublishedComparison()), NONE]


def study(experiment: Experiment, forget: str, method: str) -> PublishedComparison:
    """What the study published, if anything."""
    ratio = forget.removeprefix("groups:")
    if not ratio.replace(".", "").isdecimal():
        return PublishedComparison()
    found = published_figures(experiment.published, experiment.data.source, float(ratio), method)
    return found or PublishedComparison()


def first(arm: ArmFigures, models: int) -> ArmFigures:
    """The figures of the first models of an arm."""
    return dataclasses.replace(
        arm,
        confidences=arm.confidences[:models],
        accuracies={part: values[:models] for part, values in arm.accuracies.items()},
        epochs=None if arm.epochs is None else arm.epochs[:models],
    )


def _of_method(mine: Scores, theirs: PublishedComparison) -> list[str]:
    return [
        _beside(mine.final_score, theirs.final_score, 4),
        interval(mine.memory.left if mine.memory else None, 2),
        *_accuracies(mine.accuracies, theirs),
        _beside(mine.seconds, theirs.seconds, 1),
    ]


def _means(arm: ArmFigures) -> dict[str, float]:
    return {part: 100 * float(np.mean(values)) for part, values in arm.accuracies.items()}


def _accuracies(mine: dict[str, float], theirs: PublishedComparison) -> list[str]:
    return [
        number(mine["retain"], 1),
        _beside(mine["test"], theirs.test_accuracy, 1),
        _beside(mine["forget"], theirs.forget_accuracy, 1),
    ]


def _beside(mine: float, theirs: float | None, digits: int) -> str:
    return number(mine, digits) + ("" if theirs is None else f" [{number(theirs, digits)}]")


def main() -> None:
    """Read a run and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    experiment = read_experiment(str(run / "experiment.toml"))
    if not isinstance(experiment, Experiment):
        parser.error(f"{run} is not the run of a comparison")
    for forget, figures in arms(run).items():
        models = min(len(arm.confidences) for name, arm in figures.items() if name != "original")
        equal = {name: arm if name == "original" else first(arm, models) for name, arm in figures.items()}
        examples = figures["original"].confidences.shape[1]
        print(wrapped(f"**{experiment.name}, forgetting {forget}** ({examples} examples, {models} models a side)"))
        print()
        print(table(HEADS, list(lines(experiment, forget, equal))))


if __name__ == "__main__":
    main()
