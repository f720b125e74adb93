"""A simulated fleet as what others read: records as agents send them, or tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pipeline.codecs.encode import Encode
from pipeline.events import Kind
from pipeline.simulate.fleet import UNITS
from pipeline.simulate.telemetry import Stretch

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["long_table", "records_of", "wide_table"]


def records_of(stretch: Stretch, encode: Encode) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (event time in ms, key, value) in order of time, one record a host and step, keyed by host.

    A host that says nothing has no record.
    """
    metrics = stretch.fleet.metrics
    columns = [(host, host.encode(), values.tolist()) for host, values in stretch.values.items()]
    for step, time_ms in enumerate(stretch.times_ms.tolist()):
        for host, key, values in columns:
            rows = [
                (host, metric, (), time_ms * 1_000_000, value, Kind.GAUGE)
                for metric, value in zip(metrics, values[step], strict=True)
                if value == value
            ]
            if rows:
                yield time_ms, key, encode(rows, UNITS)


def wide_table(stretch: Stretch, host: str) -> pd.DataFrame:
    """One host as a table: ``timestamp`` and a column a metric; steps at which it said nothing are not in it."""
    import pandas as pd

    spoke = ~np.isnan(stretch.values[host]).all(axis=1)
    frame = pd.DataFrame(stretch.values[host][spoke], columns=list(stretch.fleet.metrics))
    frame.insert(0, "timestamp", pd.to_datetime(stretch.times_ms[spoke], unit="ms", utc=True))
    return frame


def long_table(stretch: Stretch) -> pd.DataFrame:
    """All hosts as one table: ``timestamp, entity, metric, value``, in order of time."""
    import pandas as pd

    wide = pd.concat([wide_table(stretch, host).assign(entity=host) for host in stretch.values])
    table = wide.melt(id_vars=["timestamp", "entity"], var_name="metric", value_name="value")
    return table.sort_values(["timestamp", "entity"], kind="stable", ignore_index=True)
