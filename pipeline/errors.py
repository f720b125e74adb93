"""The tree of errors, each raised with the value that was wrong and what to do about it.

The tree::

    ForeshockError
    ├── SettingsError         the configuration is wrong; nothing was connected (exit 2)
    ├── InputError            a file or folder a person named cannot be read as telemetry (exit 2)
    ├── CodecError            a record's bytes cannot become samples; becomes a Rejected
    ├── BrokerError           Kafka answered with something that needs a person (exit 1)
    │   ├── BrokerUnreachable    nobody answers; the job waits and says so
    │   └── PermissionDenied     the broker refuses this user
    ├── Fenced                another process owns the work; drop all state, take over anew
    ├── StepFailed            a mistake in the code met a record; begin anew, at last without it
    ├── WatchFailed           what is watched beside the verdicts met a mistake; the watching ends, the job goes on
    ├── SnapshotDamaged       a snapshot is not whole; an older one is used
    └── StoreFailed           the place for snapshots cannot be read or written; the job goes on without

What goes wrong with models is a tree of its own, ``models.errors.ModelError``: models know nothing of the pipeline.
"""

from __future__ import annotations

__all__ = [
    "BrokerError",
    "BrokerUnreachable",
    "CodecError",
    "Fenced",
    "ForeshockError",
    "InputError",
    "PermissionDenied",
    "SettingsError",
    "SnapshotDamaged",
    "StepFailed",
    "StoreFailed",
    "WatchFailed",
]


class ForeshockError(Exception):
    """The root of every error that foreshock raises itself."""


class SettingsError(ForeshockError):
    """The configuration is wrong: names file, key, value and the nearest valid one."""


class InputError(ForeshockError):
    """A file or folder that a person named cannot be read as telemetry."""


class CodecError(ForeshockError):
    """A record's bytes cannot become samples; ``reason`` is a short machine-readable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class BrokerError(ForeshockError):
    """Kafka answered with something that needs a person."""


class BrokerUnreachable(BrokerError):
    """Nobody answers at the bootstrap address."""


class PermissionDenied(BrokerError):
    """The broker knows this user and refuses the operation."""


class Fenced(ForeshockError):
    """Another process owns the work now, or the outcome of a commit is unknown."""


class StepFailed(ForeshockError):
    """Working on a batch failed half-way, so the state in memory is worth nothing."""


class WatchFailed(ForeshockError):
    """What is watched beside the verdicts (a challenger on trial, drift) failed; verdicts are as they were."""


class SnapshotDamaged(ForeshockError):
    """A snapshot is cut off, changed, or of a schema that this release cannot read."""


class StoreFailed(ForeshockError):
    """The place where snapshots lie cannot be read or written."""
