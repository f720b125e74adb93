"""foreshock: telemetry that flows through Kafka in, few and explained incidents out.

Reading order: ``events`` and ``incident`` (the nouns), ``stream`` (the whole story, pure), ``job`` (the loop around
it), ``app`` (how the parts are put together). Then the rooms: ``codecs`` and ``catalog``, ``grid``, ``baselines`` and
``kernels``, ``scoring``, ``lifecycle``, ``kafka``.

Sign and units: a higher score is more anomalous. Time is int64, nanoseconds while decoding, milliseconds from the
grid on, always UTC; every other unit is in the name.

The public face is loaded when it is first used, so that importing a corner of it does not load all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.codecs.capture import read_capture
    from pipeline.notebook import Verdict, backtest, features, incidents, read_samples, recorded, revisions
    from pipeline.subscriber import Where, subscribe

__all__ = [
    "Verdict",
    "Where",
    "backtest",
    "features",
    "incidents",
    "read_capture",
    "read_samples",
    "recorded",
    "revisions",
    "subscribe",
]

_HOMES = {
    "Verdict": "pipeline.notebook",
    "Where": "pipeline.subscriber",
    "backtest": "pipeline.notebook",
    "features": "pipeline.notebook",
    "incidents": "pipeline.notebook",
    "read_capture": "pipeline.codecs.capture",
    "read_samples": "pipeline.notebook",
    "recorded": "pipeline.notebook",
    "revisions": "pipeline.notebook",
    "subscribe": "pipeline.subscriber",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
