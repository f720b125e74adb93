"""The compiled loops, one idea a file; each trusts its caller and has a naive twin in the tests."""

from pathlib import Path

from models.kernels.keeping import keep_compiled

keep_compiled(Path(__file__).parent)
