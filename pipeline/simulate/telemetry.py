"""Telemetry of a fleet with its faults in: a pure function of fleet, injections and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.simulate.drivers import drivers_of, metrics_of
from pipeline.simulate.faults import FAULTS, Injection
from pipeline.simulate.fleet import Fleet

__all__ = ["Stretch", "stretches", "telemetry"]

Floats = npt.NDArray[np.float64]
STEPS_A_STRETCH = 512


@dataclass(frozen=True, slots=True)
class Stretch:
    """Simulated telemetry of a stretch of time.

    Attributes
    ----------
    fleet
        Whose.
    times_ms
        Event times, shape (n_steps,).
    values
        By host, shape (n_steps, n_metrics); NaN where nothing was sent.
    """

    fleet: Fleet
    times_ms: npt.NDArray[np.int64]
    values: dict[str, Floats]

    def column(self, host: str, metric: str) -> Floats:
        """One series as a view, shape (n_steps,)."""
        view: Floats = self.values[host][:, self.fleet.metrics.index(metric)]
        return view


def telemetry(fleet: Fleet, injections: Sequence[Injection], first_ms: int, n_steps: int) -> Stretch:
    """Simulate ``n_steps`` steps from ``first_ms`` on (moved to the grid of the fleet's step).

    Any stretch equals the same stretch of a longer one, so a fleet can be simulated piece by piece and for ever.
    """
    first = first_ms // fleet.step_ms
    times = (first + np.arange(n_steps, dtype=np.int64)) * fleet.step_ms
    latencies: dict[str, Floats] = {}
    values: dict[str, Floats] = {}
    for host in fleet.upwards:
        drivers = drivers_of(fleet, host, times)
        mine = [one for one in injections if one.host == host]
        for one in mine:
            act = FAULTS[one.kind].act
            if act is not None:
                act(drivers, one.progress(times))
        values[host] = metrics_of(fleet, host, times, drivers, latencies)
        for one in mine:
            if FAULTS[one.kind].act is None:
                _sense_wrongly(fleet, injections, one, times, values[host])
    return Stretch(fleet, times, {host: values[host] for host in fleet.hosts})


def stretches(fleet: Fleet, injections: Sequence[Injection], first_ms: int, n_steps: int) -> Iterator[Stretch]:
    """The same, piece by piece, so that a long one needs little memory."""
    for done in range(0, n_steps, STEPS_A_STRETCH):
        n = min(STEPS_A_STRETCH, n_steps - done)
        yield telemetry(fleet, injections, first_ms + done * fleet.step_ms, n)


def _sense_wrongly(
    fleet: Fleet, injections: Sequence[Injection], fault: Injection, times: npt.NDArray[np.int64], values: Floats
) -> None:
    """Put a fault of the sensor into a host's values, in place."""
    part = (times >= fault.start_ms) & (times < fault.end_ms)
    if not part.any():
        return
    if fault.kind == "silent_host":
        values[part] = np.nan
        return
    others = [one for one in injections if FAULTS[one.kind].act is not None]
    metric = FAULTS[fault.kind].metric
    values[part, fleet.metrics.index(metric)] = telemetry(fleet, others, fault.start_ms, 1).column(fault.host, metric)
