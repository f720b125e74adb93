"""Noise that is a function of time: any stretch of it equals the same stretch of a longer one."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

__all__ = ["red", "white"]

Floats = npt.NDArray[np.float64]
BLOCK = 1024
MEMORY, TAPS = 0.9, 64


def white(seed: int, name: str, first: int, n: int) -> Floats:
    """Independent standard normal values of the steps ``first`` to ``first + n``, shape (n,).

    Parameters
    ----------
    seed, name
        Equal ones give equal noise, different ones independent noise.
    first
        Number of the first step since 1970.
    n
        How many steps.
    """
    blocks = range(first // BLOCK, -(-(first + n) // BLOCK))
    drawn = [np.random.default_rng((seed, crc32(name.encode()), block)).standard_normal(BLOCK) for block in blocks]
    at = first - blocks.start * BLOCK
    found: Floats = np.concatenate(drawn)[at : at + n] if drawn else np.empty(0)
    return found


def red(seed: int, name: str, first: int, n: int) -> Floats:
    """Noise of variance 1 that remembers itself for about ten steps, shape (n,)."""
    weights = MEMORY ** np.arange(TAPS)
    drawn = white(seed, name, first - TAPS + 1, n + TAPS - 1)
    found: Floats = np.convolve(drawn, weights / np.sqrt(np.sum(weights**2)), "valid")
    return found
