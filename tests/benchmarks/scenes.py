"""Scenes: one host with one fault of a kind, or with one innocent event that looks a little like it.

All parameters are drawn from ranges. Sizes are in standard deviations of the metric's own noise around its season, so
that a scene is as hard as it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import hosts
import numpy as np
import pandas as pd

from pipeline.events import Kind

NOISY = ("cpu.utilization", "request.rate", "request.latency", "network.throughput", "disk.io")
SEASONAL = ("cpu.utilization", "request.rate", "request.latency", "network.throughput")
SUMMER_TIME = int(pd.Timestamp("2026-03-23", tz="UTC").timestamp())  # the clock changes on day 6
# what a host has behind it when its fault comes: little, or as much as makes most of it known
HISTORY_DAYS, LONG_HISTORY_DAYS = 3.0, 12.0


@dataclass
class Scene:
    """A host with its event in rows [start, end); ``metric`` is at fault, "" for an innocent event."""

    host: hosts.Host
    start: int
    end: int
    metric: str = ""
    track: str = "behaviour"


def _scene(rng: np.random.Generator, days: float, metrics: tuple[str, ...], hours: tuple[float, float]) -> Scene:
    """A host with so many days of history and a place for its event on the next."""
    host = hosts.healthy(rng, days + 1.5, step=int(rng.choice([60, 60, 300])))
    start = host.row(days, rng.uniform(1, 20))
    return Scene(host, start, start + host.rows(rng.uniform(*hours)), str(rng.choice(metrics)))


def _add(scene: Scene, sizes: np.ndarray | float) -> Scene:
    host, metric = scene.host, scene.metric
    host.values[metric][scene.start : scene.end] += np.asarray(sizes) * host.noise[metric]
    np.maximum(host.values[metric], 0.0, out=host.values[metric])
    return scene


def spike(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A few steps far too high."""
    scene = _scene(rng, days, NOISY, (0, 0))
    scene.end = scene.start + int(rng.integers(2, 7))
    return _add(scene, rng.uniform(10, 25))


def dip(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A few steps near zero."""
    scene = _scene(rng, days, ("cpu.utilization", "request.rate", "network.throughput"), (0, 0))
    scene.end = scene.start + int(rng.integers(3, 9))
    scene.host.values[scene.metric][scene.start : scene.end] *= rng.uniform(0.0, 0.25)
    return scene


def level_shift(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """Hours at another level."""
    return _add(_scene(rng, days, NOISY, (2, 6)), rng.uniform(6, 15) * rng.choice([1, 1, -1]))


def trend(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A leak: hours of slow growth that no single step shows."""
    scene = _scene(rng, days, ("memory.utilization", "request.latency", "disk.io"), (4, 10))
    return _add(scene, np.linspace(0, rng.uniform(20, 50), scene.end - scene.start))


def variance(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """Restless around the usual level."""
    scene = _scene(rng, days, NOISY, (1, 4))
    return _add(scene, rng.normal(scale=rng.uniform(4, 8), size=scene.end - scene.start))


def flatline(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A sensor that repeats its last value."""
    scene = _scene(rng, days, NOISY, (2, 6))
    column = scene.host.values[scene.metric]
    column[scene.start : scene.end] = column[scene.start - 1]
    return scene


def season(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """The load comes at another hour, and what follows it with it: no value is strange, only its time."""
    scene = _scene(rng, days, ("",), (6, 12))
    half = scene.host.row(0.5)
    for metric in (*SEASONAL, "memory.utilization"):
        column = scene.host.values[metric]
        column[scene.start : scene.end] = column[scene.start - half : scene.end - half]
    return scene


def correlation(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A metric mirrors the load that it followed: each value is usual, their company is not."""
    scene = _scene(rng, days, ("cpu.utilization", "request.latency", "network.throughput"), (3, 8))
    column = scene.host.values[scene.metric]
    before = column[: scene.start]
    event = column[scene.start : scene.end]
    column[scene.start : scene.end] = np.clip(2 * before.mean() - event, before.min(), before.max())
    return scene


def silence(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """The host says nothing, its neighbours go on."""
    scene = _scene(rng, days, ("",), (0.75, 3))
    scene.track = "silence"
    for column in scene.host.values.values():
        column[scene.start : scene.end] = np.nan
    return scene


def exhaustion(rng: np.random.Generator, days: float = HISTORY_DAYS) -> Scene:
    """A disk that fills in half a day to two days, with the small ups and downs of a living one."""
    scene = _scene(rng, days, ("disk.utilization",), (1, 1))
    host, full = scene.host, rng.uniform(14, 48)
    level = np.full(len(host.seconds), rng.uniform(50, 75))
    hours = (host.seconds - host.seconds[scene.start]) / 3600
    level += np.maximum(hours, 0.0) * (100 - level[0]) / full
    host.put("disk.utilization", np.minimum(level, 100.0), 0.05, 0.5)
    host.values["disk.utilization"] = np.minimum(host.values["disk.utilization"], 100.0)
    scene.end = min(len(host.seconds), scene.start + host.rows(full))
    scene.track = "exhaustion"
    return scene


def ordinary_day(rng: np.random.Generator) -> Scene:
    """Nothing at all: how often a healthy host's fifth day has an incident."""
    host = hosts.healthy(rng, HISTORY_DAYS + 2)
    return Scene(host, host.row(HISTORY_DAYS + 1), len(host.seconds))


def clean(rng: np.random.Generator, days: float) -> hosts.Host:
    """A healthy host of a fleet, of some days."""
    return hosts.healthy(rng, days, step=300)


def nightly_backup(rng: np.random.Generator) -> Scene:
    """Every night at nearly the same time a burst of disk and network; the eighth is looked at."""
    host = hosts.healthy(rng, 8.5)
    hour, hours = rng.uniform(1, 5), rng.uniform(0.4, 1.0)
    sizes = {metric: rng.uniform(10, 25) * host.noise[metric] for metric in ("disk.io", "network.throughput")}
    for day in range(8):
        start = host.row(day, hour) + int(rng.integers(-3, 4))
        for metric, size in sizes.items():
            host.values[metric][start : start + host.rows(hours)] += size
    return Scene(host, host.row(7, hour - 0.5), host.row(7, hour + hours + 1))


def deploy(rng: np.random.Generator) -> Scene:
    """A release: latency jumps and settles within minutes, memory stays a little higher."""
    host = hosts.healthy(rng, HISTORY_DAYS + 1.5)
    start = host.row(HISTORY_DAYS, rng.uniform(7, 18))
    minutes = (host.seconds[start:] - host.seconds[start]) / 60
    settling = rng.uniform(2, 5) * np.exp(-minutes / rng.uniform(4, 12)) + rng.uniform(-1, 1)
    host.values["request.latency"][start:] += settling * host.noise["request.latency"]
    host.values["memory.utilization"][start:] += rng.uniform(1, 2.5) * host.noise["memory.utilization"]
    return Scene(host, start, len(host.seconds))


def busy_monday(rng: np.random.Generator) -> Scene:
    """Mondays are busier; the fifth is looked at."""
    host = hosts.healthy(rng, 29, step=300, week=rng.uniform(1.2, 1.5))
    return Scene(host, host.row(28), host.row(29))


def counter_reset(rng: np.random.Generator) -> Scene:
    """A process restarts, its counters begin at zero again."""
    host = hosts.healthy(rng, HISTORY_DAYS + 1.5)
    start = host.row(HISTORY_DAYS, rng.uniform(1, 20))
    total = np.cumsum(host.values.pop("network.throughput") * host.step)
    total[start:] -= total[start - 1] + rng.uniform(0, 1) * (total[start] - total[start - 1])
    host.values["network.bytes"], host.kinds["network.bytes"] = total, Kind.COUNTER
    return Scene(host, start, start + host.rows(3))


def summer_time(rng: np.random.Generator) -> Scene:
    """People's clocks change, and their load with them."""
    host = hosts.healthy(rng, 8, zone="Europe/Berlin", begin=SUMMER_TIME)
    return Scene(host, host.row(6, 1), len(host.seconds))


def maintenance_gap(rng: np.random.Generator) -> Scene:
    """Nothing is sent for a while, then all goes on as before."""
    host = hosts.healthy(rng, HISTORY_DAYS + 1.5)
    start = host.row(HISTORY_DAYS, rng.uniform(1, 18))
    end = start + host.rows(rng.uniform(0.5, 4))
    for column in host.values.values():
        column[start:end] = np.nan
    return Scene(host, start, end + host.rows(6))


def saw_tooth_disk(rng: np.random.Generator) -> Scene:
    """A disk that fills by day and is cleaned every night; it would never be full."""
    host = hosts.healthy(rng, 6)
    hours = (host.seconds - host.seconds[0]) / 3600
    low, high = rng.uniform(30, 55), rng.uniform(70, 93)
    host.put("disk.utilization", low + (high - low) * ((hours + rng.uniform(0, 24)) % 24) / 24, 0.05, 0.5)
    return Scene(host, host.row(2), len(host.seconds), track="exhaustion")


FAULTS: dict[str, Callable[[np.random.Generator, float], Scene]] = {
    one.__name__: one
    for one in (spike, dip, level_shift, trend, variance, flatline, season, correlation, silence, exhaustion)
}
INNOCENT: dict[str, Callable[[np.random.Generator], Scene]] = {
    one.__name__: one
    for one in (
        ordinary_day,
        nightly_backup,
        deploy,
        busy_monday,
        counter_reset,
        summer_time,
        maintenance_gap,
        saw_tooth_disk,
    )
}
