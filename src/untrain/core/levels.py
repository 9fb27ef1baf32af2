"""The level at which models are told apart, and how many models that takes."""

ALPHA = 0.05
"""A p-value of at most this tells a model from retrained ones."""

FEWEST_MODELS = 19
"""Retrained models below which no p-value reaches `ALPHA`."""

MEMORY_LIMIT = 0.5
"""The interval of the memory left must end below this for the outcome `forgotten`."""
