"""What the documents take for granted: a trained model, data and files of the reader's own."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file

import untrain as un

NET = "from untrain import CNN, factory\n\nbuild = factory(CNN(widths=(8, 16)), (1, 8, 8), 10)\n"


def _parts() -> un.Splits:
    return un.split(un.load("digits", limit=600), test=0.3)


def _table(path: str, examples: un.Examples) -> None:
    """A parquet table with a column for each pixel, which the network of `net.py` does not read, so as lists."""
    rows = examples.array.reshape(len(examples), *examples.array.shape[1:]).tolist()
    columns = {"id": examples.ids.tolist(), "label": [examples.classes[label] for label in examples.labels]}
    pq.write_table(pa.table({**columns, "image": rows}), path)


def forget_files() -> dict[str, Any]:
    """`net.py`, weights, two tables and a list of ids."""
    parts = _parts()
    Path("net.py").write_text(NET)
    names: dict[str, Any] = {}
    exec(NET, names)  # noqa: S102 (the text above)
    recipe = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), schedule=un.Cosine(), epochs=8)
    model = un.Population.create(names["build"], 1).train(parts.train, recipe).module()
    save_file(model.state_dict(), "model.safetensors")
    _table("train.parquet", parts.train)
    _table("held-out.parquet", parts.test)
    Path("ids.txt").write_text("\n".join(parts.train.ids[:5]) + "\n")
    return {}


def own_model() -> dict[str, Any]:
    """A model, its examples and recipe, a checkpoint, features, tokens, labels and out-of-fold probabilities."""
    parts = _parts()
    rows = len(parts.train)
    p = np.full((rows, 10), 0.01)
    p[np.arange(rows), parts.train.labels] = 0.91
    recipe = un.Recipe(optimizer=un.Adam(lr=3e-3), epochs=10)
    build = un.factory(un.MLP(widths=(32,)), (1, 8, 8), 10)
    models = un.Population.create(build, 1)
    save_file(models.module().state_dict(), "epoch-5.safetensors")
    return {
        "un": un, "untrain": un, "model": models.train(parts.train, recipe), "recipe": recipe, "p": p,
        "build": build, "train": parts.train,
        "ids": parts.train.ids[:5], "examples": parts.train, "labels": parts.train.labels,
        "embeddings": parts.train.array.reshape(rows, -1),
        "tokens": np.ones((rows, 4), dtype=int), "mask": np.ones((rows, 4), dtype=int),
    }  # fmt: skip


def plugin() -> dict[str, Any]:
    """The example plug-in, not installed."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "plugin" / "src"))
    return {}


SETUPS: dict[str, Callable[[], dict[str, Any]]] = {
    "docs/start-forget.md": forget_files,
    "docs/detection.md": own_model,
    "docs/methods.md": own_model,
    "docs/own-models.md": own_model,
    "docs/extend.md": plugin,
}
"""By document; others begin with an empty directory and no names."""
