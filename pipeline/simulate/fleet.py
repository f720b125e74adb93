"""A healthy fleet: hosts whose metrics follow their load, the load following the hour of the day."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "Fleet", "healthy"]

Floats = npt.NDArray[np.float64]
ROLES = ("web", "api", "db", "cache")
METRICS = (
    "cpu.utilization",
    "memory.utilization",
    "disk.utilization",
    "network.throughput",
    "network.packet_loss",
    "request.rate",
    "request.latency",
    "error.rate",
)
DAY_MS = 86_400_000


@dataclass(slots=True)
class Fleet:
    """Simulated telemetry.

    Attributes
    ----------
    hosts
        Names, ``web-01`` and so on; the calls go from web to api to db and cache.
    times_ms
        Event times, shape (n_steps,).
    values
        By host, shape (n_steps, n_metrics); NaN where nothing was sent.
    """

    hosts: list[str]
    times_ms: npt.NDArray[np.int64]
    metrics: tuple[str, ...] = METRICS
    values: dict[str, Floats] = field(default_factory=dict)

    def column(self, host: str, metric: str) -> Floats:
        """One series as a view, shape (n_steps,)."""
        view: Floats = self.values[host][:, self.metrics.index(metric)]
        return view


def healthy(n_hosts: int, start_ms: int, n_steps: int, step_seconds: int = 60, seed: int = 0) -> Fleet:
    """Simulate a fleet without faults; equal arguments give equal values.

    Parameters
    ----------
    n_hosts
        Spread over the roles web, api, db and cache.
    start_ms
        Event time of the first step.
    n_steps, step_seconds
        Length and spacing.
    seed
        Of all randomness.
    """
    rng = np.random.default_rng(seed)
    hosts = [f"{ROLES[i % len(ROLES)]}-{i // len(ROLES) + 1:02d}" for i in range(n_hosts)]
    times = start_ms + np.arange(n_steps, dtype=np.int64) * step_seconds * 1000
    fleet = Fleet(hosts, times)
    day = 2 * np.pi * (times % DAY_MS) / DAY_MS
    for host in hosts:
        fleet.values[host] = _host(rng, _load(rng, day))
    return fleet


def _load(rng: np.random.Generator, day: Floats) -> Floats:
    """Load between 0 and 1: a day with its peak in the afternoon, and noise that remembers itself."""
    base = 0.45 + 0.25 * np.sin(day - 2.2 + rng.normal(scale=0.2)) + 0.06 * np.sin(2 * day + rng.uniform(0, 6))
    return np.clip(base + _red_noise(rng, len(day), 0.02), 0.02, 1.0)


def _red_noise(rng: np.random.Generator, n: int, scale: float, memory: float = 0.9) -> Floats:
    noise = rng.normal(scale=scale * np.sqrt(1 - memory**2), size=n)
    for t in range(1, n):
        noise[t] += memory * noise[t - 1]
    return noise


def _host(rng: np.random.Generator, load: Floats) -> Floats:
    n, size = len(load), rng.uniform(0.7, 1.3)
    columns = (
        100 * np.clip(0.08 + 0.7 * load * size + rng.normal(scale=0.012, size=n), 0, 1),
        100 * np.clip(0.42 + 0.15 * load + _red_noise(rng, n, 0.006, 0.98), 0, 1),
        100 * np.clip(rng.uniform(0.4, 0.6) + 0.00001 * np.arange(n) + rng.normal(scale=0.0008, size=n), 0, 1),
        4e7 * size * load + rng.normal(scale=4e5, size=n),
        np.abs(rng.normal(scale=0.02, size=n)),
        900 * size * load + rng.normal(scale=9.0, size=n),
        0.02 + 0.03 * load**2 + np.abs(rng.normal(scale=0.0015, size=n)),
        rng.poisson(2.0 * load * size).astype(np.float64) / 60,
    )
    return np.column_stack(columns)
