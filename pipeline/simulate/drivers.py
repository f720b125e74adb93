"""What moves a host: demand by hour and weekday, and what faults add to it; and the metrics that follow from that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.simulate.fleet import Fleet, role_of
from pipeline.simulate.noise import red, white

__all__ = ["Drivers", "drivers_of", "metrics_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
WEEKDAYS = np.array([1.0, 0.98, 0.78, 0.75, 1.06, 1.02, 1.0])  # from Thursday on, as 1970 began
CAPACITY = {"web": 400.0, "api": 900.0, "db": 1500.0, "cache": 4000.0}
OWN_LATENCY_MS = {"web": 15.0, "api": 20.0, "db": 8.0, "cache": 1.5}
BYTES_A_REQUEST = {"web": 24_000.0, "api": 6_000.0, "db": 3_000.0, "cache": 1_200.0}
CALLS_A_REQUEST = {"api": 1.0, "db": 2.0, "cache": 3.0}
QUEUEING, BUSIEST = 0.12, 0.985


@dataclass(slots=True)
class Drivers:
    """The causes, each of shape (n_steps,); faults act here, and what follows from it follows.

    ``demand`` is a share of the capacity, ``cpu``, ``memory``, ``disk`` and ``loss`` are percentage points on top of
    the healthy level, ``slowness`` multiplies the host's own latency.
    """

    demand: Floats
    cpu: Floats
    memory: Floats
    disk: Floats
    loss: Floats
    slowness: Floats


def drivers_of(fleet: Fleet, host: str, times: Ints) -> Drivers:
    """The causes on a healthy host at the given times (ms, spaced by the fleet's step)."""
    n, first = len(times), int(times[0] // fleet.step_ms)
    shared = red(fleet.seed, f"{role_of(host)} demand", first, n)
    own = red(fleet.seed, f"{host} demand", first, n)
    hour = 2 * np.pi * (times % DAY_MS) / DAY_MS
    shape = 0.5 + 0.27 * np.sin(hour - 2.4) + 0.07 * np.sin(2 * hour - 0.8)
    demand = shape * _weekday(times) * (1 + 0.03 * shared + 0.02 * own)
    cpu, memory, disk, loss = np.zeros((4, n))
    return Drivers(np.clip(demand, 0.01, None), cpu, memory, disk, loss, np.ones(n))


def _weekday(times: Ints) -> Floats:
    """The weight of the day, passing from one day to the next in the two hours around midnight."""
    day, within = times // DAY_MS, (times % DAY_MS) / HOUR_MS
    here, before, after = (WEEKDAYS[(day + shift) % 7] for shift in (0, -1, 1))
    early, late = np.clip((1 - within) / 2, 0, 0.5), np.clip((within - 23) / 2, 0, 0.5)
    found: Floats = here * (1 - early - late) + before * early + after * late
    return found


def metrics_of(fleet: Fleet, host: str, times: Ints, drivers: Drivers, latencies: dict[str, Floats]) -> Floats:
    """What is measured on a host, shape (n_steps, n_metrics).

    Parameters
    ----------
    fleet, host, times
        Whose metrics, and when.
    drivers
        The causes, faults included.
    latencies
        By host, those of the hosts that this one calls; its own is put in.
    """
    role, n, first = role_of(host), len(times), int(times[0] // fleet.step_ms)
    size = 1 + 0.15 * np.tanh(white(fleet.seed, f"{host} size", 0, 1)[0])

    def noise(name: str, scale: float) -> Floats:
        return scale * white(fleet.seed, f"{host} {name}", first, n)

    def slow_noise(name: str, scale: float) -> Floats:
        return scale * red(fleet.seed, f"{host} slow {name}", first, n)

    rate = CAPACITY[role] * size * drivers.demand * (1 + noise("rate", 0.012))
    busy = 5 + 78 * drivers.demand + slow_noise("cpu", 0.8) + noise("cpu", 0.7) + drivers.cpu
    cpu = np.where(busy < 97, busy, np.minimum(97 + (busy - 97) / 30, 99.8))
    rho = np.minimum(cpu / 100, BUSIEST)
    queueing = 1 + QUEUEING * rho / (1 - rho)
    own = OWN_LATENCY_MS[role] * drivers.slowness * queueing * (1 + 0.05 * drivers.loss) * np.exp(noise("own", 0.03))
    latency = latencies[host] = own + _waiting(fleet, host, latencies)
    base = _spread(fleet.seed, f"{host} memory", 42, 58)
    memory = base + 10 * drivers.demand + slow_noise("memory", 0.35) + drivers.memory
    hour = (times / HOUR_MS - 3) % 24  # from three at night half an hour of cleaning, then logs grow again
    filled = np.where(hour < 0.5, 1 - 2 * hour, (hour - 0.5) / 23.5)
    disk = _spread(fleet.seed, f"{host} disk", 38, 55) + 2.5 * filled + noise("disk", 0.04) + drivers.disk
    backup = np.where((role == "db") & ((times % DAY_MS) // (HOUR_MS // 2) == 2), 1.0, 0.0)  # half an hour from one
    network = rate * BYTES_A_REQUEST[role] * (1 - 0.06 * drivers.loss) * (1 + noise("network", 0.02)) + 1.2e7 * backup
    loss = np.abs(noise("loss", 0.015)) + drivers.loss * np.exp(noise("lossy", 0.15))
    expected = rate * (0.0006 + 0.002 * drivers.loss + 0.001 * np.clip(queueing - 3, 0, None))
    errors = expected + np.sqrt(expected / 60) * noise("errors", 1.0)
    open_now = 4 + rate * latency / 1000 * (1 + noise("connections", 0.04))
    writes = 2e6 + 9e6 * drivers.demand * (1 + noise("writes", 0.05)) + 3e7 * backup
    columns = [np.clip(x, 0, 100) for x in (cpu, memory, disk)]
    columns += [np.clip(network, 0, None), np.clip(loss, 0, 100), rate, latency, np.clip(errors, 0, None)]
    columns += [np.round(open_now), writes]
    for i, name in enumerate(fleet.metrics[len(columns) :], start=1):
        columns.append(i * 10.0 + 8 * i * drivers.demand * size + noise(name, 0.3 * i))
    found: Floats = np.column_stack(columns[: len(fleet.metrics)])
    return found


def _waiting(fleet: Fleet, host: str, latencies: dict[str, Floats]) -> Floats:
    """The time a request spends with the hosts that this one calls, shape (n_steps,)."""
    by_role: dict[str, list[Floats]] = {}
    for other in fleet.callees[host]:
        by_role.setdefault(role_of(other), []).append(latencies[other])
    parts = [CALLS_A_REQUEST[role] * np.mean(found, axis=0) for role, found in by_role.items()]
    total: Floats = np.sum(parts, axis=0) if parts else np.zeros(())
    return total


def _spread(seed: int, name: str, low: float, high: float) -> float:
    """A level of its own for each host, between ``low`` and ``high``."""
    return (low + high) / 2 + (high - low) / 2 * float(np.tanh(white(seed, name, 0, 1)[0]))
