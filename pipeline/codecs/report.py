"""What foreshock sees in decoded records: the report that ``decode`` prints, and the frame it writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import pandas as pd

from pipeline.catalog import Catalog
from pipeline.codecs import Decoded
from pipeline.codecs.clock import rfc3339
from pipeline.codecs.sentinels import sentinels
from pipeline.codecs.units import bounds_of
from pipeline.events import Kind, Origin

__all__ = ["MetricSeen", "RejectedSeen", "Report", "frame_of", "lines_of", "report_of"]

_KIND_NAMES = {int(Kind.GAUGE): "gauge", int(Kind.COUNTER): "counter", int(Kind.DELTA): "delta"}
_COLUMNS = ("time", "entity", "metric", "labels", "value", "kind")
_SHOWN = 12  # entities and label names that the printed report lists before it says how many more


class MetricSeen(msgspec.Struct, frozen=True):
    """One metric over all its series; ``step_seconds`` is the median spacing within a series, else what was said."""

    name: str
    unit: str
    kind: str
    n_series: int
    n_samples: int
    n_not_finite: int
    lowest: float | None
    highest: float | None
    step_seconds: float | None


class RejectedSeen(msgspec.Struct, frozen=True):
    """One reason why records were rejected, with an example."""

    reason: str
    n_records: int
    example: str


class Report(msgspec.Struct, frozen=True):
    """What a stretch of records holds.

    ``n_stale`` samples say "no value recorded" and are not in ``n_samples``; NaN, infinities and sentinels are in it
    as they were sent, and gaps for the job. ``skipped`` values are no samples, ``noted`` ones are, in another form.
    """

    records_by_format: dict[str, int]
    n_samples: int
    n_stale: int
    first_time: str | None
    last_time: str | None
    entities: dict[str, int]
    metrics: list[MetricSeen]
    labels: dict[str, int]
    rejected: list[RejectedSeen]
    skipped: dict[str, int]
    n_refused: int
    classes: dict[str, int] = {}
    n_nan: int = 0
    n_infinite: int = 0
    n_sentinels: int = 0
    noted: dict[str, int] = {}


def frame_of(decoded: Decoded, catalog: Catalog) -> pd.DataFrame:
    """Samples as a table, values as sent, before rates; stale flags are no values and not in it.

    Returns
    -------
    DataFrame
        ``time`` (UTC, ns), ``entity``, ``metric``, ``labels`` (a JSON object), ``value`` (float64),
        ``kind`` (gauge, counter, delta, histogram, summary); one row a sample, in record order.
    """
    samples = decoded.samples
    kept = (samples.kind & Origin.STALE) == 0
    series, names = samples.series_id[kept], catalog.identities
    labels = [msgspec.json.encode(dict(identity.labels)).decode() for identity in names]
    return pd.DataFrame(
        {
            "time": pd.to_datetime(samples.time[kept], unit="ns", utc=True),
            "entity": _texts([identity.entity for identity in names])[series],
            "metric": _texts([identity.metric for identity in names])[series],
            "labels": _texts(labels)[series],
            "value": samples.value[kept],
            "kind": _texts([_kind_name(kind) for kind in range(16)])[samples.kind[kept]],
        },
        columns=list(_COLUMNS),
    )


def report_of(parts: Sequence[tuple[Decoded, Catalog]]) -> Report:
    """Sum up decoded batches, each with the catalog that its series ids belong to."""
    frames = [frame_of(decoded, catalog) for decoded, catalog in parts]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(_COLUMNS))
    times = frame["time"].astype("int64") if len(frame) else None
    entities = frame["entity"].value_counts(sort=False)
    return Report(
        records_by_format=_summed(decoded.by_format for decoded, _ in parts),
        n_samples=len(frame),
        n_stale=sum(len(decoded.samples) for decoded, _ in parts) - len(frame),
        first_time=None if times is None else rfc3339(int(times.min())),
        last_time=None if times is None else rfc3339(int(times.max())),
        entities={str(name): int(entities[name]) for name in sorted(entities.index)},
        metrics=list(_metrics(frame, _units(parts), _cadences(parts))),
        labels=_label_counts(parts),
        rejected=_rejections(parts),
        skipped=_summed(decoded.skipped for decoded, _ in parts),
        n_refused=sum(decoded.refused for decoded, _ in parts),
        classes=_classes(parts),
        n_nan=int(frame["value"].isna().sum()),
        n_infinite=int(np.isinf(frame["value"].to_numpy(float)).sum()),
        n_sentinels=sum(_sentinels(decoded, catalog) for decoded, catalog in parts),
        noted=_summed(decoded.noted for decoded, _ in parts),
    )


def lines_of(report: Report) -> list[str]:
    """The report as people read it, a line each."""
    formats = ", ".join(f"{name} ({count:,} records)" for name, count in sorted(report.records_by_format.items()))
    lines = [
        f"formats   {formats or 'none'}",
        f"samples   {report.n_samples:,} from {report.first_time or '-'} to {report.last_time or '-'}",
        f"entities  {len(report.entities):,}: {_listed([f'{k} ({v:,})' for k, v in report.entities.items()])}",
        f"classes   {_listed([f'{k} ({v:,})' for k, v in report.classes.items()]) or 'none'}",
        f"labels    {_listed([f'{k} ({v:,} values)' for k, v in report.labels.items()]) or 'none'}",
        f"metrics   {len(report.metrics):,}",
    ]
    width = max((len(metric.name) for metric in report.metrics), default=0)
    lines += [f"  {metric.name:<{width}}  {_metric_line(metric)}" for metric in report.metrics]
    if report.n_stale:
        lines.append(f"stale     {report.n_stale:,} points say that no value was recorded")
    if report.n_nan or report.n_infinite:
        lines.append(f"gaps      {report.n_nan:,} values are not a number, {report.n_infinite:,} infinite")
    if report.n_sentinels:
        lines.append(f"gaps      {report.n_sentinels:,} values stand for none or no limit")
    if report.n_refused:
        lines.append(f"refused   {report.n_refused:,} samples beyond the quota of series")
    lines += [f"noted     {count:,} values: {reason}" for reason, count in sorted(report.noted.items())]
    lines += [f"skipped   {count:,} values: {reason}" for reason, count in sorted(report.skipped.items())]
    lines += [f"rejected  {seen.n_records:,} records: {seen.reason} ({seen.example})" for seen in report.rejected]
    return lines if report.rejected else [*lines, "rejected  none"]


def _kind_name(kind: int) -> str:
    if kind & Origin.HISTOGRAM:
        return "histogram"
    return "summary" if kind & Origin.SUMMARY else _KIND_NAMES.get(kind & 3, "")


def _texts(names: list[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    texts = np.empty(len(names), dtype=object)
    texts[:] = names
    return texts


def _metrics(frame: pd.DataFrame, units: dict[str, str], cadences: dict[str, float]) -> Iterator[MetricSeen]:
    for name, rows in frame.groupby("metric", sort=True):
        finite = rows["value"][np.isfinite(rows["value"])]
        yield MetricSeen(
            name=str(name),
            unit=units.get(str(name), ""),
            kind="/".join(sorted(set(rows["kind"]))),
            n_series=rows.groupby(["entity", "labels"]).ngroups,
            n_samples=len(rows),
            n_not_finite=len(rows) - len(finite),
            lowest=float(finite.min()) if len(finite) else None,
            highest=float(finite.max()) if len(finite) else None,
            step_seconds=_step_seconds(rows) or cadences.get(str(name)),
        )


def _step_seconds(rows: pd.DataFrame) -> float | None:
    ordered = rows.sort_values("time", kind="stable")
    gaps = ordered.groupby(["entity", "labels"])["time"].diff().dt.total_seconds()
    gaps = gaps[gaps > 0]
    return round(float(gaps.median()), 3) if len(gaps) else None


def _cadences(parts: Sequence[tuple[Decoded, Catalog]]) -> dict[str, float]:
    return {metric: seconds for decoded, _ in parts for metric, seconds in decoded.cadences.items()}


def _units(parts: Sequence[tuple[Decoded, Catalog]]) -> dict[str, str]:
    return {identity.metric: identity.unit for _, catalog in parts for identity in catalog.identities}


def _classes(parts: Sequence[tuple[Decoded, Catalog]]) -> dict[str, int]:
    known = {entity for _, catalog in parts for entity in catalog.entities}
    return dict(sorted(Counter(entity_class for _, entity_class in known).items()))


def _sentinels(decoded: Decoded, catalog: Catalog) -> int:
    samples = decoded.samples
    never_negative = np.array([bounds_of(identity.unit)[0] == 0.0 for identity in catalog.identities], bool)
    return int(sentinels(samples.value, samples.kind, never_negative[samples.series_id]).sum())


def _label_counts(parts: Sequence[tuple[Decoded, Catalog]]) -> dict[str, int]:
    seen: dict[str, set[str]] = {}
    for _, catalog in parts:
        for identity in catalog.identities:
            for key, text in identity.labels:
                seen.setdefault(key, set()).add(text)
    return {key: len(seen[key]) for key in sorted(seen)}


def _rejections(parts: Sequence[tuple[Decoded, Catalog]]) -> list[RejectedSeen]:
    rejected = [item for decoded, _ in parts for item in decoded.rejected]
    counts = Counter(item.reason for item in rejected)
    example = {item.reason: item.detail for item in reversed(rejected)}
    return [RejectedSeen(reason, counts[reason], example[reason]) for reason in sorted(counts)]


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for one in counts:
        total.update(one)
    return {name: total[name] for name in sorted(total)}


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown


def _metric_line(metric: MetricSeen) -> str:
    judged = f"; judged as {_judged(metric)}" if _judged(metric) else ""
    span = "no finite value" if metric.lowest is None else f"{metric.lowest:.6g} to {metric.highest:.6g}"
    unit = "" if metric.unit in ("", "1") else f" {metric.unit}"
    step = "" if metric.step_seconds is None else f", every {metric.step_seconds:g} s"
    odd = f", {metric.n_not_finite:,} not finite" if metric.n_not_finite else ""
    return f"{metric.kind}, {metric.n_series:,} series, {metric.n_samples:,} samples{step}, {span}{unit}{odd}{judged}"


def _judged(metric: MetricSeen) -> str:
    """What the job makes of a metric that it does not watch as it was sent (see ``pipeline.meaning``)."""
    if metric.kind in ("counter", "delta"):
        return "rate"
    if metric.kind not in ("histogram", "summary"):
        return ""
    part = re.split(r"[._]", metric.name)[-1]
    told = {"count": "rate", "sum": "mean", "bucket": "quantiles, estimated"}
    if metric.kind == "histogram" and metric.name.endswith(".sum"):
        return "mean and quantiles, estimated from buckets"
    return told.get(part, "")
