"""The only numba of the pipeline, one file an idea; what was compiled of other sources than these is forgotten."""

from pathlib import Path

from pipeline.kernels.staleness import forget_stale

forget_stale(Path(__file__).parent)
