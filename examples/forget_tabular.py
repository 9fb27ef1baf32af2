"""Make a network for tables forget patients, from Python and then once more from the shell."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from torch import nn

import untrain as un


def build() -> nn.Module:
    """The network, untrained."""
    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))


data = load_breast_cancer()
columns = dict(zip(data.feature_names, scale(data.data).T, strict=True))
whole = pa.table({"id": [f"patient {row}" for row in range(569)], "label": data.target, **columns})
recipe = un.Recipe(optimizer=un.AdamW(lr=3e-3), epochs=20)

os.chdir(tempfile.mkdtemp())
pq.write_table(whole[:420], "train.parquet")
pq.write_table(whole[420:], "held-out.parquet")
train, held_out = un.load("train.parquet"), un.load("held-out.parquet")
model = un.Population.create(build, 1).train(train, recipe).module()

# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
first = un.forget(model, train, train.ids[:120], validation=held_out, factory=build, recipe=recipe, seed=0)
print(first.verdict, *first.verdict.sentences, sep="\n")
first.save("first")

# The same from the shell, for the next ten who ask; what the first request had forgotten stays forgotten.
Path("clinic.py").write_text(
    "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))\n"
)
Path("ids.txt").write_text("\n".join(train.ids[120:130]))
asked = "--model clinic:build --data train.parquet --validation held-out.parquet --ids ids.txt"
for command in (
    f"untrain doctor {asked} --previous first",
    f"untrain forget {asked} --previous first --out second",
    "untrain verify second --ids ids.txt",
):
    print(f"\n$ {command}", flush=True)
    subprocess.run(shlex.split(command), check=True)
