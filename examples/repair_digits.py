"""Make three in ten labels of handwritten digits wrong, train on them, and repair what was learned."""

import untrain as un

parts = un.split(un.load("digits"), test=0.3)
noisy = un.mislabel(parts.train, un.symmetric_noise(10, 0.3))
build = un.factory(un.CNN(widths=(16, 32)), parts.train.inputs.shape[1:], len(parts.train.classes))
recipe = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), schedule=un.Cosine(), epochs=15)
original = un.Population.create(build, 1).train(noisy.examples, recipe)
repaired = un.repair(original, noisy.examples, recipe=recipe)  # detects, forgets, and refuses what is worse
found = repaired.suspects
wrong = set(noisy.examples.ids[noisy.mislabelled]) & set(found.examples.ids)  # some examples were held out
right = len(wrong.intersection(found.examples.ids[found.flagged]))
print(f"{len(wrong)} labels are wrong; {len(found.flagged)} were flagged, {right} of them rightly")
print(repaired.verdict)
after = un.Population.from_module(repaired.model)
print(f"accuracy on clean test data: {original.accuracy(parts.test)[0]:.3f}, then {after.accuracy(parts.test)[0]:.3f}")
