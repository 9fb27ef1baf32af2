"""Make the network of a scikit-learn pipeline with skorch forget two examples."""

import numpy as np
import torch
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

import untrain as un


def build() -> nn.Module:
    """The network of the pipeline."""
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


flowers, species = load_iris(return_X_y=True)
flowers = flowers.astype(np.float32)
torch.manual_seed(0)
net = NeuralNetClassifier(build(), criterion=nn.CrossEntropyLoss, max_epochs=40, lr=0.1, verbose=0, train_split=None)
pipeline = make_pipeline(StandardScaler(), net).fit(flowers, species)

scaled = pipeline[:-1].transform(flowers)  # everything before the network
recipe = un.Recipe(optimizer=un.SGD(lr=0.1), epochs=40, batch_size=128)
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net.module_, (scaled, species), ["3", "70"], method="retrain", factory=build, recipe=recipe, seed=0)
net.module_.load_state_dict(done.model.state_dict())
print(type(done.model).__name__, done.verdict, f"{pipeline.score(flowers, species):.2f}")
