"""Faults and innocent events put into a healthy fleet, each with its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import Label

__all__ = ["FAULTS", "Fault", "inject", "scenario"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A named fault: which metric is to blame, how long it usually lasts, and what it does to the fleet."""

    kind: str
    metric: str
    minutes: int
    note: str
    apply: Callable[[Fleet, str, slice], None]


def _ramp(fleet: Fleet, part: slice) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.linspace(0.0, 1.0, len(fleet.times_ms[part]))


def _cpu_saturation(fleet: Fleet, host: str, part: slice) -> None:
    cpu, latency = fleet.column(host, "cpu.utilization"), fleet.column(host, "request.latency")
    cpu[part] = np.minimum(100.0, 98.5 + 0.05 * (cpu[part] - cpu[part].mean()))
    latency[part] *= 1.6


def _memory_leak(fleet: Fleet, host: str, part: slice) -> None:
    memory = fleet.column(host, "memory.utilization")
    memory[part] = np.minimum(99.0, memory[part] + 45.0 * _ramp(fleet, part))


def _disk_filling(fleet: Fleet, host: str, part: slice) -> None:
    disk = fleet.column(host, "disk.utilization")
    disk[part] = np.minimum(100.0, disk[part] + 40.0 * _ramp(fleet, part))


def _packet_loss(fleet: Fleet, host: str, part: slice) -> None:
    fleet.column(host, "network.packet_loss")[part] += 4.0
    fleet.column(host, "network.throughput")[part] *= 0.75


def _latency_cascade(fleet: Fleet, host: str, part: slice) -> None:
    fleet.column(host, "request.latency")[part] += 0.25
    for caller in fleet.hosts:
        if caller.startswith(("web", "api")) and caller != host:
            fleet.column(caller, "request.latency")[part] += 0.12


def _level_shift(fleet: Fleet, host: str, part: slice) -> None:
    fleet.column(host, "request.rate")[part] *= 0.35
    fleet.column(host, "network.throughput")[part] *= 0.35


def _stuck_sensor(fleet: Fleet, host: str, part: slice) -> None:
    throughput = fleet.column(host, "network.throughput")
    throughput[part] = throughput[part.start]


def _silent_host(fleet: Fleet, host: str, part: slice) -> None:
    fleet.values[host][part] = np.nan


def _deploy(fleet: Fleet, host: str, part: slice) -> None:
    """A new release: a little more memory and a little less latency, for good. Nobody should be paged."""
    after = slice(part.start, None)
    fleet.column(host, "memory.utilization")[after] += 0.8
    fleet.column(host, "request.latency")[after] *= 0.98


FAULTS: dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        Fault("cpu_saturation", "cpu.utilization", 40, "a runaway process takes every core", _cpu_saturation),
        Fault("memory_leak", "memory.utilization", 120, "a leak grows by 45 points in two hours", _memory_leak),
        Fault("disk_filling", "disk.utilization", 120, "a log grows by 40 points in two hours", _disk_filling),
        Fault("packet_loss", "network.packet_loss", 30, "a bad cable loses 4 percent", _packet_loss),
        Fault("latency_cascade", "request.latency", 30, "a slow database slows its callers", _latency_cascade),
        Fault("level_shift", "request.rate", 60, "two thirds of the traffic goes elsewhere", _level_shift),
        Fault("stuck_sensor", "network.throughput", 90, "the counter repeats itself", _stuck_sensor),
        Fault("silent_host", "", 90, "the host says nothing more", _silent_host),
        Fault("innocent", "memory.utilization", 10, "a deploy", _deploy),
    )
}


def inject(fleet: Fleet, kind: str, host: str, start_ms: int) -> list[Label]:
    """Put one fault into the fleet, in place; returns its labels (a cascade has one for each host it reaches)."""
    fault = FAULTS[kind]
    end_ms = start_ms + fault.minutes * 60_000
    a, b = (int(np.searchsorted(fleet.times_ms, t)) for t in (start_ms, end_ms))
    fault.apply(fleet, host, slice(a, b))
    reached = [host]
    if kind == "latency_cascade":
        reached += [h for h in fleet.hosts if h.startswith(("web", "api")) and h != host]
    return [Label(h, start_ms, end_ms, fault.metric, kind, fault.note) for h in reached]


def scenario(fleet: Fleet, first_ms: int) -> list[Label]:
    """Put one fault of every kind, and two deploys, into the fleet from ``first_ms`` on; returns all labels."""
    minutes = (fleet.times_ms[-1] - first_ms) / 60_000
    kinds = [kind for kind in FAULTS if kind != "innocent"]
    labels: list[Label] = []
    for i, kind in enumerate(kinds):
        roles = {"latency_cascade": "db", "level_shift": "web"}
        hosts = [h for h in fleet.hosts if h.startswith(roles.get(kind, ""))]
        taken = {label.entity for label in labels}
        host = next((h for h in hosts if h not in taken), hosts[i % len(hosts)])
        room = max(1.0, minutes - FAULTS[kind].minutes)
        start_ms = first_ms + round(room * (i + 0.5) / len(kinds)) * 60_000
        labels += inject(fleet, kind, host, start_ms)
    taken = {label.entity for label in labels}
    quiet = [h for h in fleet.hosts if h not in taken] or fleet.hosts
    for i in range(2):
        labels += inject(fleet, "innocent", quiet[i % len(quiet)], first_ms + round(minutes * (i + 1) / 3) * 60_000)
    return labels
