"""What the grid of a partition is made of: the arrays that it owns, their columns, and what leaves it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# How kernels are compiled that hand the tuples below on for each sample: without counting references to their arrays,
# which costs more than all that they do (measured: five times). Such a kernel must not allocate. With ``forceinline``
# beside it a small one becomes one with its caller: dozens of array fields are not handed to it then. Meanwhile other
# threads may run, such as that of a commit under way; only the job's own touches the arrays.
LEAN: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
# A kernel that only kernels call has no door for Python, which takes longer to compile than what is behind it: calling
# one from Python is a crash, and a test sees that nobody does.
INNER: dict[str, Any] = {**LEAN, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
N_LEARN = 8
NO_CELL = np.int64(-(2**62))
LADDER_MS = np.array([1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000], dtype=np.int64)
COUNTER, DELTA, TREATMENT, STALE, REVOKED = 1, 2, 3, 16, 32
# what became of a sample: rows of the counts array; what is TAKEN_BACK is counted when its entity is replayed
ON_GRID, REPLACED, DUPLICATE, LATE, FIRST, NON_FINITE, REFUSED, WAITING, TAKEN_BACK, N_FATES = range(10)
# what is DEFERRED comes again once its entity was replayed
DEFERRED = -1
# columns of the integer series state; those before ENTITY are settled
STEP, ORIGIN, CELL, CLOSED, LAST, START, SINCE, FILLED, ENTITY, NEXT, RANK, RANK_AT = range(12)
# how many samples the log of the series holds, and which is the first since the newer settled copy
LOGGED, SINCE_NEWER, N_SERIES_COLUMNS = range(12, 15)
# columns of the float series state
VALUE, RAW, INCREASE, N_VALUE_COLUMNS = range(4)
# columns of the integer entity state; those before FIRST_SERIES are settled
WATERMARK, DUE, RHYTHM, N_CLOSED, CLOSED_AT, FIRST_SERIES, WAVE, GROUP_AT, RANK_MAX, N_ENTITY_COLUMNS = range(10)
# columns of an entity's settled copies: which is the older and where it ends, the same of the newer, and by which
# record a late sample has called for the older one (0: by none, FULL: by so many that the log has no room)
OLDER, OLDER_EDGE, NEWER, NEWER_EDGE, CALLED_BY, N_EDGE_COLUMNS = range(6)
# the fate of a sample that waits to be replayed; an edge that no sample reaches
NOTED, FATES = 15, 16
NOWHERE = np.int64(2**62)
FULL = -1
# one more than how long before its time a sample's interval began, in ms: where nobody said so, and from 24 days on
UNSAID, LONG_AGO = 0, 2**31 - 1
# columns of the rows that leave the grid; ROW_SETTLED is 1 + the copy into which the entity is to be settled after it
ROW_SERIES, ROW_TIME, ROW_GAP, ROW_TRIGGER, ROW_WAVE, ROW_WAITED, ROW_SETTLED, N_ROW_COLUMNS = range(8)


class GridState(NamedTuple):
    """The arrays that the grid of one partition owns; rows are series or entities, columns as named above.

    Columns of ``ears`` and ``clock`` are named in :mod:`pipeline.kernels.silence`. A logged sample is its time and fate
    as time x FATES + fate, how long before that its interval began, and its value.
    """

    kinds: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.int64]
    part: npt.NDArray[np.float64]
    entity: npt.NDArray[np.int64]
    ears: npt.NDArray[np.int64]
    clock: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]
    settled_whole: npt.NDArray[np.int64]
    settled_part: npt.NDArray[np.float64]
    settled_entity: npt.NDArray[np.int64]
    log: npt.NDArray[np.int64]
    log_ago: npt.NDArray[np.int32]
    log_value: npt.NDArray[np.float64]


class GridRows(NamedTuple):
    """Preallocated room for what leaves the grid in one call; ``used`` counts all but ``counts``.

    Rows of ``called`` are an entity to which a late sample came, and the row of its record; ``deferred`` are the
    positions of later samples of such entities; rows of ``late`` are entity, event time and record of each late sample;
    ``waited`` is scratch for twice the times that teach a rhythm.
    """

    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    notices: npt.NDArray[np.int64]
    called: npt.NDArray[np.int64]
    deferred: npt.NDArray[np.int64]
    late: npt.NDArray[np.int64]
    waited: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
