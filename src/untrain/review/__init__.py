"""Review of suspects: a local page on which a person decides with one key, and what comes of the decisions."""
