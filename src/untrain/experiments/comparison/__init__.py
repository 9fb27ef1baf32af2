"""A comparison of unlearning methods: its work and its results."""
