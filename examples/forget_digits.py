"""Make a classifier forget 29 handwritten digits, and measure how well it did."""

import untrain

examples = untrain.load("digits")
parts = untrain.split(examples)
sets = untrain.forget_ratio(parts.train, 0.02)
build = untrain.factory(untrain.CNN(widths=(8, 16)), examples.inputs.shape[1:], len(examples.classes))
recipe = untrain.Recipe(optimizer=untrain.SGD(lr=0.05, momentum=0.9), schedule=untrain.Cosine(), epochs=10)

original = untrain.Population.create(build, 1, seed=0).train(parts.train, recipe)
retrained = untrain.Population.create(build, 32, seed=1).train(sets.retain, recipe)
request = untrain.Request(sets.forget, sets.retain, recipe)
unlearned = untrain.build_method("prune-entropy:small").forget(original.repeat(32, streams=untrain.Streams(2)), request)

quality = untrain.forget_quality(unlearned.confidences(sets.forget), retrained.confidences(sets.forget))
print(f"F = {quality.score:.3f} at N = {quality.models}; test accuracy {unlearned.accuracy(parts.test).mean():.3f}")
