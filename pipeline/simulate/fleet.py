"""A fleet: its hosts, who calls whom, and what is measured on each.

::

    web-01 ─┬─► api-01 ─┬─► db-01
            └─► api-02  └─► cache-01       a host of one role calls hosts of the next
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import SettingsError

__all__ = ["UNITS", "Fleet"]

ROLES = ("web", "api", "db", "web", "api", "cache")
CALLS = {"web": (("api", 2),), "api": (("db", 1), ("cache", 1)), "db": (), "cache": ()}
UNITS = {
    "cpu.utilization": "%",
    "memory.utilization": "%",
    "disk.utilization": "%",
    "network.throughput": "By/s",
    "network.packet_loss": "%",
    "request.rate": "1/s",
    "request.latency": "ms",
    "error.rate": "1/s",
    "connections": "",
    "disk.throughput": "By/s",
}
"""The metrics by name, with their units; what goes beyond them is the application's own: ``app.work.01`` and so on."""

LIMITS = {"hosts": (1, 100_000), "metrics": (1, 1_000), "step": (1_000, 3_600_000)}


@dataclass(frozen=True)
class Fleet:
    """What is simulated; equal fleets give equal telemetry.

    Parameters
    ----------
    n_hosts, n_metrics
        How many hosts, and metrics on each.
    step_ms
        Spacing of the samples.
    seed
        Of all randomness.

    Raises
    ------
    SettingsError
        A size beyond what makes sense.
    """

    n_hosts: int = 12
    n_metrics: int = len(UNITS)
    step_ms: int = 60_000
    seed: int = 0

    def __post_init__(self) -> None:
        for (what, (low, high)), value in zip(
            LIMITS.items(), (self.n_hosts, self.n_metrics, self.step_ms), strict=True
        ):
            if not low <= value <= high:
                unit = " ms" if what == "step" else ""
                raise SettingsError(f"{what}: {value:,}{unit} is not between {low:,} and {high:,}{unit}")

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """Names, ``web-01`` and so on."""
        counted: dict[str, int] = {}
        names = []
        for i in range(self.n_hosts):
            role = ROLES[i % len(ROLES)]
            counted[role] = counted.get(role, 0) + 1
            names.append(f"{role}-{counted[role]:02d}")
        return tuple(names)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is measured on each host."""
        own = [f"app.work.{i:02d}" for i in range(1, self.n_metrics - len(UNITS) + 1)]
        return (*UNITS, *own)[: self.n_metrics]

    @cached_property
    def callees(self) -> dict[str, tuple[str, ...]]:
        """By host, whom it calls; callees come before their callers in :attr:`upwards`."""
        by_role: dict[str, list[str]] = {}
        for host in self.hosts:
            by_role.setdefault(role_of(host), []).append(host)
        found = {}
        for role, members in by_role.items():
            for i, host in enumerate(members):
                called = [(by_role.get(other, []), n) for other, n in CALLS[role]]
                found[host] = tuple(
                    dict.fromkeys(others[(i + k) % len(others)] for others, n in called if others for k in range(n))
                )
        return found

    @cached_property
    def upwards(self) -> tuple[str, ...]:
        """Hosts in an order in which latency can be added up: whoever is called comes first."""
        order = ("cache", "db", "api", "web")
        return tuple(sorted(self.hosts, key=lambda host: order.index(role_of(host))))

    def callers(self, host: str) -> tuple[str, ...]:
        """All hosts that wait for this one, directly or not."""
        waiting = {host}
        for other in self.upwards:
            if not waiting.isdisjoint(self.callees[other]):
                waiting.add(other)
        return tuple(other for other in self.hosts if other in waiting and other != host)


def role_of(host: str) -> str:
    """``web`` of ``web-01``."""
    return host.partition("-")[0]
