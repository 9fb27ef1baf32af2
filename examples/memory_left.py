"""Draw how much of 20 forgotten digits is left in models of four methods.

python examples/memory_left.py [PICTURE]
"""

import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import untrain as un
from untrain.auditing import memory

METHODS = ("finetune", "gradient-reinit:small", "prune-entropy:small", "retrain")
MODELS = 12

digits = un.split(un.load("digits"))
sets = un.forget_ids(digits.train, digits.train.ids[:20])
build = un.factory(un.CNN(widths=(8, 16)), (1, 8, 8), 10)
recipe = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), schedule=un.Cosine(), epochs=15)
original = un.Population.create(build, 1).train(digits.train, recipe)
retrained = un.Population.create(build, 19, seed=1).train(sets.retain, recipe)
request = un.Request(sets.forget, sets.retain, recipe)
never, before = retrained.confidences(sets.forget), original.confidences(sets.forget)[0]

figure, axes = plt.subplots(figsize=(8, 2.6))
for row, method in enumerate(METHODS):
    models = un.build_method(method).forget(original.repeat(MODELS, streams=un.Streams(2)), request)
    left = np.array([memory(confidences, never, before).left.value for confidences in models.confidences(sets.forget)])
    print(f"{method:22} memory left {left.mean():5.2f}   test accuracy {models.accuracy(digits.test).mean():.1%}")
    axes.scatter(left, np.full(MODELS, -row), s=45, alpha=0.6)
axes.axvline(0, color="gray", lw=0.8)
axes.axvline(1, color="gray", lw=0.8)
axes.set_yticks(range(0, -len(METHODS), -1), METHODS)
axes.set_xticks([0, 1], ["0: never saw the examples", "1: as the original"])
axes.set_title("memory left, one dot a model", loc="left", fontsize=11)
figure.tight_layout()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "memory-left.png", dpi=80)
