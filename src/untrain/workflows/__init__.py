"""The verbs on a person's own model: forget, audit, doctor, repair; one file a verb."""
