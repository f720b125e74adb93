"""The job under faults of every kind, compared with a run that met none: ``python -m tests.chaos --help``."""
