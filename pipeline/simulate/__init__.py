"""A fleet that does not exist, with faults whose truth is known: input for the demo, for tests and for trying out."""
