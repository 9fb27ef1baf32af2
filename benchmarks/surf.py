"""How much of the age of faces a network learns, and how much of it is knowing the persons.

    python benchmarks/surf.py                                        # a small network on the CPU: a minute
    python benchmarks/surf.py --model resnet18 --persons 240 --strangers 40 --epochs 15    # some ten minutes
    python benchmarks/surf.py --model resnet18 --persons 1000 --strangers 100              # as in the competition
    python benchmarks/surf.py --data DIR                             # on faces that are there

Faces are drawn, or read from DIR, and some persons are kept aside as strangers. The photographs of the others are
split into train, validation and test parts, so that the same persons are in all of them, as in the competition. Printed
is the accuracy on each, beside the share of the most frequent class and the accuracy if every class counted alike: a
network that knows persons is better at the test part than at strangers. `resnet18` is trained by the organisers'
recipe (30 epochs, the best on the validation part from two thirds on), `cnn` and `small-cnn` by SGD, all with class
weights.
"""

import argparse
import tempfile
import time

import numpy as np
import torch

from untrain.data import Examples, forget_groups, load, split, synthesize_surf
from untrain.models import CNN, Model, ResNet18, factory
from untrain.population import SGD, Adam, Cosine, Engine, Population, Recipe

MODELS: dict[str, Model] = {"small-cnn": CNN(widths=(8, 16)), "cnn": CNN(widths=(16, 32)), "resnet18": ResNet18()}


def recipe(model: str, epochs: int | None) -> Recipe:
    """The organisers' for ResNet-18, else a quick one."""
    if model == "resnet18":
        epochs = epochs or 30
        adam = Adam(lr=1e-4, weight_decay=5e-3)
        keep_best_from_epoch = max(1, 2 * epochs // 3)
        return Recipe(
            optimizer=adam, schedule=Cosine(), epochs=epochs, class_balance=1, keep_best_from_epoch=keep_best_from_epoch
        )
    return Recipe(optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=epochs or 12, class_balance=1)


def line(name: str, models: Population, examples: Examples) -> str:
    """One line of the table."""
    right = models.logits(examples).argmax(-1)[0].cpu().numpy() == examples.labels
    each = [right[examples.labels == label].mean() for label in np.unique(examples.labels)]
    most = np.bincount(examples.labels).max() / len(examples)
    return f"{name:>12}{len(examples):>14}{right.mean():>12.1%}{np.mean(each):>16.1%}{most:>16.1%}"


def main() -> None:
    """Train once and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder as CASIA-SURF is published; default faces are drawn")
    parser.add_argument("--persons", type=int, default=200, help="to draw, strangers among them")
    parser.add_argument("--photographs", type=int, default=30, help="of each")
    parser.add_argument("--strangers", type=int, default=50)
    parser.add_argument("--model", choices=MODELS, default="small-cnn")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.data is None:
            synthesize_surf(folder, asked.persons, asked.seed, photographs=asked.photographs)
        examples = load(asked.data or folder)
    parts = forget_groups(examples, asked.strangers, asked.seed)
    known = split(parts.retain, seed=asked.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    build = factory(MODELS[asked.model], examples.inputs.shape[1:], len(examples.classes))
    models = Population.create(build, 1, seed=asked.seed, device=device, engine=Engine(1))
    chosen = recipe(asked.model, asked.epochs)
    start = time.process_time()
    models.train(known.train, chosen, validation=known.validation)
    taken = time.process_time() - start
    assert examples.groups is not None
    people = len(np.unique(examples.groups))
    print(
        f"{asked.model}, {chosen.epochs:g} epochs, {people} persons, {asked.strangers} of them strangers; {taken:.0f} s"
    )
    print(f"{'':>12}{'photographs':>14}{'accuracy':>12}{'mean of class':>16}{'largest class':>16}")
    for name, part in (("train", known.train), ("test", known.test), ("strangers", parts.forget)):
        print(line(name, models, part))


if __name__ == "__main__":
    main()
