"""A poll's records to columns in one walk over their bytes, each by the rules of its own format, for known series.

What is never seen before or odd stops the walk at that record, which is left without a trace: its format's own decoder
is the judge of it.
"""

from __future__ import annotations

from numba import njit

from pipeline.kernels import influx, otlp, plain_json
from pipeline.kernels.columns import mark, settle
from pipeline.kernels.layout import LEAN

__all__ = ["INFLUX", "OTLP", "PLAIN_JSON", "walk"]

OTLP, INFLUX, PLAIN_JSON = range(3)  # formats of a batch's records
write_otlp, write_influx, write_json = otlp.write_record, influx.write_record, plain_json.write_record


@njit(**LEAN)
def walk(batch, first, table, out, taught):
    """Write the samples of records from row ``first`` on, until one needs the judge or the room is full.

    Parameters
    ----------
    batch : Batch
        The records; nothing in them is trusted.
    first : int
    table : Table
        Of identities.
    out : Columns
        Filled behind ``used[ROWS]``.
    taught : Taught
        Columns of no samples; while learning, those of the one record given.

    Returns
    -------
    int
        Row of the record that stopped the walk, of which nothing is written (LACKS_ROOM says whether it only found
        no room); the number of records at the end.
    """
    data, bounds = batch.data, batch.bounds
    for record in range(first, bounds.size - 1):
        before, begin, end = mark(out), bounds[record], bounds[record + 1]
        if batch.formats[record] == OTLP:
            good = write_otlp(data, begin, end, table, out, taught)
        elif batch.formats[record] == INFLUX:
            good = write_influx(data, begin, end, batch.times[record], table, out, taught)
        else:
            good = write_json(data, begin, end, table, out, taught)
        settle(good, record, before, out)
        if not good:
            return record
    return bounds.size - 1
