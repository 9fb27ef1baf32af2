"""Make a classifier forget 29 handwritten digits, and measure how well it did."""

import untrain as un

digits = un.load("digits")
parts = un.split(digits)
sets = un.forget_ratio(parts.train, 0.02)
build = un.factory(un.CNN(widths=(8, 16)), digits.inputs.shape[1:], len(digits.classes))
recipe = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), schedule=un.Cosine(), epochs=10)
original = un.Population.create(build, 1).train(parts.train, recipe)
retrained = un.Population.create(build, 32, seed=1).train(sets.retain, recipe)  # what forgetting should come to
request = un.Request(sets.forget, sets.retain, recipe)
unlearned = un.build_method("prune-entropy:small").forget(original.repeat(32, streams=un.Streams(2)), request)
quality = un.forget_quality(unlearned.confidences(sets.forget), retrained.confidences(sets.forget))
print(f"F = {quality.score:.3f} at N = {quality.models}; test accuracy {unlearned.accuracy(parts.test).mean():.3f}")
