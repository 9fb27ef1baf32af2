"""An experiment with wrong labels: its work and its results."""
