"""Units that a metric's name tells, in the words of UCUM as OpenTelemetry uses them; "ratio" for shares of 1.

Senders other than OTLP hardly ever send a unit, but their conventions name it: ``_bytes``, ``.pct``, ``_seconds``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from pipeline.names import MAX_NAME_CHARS, remembered

__all__ = ["bounds_of", "unit_of", "unit_told"]

# The last word that names a unit wins: http_request_duration_seconds_bucket, network.in.bytes, net_bytes_sent.
_WORDS = {
    "bytes": "By",
    "octets": "By",
    "bits": "bit",
    "percent": "%",
    "pct": "ratio",
    "ratio": "ratio",
    "utilization": "ratio",
    "seconds": "s",
    "sec": "s",
    "milliseconds": "ms",
    "msec": "ms",
    "ms": "ms",
    "microseconds": "us",
    "usec": "us",
    "us": "us",
    "nanoseconds": "ns",
    "ns": "ns",
    "celsius": "Cel",
    "hertz": "Hz",
    "volts": "V",
    "watts": "W",
    "joules": "J",
    "amperes": "A",
}
_SPLIT = re.compile(r"[^A-Za-z0-9]+")
# Conventions of single senders, where the name has no unit: Telegraf's fields, with a dot or as Prometheus names, and
# collectd's types.
_PATTERNS = (
    ("cpu[._]usage_*", "%"),
    ("mem[._]huge_pages_*", ""),
    ("mem[._]*", "By"),
    ("disk[._]inodes_*", ""),
    ("disk[._]total", "By"),
    ("disk[._]used", "By"),
    ("disk[._]free", "By"),
    ("swap[._]total", "By"),
    ("swap[._]used", "By"),
    ("swap[._]free", "By"),
    ("diskio[._]*time", "ms"),
    ("diskio[._]io_await", "ms"),
    ("diskio[._]io_util", "%"),
    ("net[._]speed", "Mbit/s"),
    ("system[._]uptime", "s"),
    ("*[./]memory-*", "By"),
    ("*[./]df_complex-*", "By"),
    ("*[./]swap-*", "By"),
    ("*[./]disk_time[.:]*", "ms"),
    ("*[./]disk_io_time[.:]*", "ms"),
    ("*[./]uptime", "s"),
    ("*[./]temperature-*", "Cel"),
)
MOST_UTILIZED = 1.5
_LARGEST = {"ratio": 1.0, "%": 100.0}
_NEVER_NEGATIVE = frozenset({"By", "%", "ratio", "bit", "Mbit/s"})


@remembered
def unit_of(metric: str, sent: str = "") -> str:
    """Unit of a metric: as sent, else as its name tells, else nothing.

    A sent unit of ``1`` says "no dimension" and becomes ``ratio`` where the name says that it is a share.
    """
    if (sent and sent != "1") or len(metric) > MAX_NAME_CHARS:
        return sent
    told = next((_WORDS[word] for word in reversed(_SPLIT.split(metric.lower())) if word in _WORDS), "")
    if sent:
        return "ratio" if told == "ratio" else sent
    return told or next((unit for pattern, unit in _PATTERNS if fnmatchcase(metric, pattern)), "")


def unit_told(metric: str, unit: str, typical: float) -> str:
    """The unit in which a metric is told: a utilization that is usually beyond 1.5 is a percentage, whoever sends it.

    OpenTelemetry's is a share of 1; many others' goes to 100, and a table of either has no place for a unit.
    """
    return "%" if unit == "ratio" and typical > MOST_UTILIZED and "utilization" in metric.lower() else unit


def bounds_of(unit: str, typical: float = 0.0) -> tuple[float, float]:
    """Smallest and largest value that makes sense in a unit, infinities where there is none.

    Some percentages and ratios count cores: the upper bound holds only where ``typical`` is below it.
    """
    largest = _LARGEST.get(unit, float("inf"))
    return (0.0 if unit in _NEVER_NEGATIVE else -float("inf")), (largest if typical <= largest else float("inf"))
