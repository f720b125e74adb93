"""Captures of real senders and the facts that independent decoders found in them: the judge of every codec."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.codecs.clock import rfc3339_ns

WIRE = Path(__file__).resolve().parents[2] / "shared" / "data" / "wire"
NAMES = tuple(sorted(path.name.removesuffix(".facts.json") for path in WIRE.glob("*.facts.json")))
# What the facts call a format, and its name here.
FORMATS = {
    "OTLP metrics protobuf": "otlp-proto",
    "OTLP metrics JSON": "otlp-json",
    "InfluxDB line protocol": "influx",
    "Telegraf JSON": "telegraf-json",
    "Prometheus text exposition": "prometheus-text",
    "Prometheus remote write 0.1.0 (protobuf in snappy block format)": "prometheus-remote-write",
    "collectd JSON": "collectd-json",
    "Graphite plaintext": "graphite",
    "collectd Command (PUTVAL)": "putval",
    "rsyslog impstats JSON": "json-mapped",
}
NUMBERS = ("gauge", "counter", "delta")


def facts_of(name: str) -> dict[str, Any]:
    """What is known of a capture."""
    found: dict[str, Any] = json.loads((WIRE / f"{name}.facts.json").read_text())
    return found


def expected(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that a table of samples must show, in the shape of ``seen``."""
    return {
        "format": FORMATS[facts["format"]],
        "hosts": sorted(facts.get("hosts") or ["unknown"]),
        "metrics": facts["number_totals_by_metric"],
        "first": _first(facts),
        "last": _last(facts),
        **facts["number_totals"],
    }


def seen(frame: pd.DataFrame, facts: dict[str, Any], format_name: str) -> dict[str, Any]:
    """What a table of samples shows.

    The decoder behind the facts calls the counter ``x`` of a text exposition ``x_total``; foreshock keeps ``x``.
    """
    numbers = frame[frame["kind"].isin(NUMBERS)]
    values = numbers["value"].to_numpy()
    finite = values[np.isfinite(values)]
    names = numbers["metric"]
    if format_name == "prometheus-text":
        rising = (numbers["kind"] == "counter") & ~names.str.endswith("_total")
        names = names.where(~rising, names + "_total")
    metrics = {str(name): _total(part.to_numpy()) for name, part in numbers["value"].groupby(names)}
    times = frame["time"].astype("int64")
    first, known = int(times.min()), _first(facts)
    if facts.get("objects_without_numbers") and known < first < known + 10**6:
        first = known  # objects without numbers have a time too, but no sample
    return {
        "format": format_name,
        "hosts": sorted(set(frame["entity"])),
        "metrics": metrics,
        "first": first,
        "last": int(times.max()),
        "count": len(values),
        "nan": int(np.isnan(values).sum()),
        "inf": int(np.isinf(values).sum()),
        "sum": math.fsum(finite),
        "min": float(finite.min()),
        "max": float(finite.max()),
    }


def _total(values: np.ndarray) -> dict[str, Any]:
    return {"count": len(values), "sum": math.fsum(values[np.isfinite(values)])}


def _first(facts: dict[str, Any]) -> int:
    return _time(facts, "first_event_time", facts["record_timestamp_first_ms"])


def _last(facts: dict[str, Any]) -> int:
    return _time(facts, "last_event_time", facts["record_timestamp_last_ms"])


def _time(facts: dict[str, Any], key: str, record_ms: int) -> int:
    """ns of an event time that the facts tell in ns, s or RFC 3339; the records' own where the payload has none."""
    if f"{key}_ns" in facts:
        return int(facts[f"{key}_ns"])
    if f"{key}_s" in facts:
        return int(Decimal(str(facts[f"{key}_s"])) * 10**9)
    return rfc3339_ns(facts[key]) if facts.get(key) else record_ms * 10**6
