"""Make a LightningModule forget three examples."""

import lightning
import torch
from sklearn.datasets import load_iris
from torch import nn

import untrain as un


class Net(lightning.LightningModule):
    """Any LightningModule whose `forward` returns logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, flowers: torch.Tensor) -> torch.Tensor:
        """Measures `[B, 4]` to logits `[B, 3]`."""
        logits: torch.Tensor = self.layers(flowers)
        return logits


flowers, species = load_iris(return_X_y=True)
recipe = un.Recipe(optimizer=un.AdamW(lr=1e-2), schedule=un.Cosine(), epochs=40, batch_size=16)
net = un.Population.create(Net, 1).train(un.Examples.of(flowers, species), recipe).module()  # or your Trainer's
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net, (flowers, species), ["3", "70", "120"], method="retrain", factory=Net, recipe=recipe, seed=0)
print(type(done.model).__name__, done.verdict)
