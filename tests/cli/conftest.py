"""A folder as a user has it: a table, a network with its weights and recipe, and ids."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import untrain as un
from untrain.models.convert import convert

OWN = """from torch import nn
def build(): return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
def few(): return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 9))
"""
RECIPE = """epochs = 12
[optimizer]
name = "sgd"
lr = 0.1
momentum = 0.9
[schedule]
name = "cosine"
"""


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def write_table(examples: un.Examples, path: Path) -> None:
    columns = {f"p{number:02d}": column for number, column in enumerate(examples.inputs.reshape(len(examples), 64).T)}
    labels = {"id": examples.ids.tolist(), "label": [f"digit {label}" for label in examples.labels]}
    pq.write_table(pa.table({**labels, **columns}), path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder."""
    folder = tmp_path_factory.mktemp("prepared")
    parts = un.split(un.load("digits", limit=700), validation=0.3, test=0)
    write_table(parts.train, folder / "train.parquet")
    write_table(parts.validation, folder / "val.parquet")
    train = un.load(str(folder / "train.parquet"))
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = un.Recipe(optimizer=un.SGD(lr=0.1, momentum=0.9), schedule=un.Cosine(), epochs=12)
    module = un.Population.create(build, 1).train(train, recipe).module()
    torch.save(module.state_dict(), folder / "model.pt")
    convert(folder / "model.pt", folder / "model.safetensors")
    (folder / "ids.txt").write_text("\n".join(train.ids[:30]))
    (folder / "more.txt").write_text("\n".join(train.ids[30:40]))
    (folder / "own_model.py").write_text(OWN)
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, as the working directory."""
    for path in prepared.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "own_model", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _same_key(same_key: None) -> None:
    """All tests of commands use it."""
