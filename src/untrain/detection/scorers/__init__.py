"""The scorers of untrain, found by name through entry points."""
