"""A word to the processor which memory will be needed soon, so that it is there by then.

With a million series nothing of one is in a cache when its next sample comes, and what is kept of it lies in a dozen
arrays. A loop that asks for the rows of the next series while it works on this one waits for none of them. Asking
changes nothing, and what lies in a cache already costs next to nothing to ask for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.kernels.layout import INNER

__all__ = ["AHEAD", "SOON", "ask_for_places", "ask_for_state", "fetch"]

# how many rows beforehand the state of a series is asked for, and then the places that its state tells
AHEAD, SOON = 8, 4
LINE = 64  # bytes
READ, KEEP, DATA = 0, 3, 1  # of llvm.prefetch: not to write alone, into all caches, no code


def _fetch_nothing(array: Any, at: tuple[int, ...]) -> None:
    """Without a compiler nobody is asked."""


def _fetch(typing_context: Any, array: Any, at: Any) -> Any:
    """Ask for the line of memory in which array[at] lies, ``at`` being a tuple of int64 within bounds."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind, indices = signature.args
        whole = context.make_array(kind)(context, builder, values[0])
        place = cgutils.get_item_pointer(
            context, builder, kind, whole, cgutils.unpack_tuple(builder, values[1], len(indices)), wraparound=False
        )
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
        builder.call(prefetch, [builder.bitcast(place, pointer), *(number(word) for word in (READ, KEEP, DATA))])
        return context.get_dummy_value()

    return types.void(array, types.UniTuple(types.int64, len(at))), generate


fetch: Any = _fetch_nothing if config.DISABLE_JIT else intrinsic(_fetch)  # type: ignore[attr-defined]


@njit(**INNER, forceinline=True)
def ask_for_state(b, i, slot, hour):
    """Ask for the baselines of series ``i``, as far as a row at a slot of the day and an hour of the week needs them.

    Parameters
    ----------
    b : BaselineState
    i, hour : int64
    slot : float64
    """
    for j in range(0, b.levels.shape[1], LINE // 8):
        fetch(b.levels, (i, j))
    for j in range(0, b.scales.shape[1], LINE // 4):
        fetch(b.scales, (i, j))
    fetch(b.day, (i, np.int64(slot), 0))
    fetch(b.seen, (i, np.int64(slot)))
    fetch(b.week, (i, hour))


@njit(**INNER, forceinline=True)
def ask_for_places(b, i, n_rows):
    """Ask for where the next row of series ``i`` will be noted, once it has had so many (float64)."""
    n, n_notes = np.int64(n_rows), b.note_at.shape[1]
    fetch(b.ring, (i, n % b.ring.shape[1]))
    if n_notes > 0:
        fetch(b.note_at, (i, n % n_notes, 0))
        fetch(b.note_day, (i, n % n_notes, 0))
        fetch(b.note_week, (i, n % n_notes))
