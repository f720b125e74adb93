"""A healthy host whose parameters are drawn: a load that follows the day, and metrics that follow the load."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipeline.events import Kind
from pipeline.recordings import Recording

DAY = 86_400
MONDAY = int(pd.Timestamp("2026-06-01", tz="UTC").timestamp())


@dataclass
class Host:
    """Telemetry of one host.

    ``seconds`` are event times, shape (n_rows,); ``values`` and ``noise`` have a column and the standard deviation of
    the noise around its season for each metric; ``load`` is what the metrics follow.
    """

    rng: np.random.Generator
    seconds: np.ndarray
    step: int
    load: np.ndarray
    values: dict[str, np.ndarray] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def put(self, metric: str, level: np.ndarray, noise: float, memory: float) -> None:
        """Add a metric: a level, and noise that remembers itself."""
        self.noise[metric] = noise * self.rng.uniform(0.7, 1.4)
        red = red_noise(self.rng, len(level), self.noise[metric], memory)
        self.values[metric] = np.maximum(level + red, 0.0)

    def row(self, day: float, hour: float = 0.0) -> int:
        """Row at an hour of a day, both counted from 0."""
        return int((day * DAY + hour * 3600) // self.step)

    def rows(self, hours: float) -> int:
        """How many rows last so many hours, at least one."""
        return max(1, int(hours * 3600 // self.step))

    def recording(self, name: str) -> Recording:
        """The host as it was recorded; rows in which nothing was sent are not there."""
        metrics = sorted(self.values)
        values = np.column_stack([self.values[metric] for metric in metrics])
        sent = ~np.isnan(values).all(axis=1)
        kinds = np.array([self.kinds.get(metric, Kind.GAUGE) for metric in metrics], np.uint8)
        return Recording(name, metrics, self.seconds[sent] * 1_000_000_000, values[sent], kinds=kinds)


def healthy(
    rng: np.random.Generator, days: float, step: int = 60, zone: str = "UTC", begin: int = MONDAY, week: float = 1.0
) -> Host:
    """A host without any event.

    Parameters
    ----------
    rng
        Draws everything.
    days, step, begin
        Length, spacing and start, the last two in seconds.
    zone
        Whose clock the load follows.
    week
        Factor on the load of Mondays.
    """
    seconds = begin + np.arange(int(days * DAY / step)) * step
    local = seconds + _zone_offsets(seconds, zone)
    phase, shift = 2 * np.pi * (local % DAY) / DAY, rng.uniform(-0.6, 0.6)
    load = 0.5 + rng.uniform(0.15, 0.3) * np.sin(phase - 2.2 + shift)
    load += rng.uniform(0.02, 0.08) * np.sin(2 * phase + shift)
    load += red_noise(rng, len(seconds), rng.uniform(0.005, 0.02), 0.95)
    monday = (local // DAY + 3) % 7 == 0
    load = np.maximum(load * np.where(monday, week, 1.0), 0.03)
    host = Host(rng, seconds, step, load)
    host.put("cpu.utilization", 80 * load, 1.2, 0.3)
    host.put("memory.utilization", 40 + 12 * load, 0.15, 0.9)
    host.put("request.rate", 900 * load, 15.0, 0.2)
    host.put("request.latency", 20 + 40 * load**2, 1.0, 0.3)
    host.put("network.throughput", 4e7 * load, 6e5, 0.2)
    host.put("disk.io", np.full(len(seconds), rng.uniform(20, 60)), rng.uniform(1, 3), 0.1)
    host.values["queue.length"] = rng.lognormal(0.5, 0.5, len(seconds))
    host.noise["queue.length"] = 0.9
    return host


def red_noise(rng: np.random.Generator, n: int, deviation: float, memory: float) -> np.ndarray:
    """First-order autoregressive noise of a given standard deviation, shape (n,)."""
    steps = rng.normal(scale=deviation * np.sqrt(1 - memory**2), size=n) / (1 - memory)
    steps[0] = rng.normal(scale=deviation)
    return pd.Series(steps).ewm(alpha=1 - memory, adjust=False).mean().to_numpy(copy=True)


def _zone_offsets(seconds: np.ndarray, zone: str) -> np.ndarray:
    local = pd.to_datetime(seconds, unit="s", utc=True).tz_convert(ZoneInfo(zone)).tz_localize(None)
    return local.to_numpy("datetime64[s]").astype(np.int64) - seconds
