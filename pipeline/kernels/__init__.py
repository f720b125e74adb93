"""The compiled loops, one idea a file; each trusts its caller and has a naive twin in the tests."""

from pathlib import Path

from pipeline.kernels.staleness import forget_stale

forget_stale(Path(__file__).parent)
