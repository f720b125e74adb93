"""The faults, each a cause that is put into a host, and the innocent deploy, which nobody should be paged for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.simulate.drivers import Drivers
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import Label

__all__ = ["FAULTS", "INNOCENT", "Fault", "Injection"]

Floats = npt.NDArray[np.float64]
INNOCENT = "innocent"
DEPLOY_FADES = 288.0  # lengths of a deploy: two days


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Parameters
    ----------
    kind, metric, note
        Its name, the metric to blame ("": the whole host), and what happened in words.
    minutes
        How long it usually lasts.
    role
        Where it is at home; "": anywhere.
    act
        Changes the causes, given the progress of each step: 0 at the start, 1 at the end, beyond both outside.
        None: a fault of the sensor, see ``telemetry``.
    spreads
        Whether callers feel it, in their latency.
    """

    kind: str
    metric: str
    note: str
    minutes: int
    role: str = ""
    act: Callable[[Drivers, Floats], None] | None = None
    spreads: bool = False


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one host, from ``start_ms`` to before ``end_ms``."""

    kind: str
    host: str
    start_ms: int
    end_ms: int

    def progress(self, times_ms: npt.NDArray[np.int64]) -> Floats:
        """Where each time stands: 0 at the start, 1 at the end."""
        found: Floats = (times_ms - self.start_ms) / (self.end_ms - self.start_ms)
        return found

    def labels(self, fleet: Fleet) -> list[Label]:
        """The truth: one label for the host, and one for each caller that feels it."""
        fault = FAULTS[self.kind]
        span = self.start_ms, self.end_ms
        found = [Label(self.host, *span, fault.metric, fault.kind, fault.note)]
        if fault.spreads:
            note = f"waits for {self.host}"
            found += [Label(host, *span, "request.latency", fault.kind, note) for host in fleet.callers(self.host)]
        return found


def _during(progress: Floats) -> Floats:
    """1 while it lasts, reached within the first twentieth, else 0."""
    found: Floats = np.where((progress >= 0) & (progress < 1), np.clip(progress * 20, 0.3, 1), 0.0)
    return found


def _growing(progress: Floats) -> Floats:
    """From 0 to 1 while it lasts, else 0: somebody cleans up at the end."""
    return np.where((progress >= 0) & (progress < 1), progress, 0.0)


def _cpu_saturation(drivers: Drivers, progress: Floats) -> None:
    drivers.cpu += 95.0 * _during(progress)


def _memory_leak(drivers: Drivers, progress: Floats) -> None:
    drivers.memory += 38.0 * _growing(progress)


def _disk_filling(drivers: Drivers, progress: Floats) -> None:
    drivers.disk += 45.0 * _growing(progress)


def _packet_loss(drivers: Drivers, progress: Floats) -> None:
    drivers.loss += 4.0 * _during(progress)


def _latency_cascade(drivers: Drivers, progress: Floats) -> None:
    drivers.slowness *= 1 + 6.0 * _during(progress)


def _level_shift(drivers: Drivers, progress: Floats) -> None:
    drivers.demand *= 1 - 0.65 * _during(progress)


def _deploy(drivers: Drivers, progress: Floats) -> None:
    """A step up in memory and down in latency, which fades over the next two days as caches settle."""
    new = np.where(progress >= 0, np.exp(-np.clip(progress, 0, None) / DEPLOY_FADES), 0.0)
    drivers.memory += 1.0 * new
    drivers.slowness *= 1 - 0.03 * new


FAULTS: dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        Fault("cpu_saturation", "cpu.utilization", "a runaway process takes every core", 40, "web", _cpu_saturation),
        Fault("memory_leak", "memory.utilization", "a process leaks 38 points", 120, "api", _memory_leak),
        Fault("disk_filling", "disk.utilization", "a log grows by 45 points", 120, "db", _disk_filling),
        Fault("packet_loss", "network.packet_loss", "a bad cable loses 4 %", 30, "web", _packet_loss),
        Fault("latency_cascade", "request.latency", "a slow disk", 30, "db", _latency_cascade, True),
        Fault("level_shift", "request.rate", "two thirds of the traffic go elsewhere", 60, "api", _level_shift),
        Fault("stuck_sensor", "network.throughput", "the sensor repeats its last value", 90),
        Fault("silent_host", "", "the host says nothing more", 60, "cache"),
        Fault(INNOCENT, "memory.utilization", "a deploy: not a fault", 10, "", _deploy),
    )
}
