"""How the jobs of an experiment are done."""
