"""Scorers that ship with untrain, one file each; they are found by name through entry points."""
