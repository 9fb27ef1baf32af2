"""Make a network of your own forget 120 of the images that it was trained on, and keep a record of it."""

import os
import tempfile

import torch
from sklearn.datasets import load_digits
from torch import nn

import untrain as un


class Net(nn.Module):
    """Any module will do."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten())
        self.classify = nn.Linear(512, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images `[B, 1, 8, 8]` to logits `[B, 10]`."""
        logits: torch.Tensor = self.classify(self.features(images))
        return logits


digits = load_digits()
images, labels = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32), torch.tensor(digits.target)
train, held_out = (images[:1400], labels[:1400]), (images[1400:], labels[1400:])

torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(20):
    for batch in torch.randperm(1400).split(32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(train[0][batch]), train[1][batch]).backward()
        optimizer.step()

ids = [str(row) for row in range(120)]  # without ids of their own, examples are called by their row
recipe = un.Recipe(optimizer=un.Adam(), epochs=20, batch_size=32)  # how it was trained; leave it out if you do not know
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net, train, ids, validation=held_out, factory=Net, recipe=recipe, seed=0)
print(done.record.applied.method, "-", done.record.applied.reason)
print(done.verdict, *done.verdict.sentences, sep="\n")
os.chdir(tempfile.mkdtemp())  # choose a place that stays
done.save("forgotten")  # done.model, a Net, as safetensors; record.json, report.html and the key
print("the record holds:", un.verify("forgotten", ids=ids).ok)
