"""Room in arrays: zeros that nobody has written, so that they take no memory before they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.image import copy_rows
from pipeline.kernels import layout as k
from pipeline.kernels import silence as q

__all__ = ["begin", "empty_rows", "empty_state", "grown", "log_room", "note_room", "roomy"]

# beside two horizons of samples: those that taught the rhythm, and one or two that fall on borders
SPARE = k.N_LEARN + 4


def roomy(array: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The array, or its rows at the head of one of twice the length if there are fewer than ``n``."""
    if n <= len(array):
        return array
    larger = np.zeros((2 * n, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def log_room(horizon: int) -> int:
    """How many samples the log of a series has room for."""
    return 2 * horizon + SPARE


def note_room(horizon: int) -> int:
    """How many rows of a series can be undone: one for each logged sample, and the cell that was open before."""
    return log_room(horizon) + 1 if horizon else 0


def empty_state(n_series: int, n_entities: int, horizon: int) -> k.GridState:
    """Room for so many series and entities, of which none has begun; ``horizon`` in steps."""
    n_logged = log_room(horizon)
    clock = np.zeros(q.N_CLOCK_COLUMNS, np.int64)
    clock[q.TOP_ENTITY] = -1
    return k.GridState(
        np.zeros(n_series, np.uint8),
        np.zeros((n_series, k.N_SERIES_COLUMNS), np.int64),
        np.zeros((n_series, k.N_VALUE_COLUMNS)),
        np.zeros((n_entities, k.N_ENTITY_COLUMNS), np.int64),
        np.zeros((n_entities, q.N_EAR_COLUMNS), np.int64),
        clock,
        np.zeros((n_entities, k.N_EDGE_COLUMNS), np.int64),
        np.zeros((n_series, 2, k.ENTITY), np.int64),
        np.zeros((n_series, 2, k.N_VALUE_COLUMNS)),
        np.zeros((n_entities, 2, k.FIRST_SERIES), np.int64),
        np.zeros((n_series, n_logged), np.int64),
        np.zeros((n_series, n_logged), np.int32),
        np.zeros((n_series, n_logged)),
    )


def begin(state: k.GridState, series: slice, entities: slice) -> None:
    """Let series and entities begin that have brought nothing yet, settled as they are."""
    whole, entity = state.whole[series], state.entity[entities]
    whole[:, [k.CELL, k.CLOSED]] = k.NO_CELL
    whole[:, k.FILLED] = k.NO_CELL - 1
    whole[:, k.RANK_AT] = -1
    entity[:, k.DUE] = 2**62
    entity[:, [k.FIRST_SERIES, k.GROUP_AT]] = -1
    state.edges[entities, k.OLDER] = 1
    state.settled_whole[series] = whole[:, None, : k.ENTITY]
    state.settled_entity[entities] = entity[:, None, : k.FIRST_SERIES]


def grown(state: k.GridState, n_series: int, n_entities: int, horizon: int) -> k.GridState:
    """Double the room until it fits; what is there keeps its place."""
    had_series, had_entities = len(state.kinds), len(state.entity)
    is_other = state.log_value.shape[1] != log_room(horizon)
    if n_series <= had_series and n_entities <= had_entities and not is_other:
        return state
    room = max(had_series, 2 * n_series if n_series > had_series else 0)
    entities = max(had_entities, 2 * n_entities if n_entities > had_entities else 0)
    larger = empty_state(room, entities, horizon)
    for name, old in state._asdict().items():
        new = getattr(larger, name)
        common = tuple(slice(0, min(sizes)) for sizes in zip(old.shape, new.shape, strict=True))
        copy_rows(old[common], new[common])
    return larger


def empty_rows(n_rows: int, n_notices: int, n_entities: int) -> k.GridRows:
    """Room for what leaves the grid in one call."""
    return k.GridRows(
        np.zeros((n_rows, k.N_ROW_COLUMNS), np.int64),
        np.zeros(n_rows),
        np.zeros((n_notices, q.N_NOTICE_COLUMNS), np.int64),
        np.zeros((n_entities, 2), np.int64),
        np.zeros(n_rows, np.int64),
        np.zeros((n_rows, 3), np.int64),
        np.zeros(2 * k.N_LEARN, np.int64),
        np.zeros(5, np.int64),
        np.zeros(k.N_FATES, np.int64),
    )
