"""The level at which models are told apart, and how many models that takes."""

ALPHA = 0.05
"""A p-value of at most this tells a model from retrained ones."""

FEWEST_MODELS = 19
"""Retrained models below which no p-value reaches `ALPHA`."""

RETAIN_MARGIN = 0.02
"""A model whose accuracy on the retain set is below all retrained models' by more than this differs from them."""

MEMORY_LIMIT = 0.5
"""The interval of the memory left must end below this for the outcome `forgotten`."""
