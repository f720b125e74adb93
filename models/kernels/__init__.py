"""The numba of compiled scorers, one file an idea."""

from pathlib import Path

from models.kernels.keeping import keep_compiled

keep_compiled(Path(__file__).parent)
