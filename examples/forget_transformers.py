"""Make a sequence classifier of transformers forget three texts."""

import numpy as np
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

import untrain as un


def build() -> PreTrainedModel:
    """A small model from its configuration; yours comes from `from_pretrained`."""
    return BertForSequenceClassification(
        BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    )


draw = np.random.default_rng(0)
labels = draw.integers(0, 2, 200)
tokens = draw.integers(5, 25, (200, 8)) + 20 * labels[:, None]  # what a tokenizer gives
texts = un.Examples.of({"input_ids": tokens, "attention_mask": np.ones_like(tokens)}, labels)
recipe = un.Recipe(optimizer=un.AdamW(lr=1e-3), epochs=5, batch_size=32)
net = un.Population.create(build, 1).train(texts, recipe).module()
# With a seed, the outcome is the same each time; a real request leaves it out, so that nobody can guess it.
done = un.forget(net, texts, ["3", "70", "120"], method="retrain", factory=build, recipe=recipe, seed=0)
print(type(done.model).__name__, done.verdict)
