"""Two settled copies of whatever adapts, one always at least a horizon old, to which late data takes entities back.

Nothing needs to be known of the arrays but what a row stands for: see :class:`pipeline.image.Table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.image import Axis, Table

__all__ = ["Rows", "Settled"]

Rows = Mapping[Axis, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""By axis: ids, and for each the copy that is meant; arrays of shape (n_ids,)."""


class Settled:
    """The copies; each has shape (n_rows, 2, ...) where its table has (n_rows, ...)."""

    def __init__(self) -> None:
        self._copies: dict[str, npt.NDArray[Any]] = {}

    def adopt(self, tables: Mapping[str, Table], known: Mapping[Axis, int], now: Mapping[Axis, int]) -> None:
        """Make room for new rows, settled as they begin: of each axis from the ``known`` ones on, up to ``now``.

        Copies of tables that are no more are given up; of a table that is new, all rows are settled as they are.
        """
        self._copies = {name: copies for name, copies in self._copies.items() if name in tables}
        for name, table in tables.items():
            old = self._copies.get(name)
            n = known[table.axis] if old is not None else 0
            fresh = slice(n, now[table.axis])
            if old is None or len(old) < len(table.array):  # room that is not used yet stays untouched memory
                rows, *columns = table.array.shape
                self._copies[name] = np.zeros((rows, 2, *columns), table.array.dtype)
                if old is not None:
                    self._copies[name][:n] = old[:n]
            self._copies[name][fresh] = table.array[fresh, None]

    def keep(self, tables: Mapping[str, Table], rows: Rows) -> None:
        """Overwrite one copy of each row with what stands now."""
        for name, table in tables.items():
            self._copies[name][rows[table.axis]] = table.array[rows[table.axis][0]]

    def restore(self, tables: Mapping[str, Table], rows: Rows) -> None:
        """Let one copy of each row stand again."""
        for name, table in tables.items():
            table.array[rows[table.axis][0]] = self._copies[name][rows[table.axis]]

    def copy_of(self, name: str, rows: Rows, axis: Axis, column: int) -> npt.NDArray[Any]:
        """One column of the copies that are meant, shape (n_ids,)."""
        column_of: npt.NDArray[Any] = self._copies[name][(*rows[axis], column)]
        return column_of

    def tables(self, tables: Mapping[str, Table]) -> dict[str, Table]:
        """The copies as tables themselves."""
        return {name: Table(tables[name].axis, array) for name, array in self._copies.items()}
