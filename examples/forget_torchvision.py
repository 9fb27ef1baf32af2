"""Make a ResNet of torchvision forget three pictures."""

import numpy as np
from sklearn.datasets import load_digits
from torch import nn
from torchvision.models import resnet18

import untrain as un


def build() -> nn.Module:
    """A new network; with `weights=...`, tell `forget` where they come from: pretrained="ImageNet, torchvision"."""
    network: nn.Module = resnet18(num_classes=10)
    return network


digits = load_digits()
pictures = np.repeat(digits.images[:200, None] / 16, 3, axis=1).astype(np.float32)  # three channels
labels = digits.target[:200]
recipe = un.Recipe(optimizer=un.AdamW(lr=1e-3), schedule=un.Cosine(), epochs=20, batch_size=40)
net = un.Population.create(build, 1).train(un.Examples.of(pictures, labels), recipe).module()  # or your own loop
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net, (pictures, labels), ["3", "70", "120"], method="retrain", factory=build, recipe=recipe, seed=0)
print(type(done.model).__name__, done.verdict)
