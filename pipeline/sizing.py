"""What a fleet needs: cores, memory, partitions, disk and network, from costs that were measured.

The costs are those of one core of the machine that ``make bench`` ran on; ``tests/benchmarks/results.json`` has the
runs behind them, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

__all__ = ["Cost", "Fleet", "Need", "needed"]

MB, GB = 1e6, 1e9
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Cost:
    """What things cost.

    Parameters
    ----------
    sample_us, record_us
        CPU time of the job for each sample, and on top for each record.
    broker_sample_us, broker_record_us
        CPU time of the broker for the same, written once and read once.
    sample_bytes, record_bytes
        On the wire, before compression.
    process_bytes
        A process that watches nothing: Python and its libraries.
    series_bytes
        A series in memory: state, names, spellings, room to grow.
    state_bytes
        A series in a snapshot.
    use
        Share of a core that is planned for, so that a backlog is worked off as fast as it came in.
    """

    sample_us: float = 0.72
    record_us: float = 20.0
    broker_sample_us: float = 0.17
    broker_record_us: float = 50.0
    sample_bytes: float = 40.0
    record_bytes: float = 150.0
    process_bytes: float = 450 * MB
    series_bytes: float = 4_000.0
    state_bytes: float = 3_800.0
    use: float = 0.5


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is watched: series, the seconds between two samples of each, samples in a record."""

    series: int
    step_seconds: float
    points: int = 500
    series_per_partition: int = 200_000
    snapshot_seconds: float = 60.0
    snapshots_kept: int = 2


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes; rates are a second."""

    samples: float
    cores: float
    broker_cores: float
    processes: int
    partitions: int
    memory_bytes: float
    disk_bytes: float
    network_in_bytes: float
    network_out_bytes: float


def needed(fleet: Fleet, cost: Cost | None = None) -> Need:
    """What a fleet needs, the sum of all processes.

    ::

        samples a second  = series / step
        cores             = samples x (sample_us + record_us / points) / use       broker alike
        processes         = cores, rounded up: one works on one core
        partitions        = series / series_per_partition, at least two a process, so that they can be shared anew
        memory            = processes x process_bytes + series x series_bytes
                            + processes x 1.25 x state_bytes x series / partitions  (the buffer of a snapshot)
        disk              = (snapshots_kept + 1) x series x state_bytes
        network in        = samples x (sample_bytes + record_bytes / points)
        network out       = series x state_bytes / snapshot_seconds                (0 where the folder is local)
    """
    cost = cost or Cost()
    samples = fleet.series / fleet.step_seconds
    cores = samples * (cost.sample_us + cost.record_us / fleet.points) / 1e6 / cost.use
    broker = samples * (cost.broker_sample_us + cost.broker_record_us / fleet.points) / 1e6 / cost.use
    processes = max(1, ceil(cores))
    partitions = max(ceil(fleet.series / fleet.series_per_partition), 2 * processes)
    buffers = processes * 1.25 * cost.state_bytes * fleet.series / partitions
    return Need(
        samples=samples,
        cores=cores,
        broker_cores=broker,
        processes=processes,
        partitions=partitions,
        memory_bytes=processes * cost.process_bytes + fleet.series * cost.series_bytes + buffers,
        disk_bytes=(fleet.snapshots_kept + 1) * fleet.series * cost.state_bytes,
        network_in_bytes=samples * (cost.sample_bytes + cost.record_bytes / fleet.points),
        network_out_bytes=fleet.series * cost.state_bytes / fleet.snapshot_seconds,
    )
