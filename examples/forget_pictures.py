"""Make an image classifier of transformers forget three pictures."""

import numpy as np
from sklearn.datasets import load_digits
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

import untrain as un


def build() -> PreTrainedModel:
    """A small model from its configuration; yours comes from `from_pretrained`."""
    config = ViTConfig(
        image_size=8, patch_size=2, num_channels=1,
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
    )  # fmt: skip
    return ViTForImageClassification(config)


digits = load_digits(n_class=2)
pixels = (digits.images[:, None] / 16).astype(np.float32)  # what an image processor gives
pictures = un.Examples.of({"pixel_values": pixels}, digits.target)
recipe = un.Recipe(optimizer=un.AdamW(lr=3e-3), schedule=un.Cosine(), epochs=40, batch_size=32)
net = un.Population.create(build, 1).train(pictures, recipe).module()
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net, pictures, ["3", "70", "120"], method="retrain", factory=build, recipe=recipe, seed=0)
print(type(done.model).__name__, done.verdict)
