"""Test accuracy of the network that is trained where none is given, beside scikit-learn's usual models.

    python benchmarks/default_network.py

Five splits, 30 % of each class held out; means as Markdown. Logistic regression has standardized columns.
"""

import argparse

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import untrain as un
from label_noise import clean
from untrain.population import train_suited

DATA = {"iris": 0, "wine": 0, "breast cancer": 0, "digits": 0, "mnist": 500}
"""Data and how many images are taken of them."""


def accuracies(train: un.Examples, test: un.Examples, seed: int) -> list[float]:
    """Of the default network, logistic regression and gradient boosting."""
    models, _ = train_suited(train, seed=seed)
    correct = (models.logits(test)[0].argmax(1).cpu().numpy() == test.labels).mean()
    columns, held_out = (part.inputs.reshape(len(part), -1) for part in (train, test))
    rivals = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        HistGradientBoostingClassifier(random_state=seed),
    )
    return [float(correct), *(rival.fit(columns, train.labels).score(held_out, test.labels) for rival in rivals)]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| data | untrain | logistic regression | histogram gradient boosting |\n|---|---|---|---|", flush=True)
    for data, images in DATA.items():
        examples = clean(data, images, 0)
        splits = StratifiedShuffleSplit(5, test_size=0.3, random_state=0).split(examples.labels, examples.labels)
        rows = [
            accuracies(examples.select(train), examples.select(test), seed) for seed, (train, test) in enumerate(splits)
        ]
        cells = " | ".join(f"{accuracy:.3f}" for accuracy in np.mean(rows, axis=0))
        print(f"| {data} ({len(examples)}) | {cells} |", flush=True)


if __name__ == "__main__":
    main()
