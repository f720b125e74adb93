"""The numba of compiled scorers, one file an idea."""
