"""What every other room may use: files, randomness, registries, text, version. No torch here."""
