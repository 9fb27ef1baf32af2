"""A method and a detector for untrain, as an example."""
