"""What the documents take for granted: a trained model, data and files of the reader's own."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save_file

import untrain as un
from tests.docs.blocks import command
from untrain.models import Factory

NET = "from untrain import CNN, factory\n\nbuild = factory(CNN(widths=(8, 16)), (1, 8, 8), 10)\n"
RECIPE = "--lr 0.05 --momentum 0.9 --schedule cosine --epochs 8"


def _parts() -> un.Splits:
    return un.split(un.load("digits", limit=600), test=0.3)


def _build() -> Factory:
    """The network of `net.py`, which is written."""
    Path("net.py").write_text(NET)
    names: dict[str, Any] = {}
    exec(NET, names)  # noqa: S102 (the text above)
    build: Factory = names["build"]
    return build


def _recipe() -> un.Recipe:
    """The recipe of `recipe.toml`, which is written."""
    Path("recipe.toml").write_text(command(["recipe", *RECIPE.split()])[1])
    return un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), schedule=un.Cosine(), epochs=8)


def _table(path: str, examples: un.Examples, **more: list[str]) -> None:
    """A parquet table with images as lists of rows, and more columns."""
    columns = {"id": examples.ids.tolist(), "label": [examples.classes[label] for label in examples.labels]}
    pq.write_table(pa.table({**columns, **more, "image": examples.array.tolist()}), path)


def forget_files() -> dict[str, Any]:
    """`net.py`, weights, recipe, two tables and a list of ids."""
    parts = _parts()
    model = un.Population.create(_build(), 1).train(parts.train, _recipe()).module()
    save_file(model.state_dict(), "model.safetensors")
    _table("train.parquet", parts.train)
    _table("held-out.parquet", parts.test)
    Path("ids.txt").write_text("\n".join(parts.train.ids[:5]) + "\n")
    return {}


def persons() -> dict[str, Any]:
    """The same; five rows belong to each person, and the ids are those of person 123."""
    forget_files()
    train = _parts().train
    _table("train.parquet", train, user=[str(120 + row // 5) for row in range(len(train))])
    Path("ids.txt").write_text("\n".join(train.ids[15:20]) + "\n")
    return {}


def own_model() -> dict[str, Any]:
    """A model, its examples and recipe, two checkpoints, features, tokens, labels and out-of-fold probabilities."""
    train, build, recipe = _parts().train, _build(), _recipe()
    rows = len(train)
    p = np.full((rows, 10), 0.01)
    p[np.arange(rows), train.labels] = 0.91
    models = un.Population.create(build, 1)
    state = models.module().state_dict()
    save_file(state, "epoch-5.safetensors")
    torch.save({"state_dict": {f"model.{name}": value for name, value in state.items()}}, "last.ckpt")
    return {
        "un": un, "untrain": un, "model": models.train(train, recipe), "recipe": recipe, "p": p,
        "build": build, "train": train, "ids": train.ids[:5], "examples": train, "labels": train.labels,
        "embeddings": train.array.reshape(rows, -1),
        "tokens": np.ones((rows, 4), dtype=int), "mask": np.ones((rows, 4), dtype=int),
    }  # fmt: skip


def own_model_and_files() -> dict[str, Any]:
    """Both."""
    return {**forget_files(), **own_model()}


def pictures() -> dict[str, Any]:
    """A folder of pictures, of which some are in the folder of the next class."""
    digits = un.load("digits", limit=120)
    for row, (image, label) in enumerate(zip(digits.array, digits.labels, strict=True)):
        folder = Path("pictures", digits.classes[(label + (row % 30 == 0)) % 10])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * image[0]).astype(np.uint8)).save(folder / f"{row}.png")
    return {}


def plugin() -> dict[str, Any]:
    """The example plug-in, not installed."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "plugin" / "src"))
    return {}


SETUPS: dict[str, Callable[[], dict[str, Any]]] = {
    "docs/start-forget.md": forget_files,
    "docs/detection.md": own_model,
    "docs/methods.md": own_model_and_files,
    "docs/own-models.md": own_model,
    "docs/records.md": persons,
    "docs/review.md": pictures,
    "docs/extend.md": plugin,
}
"""By document; others begin with an empty directory and no names."""
