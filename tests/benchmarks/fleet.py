"""A big fleet in OTLP, quick to write: one record a host and step, made of a template into which numbers are put."""

import numpy as np
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

METRICS_PER_HOST = 100
TIME_MARK, VALUE_MARK = 0x1122334455667788, 1.2345678901234567e300


class Fleet:
    """Hosts with a hundred gauges each, which wander around levels of their own.

    Parameters
    ----------
    n_series
        How many series; a multiple of a hundred.
    seed
        Draws the values.
    """

    def __init__(self, n_series, seed=1):
        self.n_hosts = n_series // METRICS_PER_HOST
        self.names = [f"host-{number:06d}" for number in range(self.n_hosts)]
        rows = [np.frombuffer(_template(name), np.uint8) for name in self.names]
        self._rows = np.vstack(rows)  # names of equal length: records of equal length
        first = rows[0].tobytes()
        self._times, self._values = _places(first, TIME_MARK, "<u8"), _places(first, VALUE_MARK, "<f8")
        self._chance = np.random.default_rng(seed)
        self._levels = self._chance.uniform(10, 90, (self.n_hosts, METRICS_PER_HOST))

    def step(self, time_ms, hosts=slice(None)):
        """Yield (host, record) of all hosts, or of some, at one time."""
        rows, n = self._rows[hosts], len(self._rows[hosts])
        values = self._levels[hosts] + self._chance.normal(0, 1, (n, METRICS_PER_HOST))
        rows[:, self._times] = np.frombuffer(np.uint64(time_ms * 1_000_000).tobytes(), np.uint8)
        rows[:, self._values] = values.astype("<f8").view(np.uint8).reshape(n, METRICS_PER_HOST, 8)
        self._rows[hosts] = rows
        yield from zip(self.names[hosts], (row.tobytes() for row in rows), strict=True)


def _template(name):
    data = MetricsData()
    resource = data.resource_metrics.add()
    attribute = resource.resource.attributes.add(key="host.name")
    attribute.value.string_value = name
    scope = resource.scope_metrics.add()
    for number in range(METRICS_PER_HOST):
        point = scope.metrics.add(name=f"system.metric_{number:03d}", unit="1").gauge.data_points.add()
        point.time_unix_nano, point.as_double = TIME_MARK, VALUE_MARK
    return data.SerializeToString()


def _places(record, mark, kind):
    """Where the eight bytes of a mark stand in a record, shape (n, 8)."""
    wanted, places, at = np.array(mark, kind).tobytes(), [], -1
    while (at := record.find(wanted, at + 1)) >= 0:
        places.append(at)
    assert len(places) == METRICS_PER_HOST
    return np.array(places)[:, None] + np.arange(8)
