"""What a notebook calls: samples in, features, verdicts and incidents out, all as data frames.

::

    import pipeline

    samples = pipeline.read_samples("recordings/")
    verdict = pipeline.backtest(samples)
    verdict.incidents
    verdict.plot("db-03")

Every function goes down the road of the live job; nothing here computes anything a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from models.bundle import Bundle
from pipeline.app import client_options, plan_of, topics_of
from pipeline.baselines import FEATURE_NAMES
from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.capture import read_capture
from pipeline.codecs.report import frame_of
from pipeline.frames import long_table, of_recordings, send, to_recordings
from pipeline.history import History
from pipeline.incident import CloudEvent, Incident
from pipeline.kafka.follow import read_all, read_between
from pipeline.lesson import Part
from pipeline.recordings import read_recordings
from pipeline.settings import Settings, load
from pipeline.simulate.labels import Label
from pipeline.stream import Judged, PartitionStream
from pipeline.subscriber import events_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Verdict", "backtest", "features", "incidents", "read_samples", "recorded", "revisions"]

Time = str | datetime | pd.Timestamp | None

COLUMNS: dict[str, Callable[[Incident], object]] = {
    "incident_id": attrgetter("incident_id"),
    "entity": attrgetter("entity.id"),
    **{name: attrgetter(name) for name in ("track", "kind", "severity", "status", "score", "title")},
    **{name: attrgetter(name) for name in ("started_at", "detected_at", "updated_at", "ended_at")},
    "top_metric": lambda one: one.contributing_metrics[0].metric if one.contributing_metrics else "",
    "revisions": attrgetter("revision"),
    "model": lambda one: f"{one.model.name} {one.model.version}",
}


def read_samples(
    source: str | Path,
    *,
    since: Time = None,
    until: Time = None,
    entities: str = "*",
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read samples from files, or back from a topic.

    Parameters
    ----------
    source
        A table (wide or long, CSV or Parquet), a folder of tables, a capture (``*.jsonl.gz``), or a topic's name.
    since, until
        Event times; times without a zone are UTC. A topic is read from records of ``since`` on.
    entities
        Pattern of the entities wanted; ``*`` and ``?`` stand for any letters.
    config, settings
        The job's configuration file, and single settings such as ``{"kafka.bootstrap_servers": "kafka:9092"}``.

    Returns
    -------
    DataFrame
        Long: ``time`` (UTC, ns), ``entity``, ``metric``, ``labels``, ``value`` (as sent, before rates), ``kind``.

    Raises
    ------
    InputError
        A file is no table.
    BrokerUnreachable
        Nobody answers, or there is neither a file nor a topic of this name.
    """
    path = Path(source)
    if not path.exists():
        found = _from_topic(str(source), _utc(since), _utc(until), _load(config, settings))
    elif path.name.endswith(".jsonl.gz"):
        catalog = Catalog()
        found = frame_of(decode(read_capture(path), catalog), catalog)
    else:
        found = of_recordings(read_recordings([path]))
    if since is not None:
        found = found[found["time"] >= _utc(since)]
    if until is not None:
        found = found[found["time"] < _utc(until)]
    wanted = {name for name in found["entity"].unique() if fnmatchcase(name, entities)}
    return found[found["entity"].isin(wanted)].reset_index(drop=True)


def features(samples: pd.DataFrame, bundle: Bundle | None = None, config: str | None = None) -> pd.DataFrame:
    """What the detectors see: one row a series and closed step.

    Parameters
    ----------
    samples
        From :func:`read_samples`, or a wide table.
    bundle
        Whose baselines to start from; None: a cold start.
    config
        The job's configuration file.

    Returns
    -------
    DataFrame
        Wide: ``time``, ``entity``, ``series``, ``value`` (after rates), and one column for each of ``FEATURE_NAMES``.
    """
    parts: list[pd.DataFrame] = []

    def see(judged: Judged) -> None:
        wave = judged.wave
        names = [stream.catalog.identities[s] for s in wave.series]
        head = {"time": wave.time_ms, "entity": [one.entity for one in names], "series": [one.name for one in names]}
        columns = dict(zip(FEATURE_NAMES, judged.features.T.copy(), strict=True))
        parts.append(pd.DataFrame({**head, "value": wave.value, **columns}))

    stream = _stream(bundle, config)
    stream.observer = see
    for _ in send(long_table(samples), stream):
        continue
    empty = pd.DataFrame(columns=["time", "entity", "series", "value", *FEATURE_NAMES])
    table = pd.concat(parts, ignore_index=True) if parts else empty
    return table.assign(time=pd.to_datetime(table["time"], unit="ms", utc=True))


def recorded(samples: pd.DataFrame, labels: Sequence[Label] = (), config: str | None = None) -> History:
    """A history to train on (``models.train``) or to compare models over (``models.compare``).

    Parameters
    ----------
    samples
        From :func:`read_samples`.
    labels
        Stretches that nothing is to be learned from.
    config
        The job's configuration file.
    """
    return History(to_recordings(samples), plan_of(_load(config, None)), Part(excluded=tuple(labels)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a job would have said of samples.

    Attributes
    ----------
    scores
        One row an entity and step: ``time``, ``entity``, ``score`` (in [0, 1], higher is more anomalous; NaN during
        warm-up), ``threshold``, ``anomaly`` (inside an incident as known at that step).
    incidents
        One row an incident, as :func:`incidents` gives them.
    events
        Every revision, in the order of publishing.
    """

    scores: pd.DataFrame
    incidents: pd.DataFrame
    events: list[CloudEvent]

    def plot(self, entity: str | None = None) -> Figure:
        """Draw score, threshold and incidents over time, one panel an entity."""
        from pipeline.drawing import scores_figure

        wanted = [entity] if entity is not None else list(self.scores["entity"].unique())
        return scores_figure(self.scores, self.incidents, wanted)


def backtest(samples: pd.DataFrame, bundle: Bundle | None = None, config: str | None = None) -> Verdict:
    """Judge samples as the live job would.

    Parameters
    ----------
    samples
        From :func:`read_samples`, or a wide table.
    bundle
        The trained model to serve; None: a cold start on the built-in detectors.
    config
        The job's configuration file.
    """
    parts: list[pd.DataFrame] = []

    def see(judged: Judged) -> None:
        scored = judged.scored
        times = np.maximum.reduceat(judged.wave.time_ms, judged.wave.bounds[:-1])
        columns = {
            "time": times[scored.judged],
            "entity": [
                stream.catalog.entities[e][0] for e in judged.wave.entity[judged.wave.bounds[:-1]][scored.judged]
            ],
            "score": np.where(scored.told, scored.score, np.nan)[scored.judged],
            "threshold": scored.threshold[scored.judged],
            "anomaly": judged.is_open[scored.judged],
        }
        parts.append(pd.DataFrame(columns))

    stream = _stream(bundle, config)
    stream.observer = see
    events = [event for result in send(long_table(samples), stream) for event in result.incidents]
    empty = pd.DataFrame(columns=["time", "entity", "score", "threshold", "anomaly"])
    scores = pd.concat(parts, ignore_index=True) if parts else empty
    return Verdict(scores.assign(time=pd.to_datetime(scores["time"], unit="ms", utc=True)), _table(events), events)


def revisions(
    *, since: Time = None, entities: str = "*", config: str | None = None, settings: Mapping[str, Any] | None = None
) -> list[CloudEvent]:
    """Read every revision of the incidents that a job has published, in the order of publishing.

    Parameters
    ----------
    since
        Leave out incidents that were last updated before.
    entities, config, settings
        As in :func:`read_samples`.
    """
    loaded, limit = _load(config, settings), _utc(since)
    told = [
        event
        for records in read_all(client_options(loaded), topics_of(loaded).incidents)
        for _, event in events_of(records)
        if event is not None and fnmatchcase(event.data.entity.id, entities)
    ]
    updated = {event.data.incident_id: pd.Timestamp(event.data.updated_at) for event in told}
    return [event for event in told if limit is None or updated[event.data.incident_id] >= limit]


def incidents(
    *, since: Time = None, entities: str = "*", config: str | None = None, settings: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Read the incidents that a job has published.

    Parameters
    ----------
    since, entities, config, settings
        As in :func:`revisions`.

    Returns
    -------
    DataFrame
        One row an incident, as its last revision tells it: ``incident_id``, ``entity``, ``track``, ``kind``,
        ``severity``, ``status``, ``score``, ``title``, ``started_at``, ``detected_at``, ``updated_at``, ``ended_at``,
        ``top_metric``, ``revisions``, ``model``.
    """
    return _table(revisions(since=since, entities=entities, config=config, settings=settings))


def _table(events: list[CloudEvent]) -> pd.DataFrame:
    last = {event.data.incident_id: event.data for event in events}
    table = pd.DataFrame({name: [read(one) for one in last.values()] for name, read in COLUMNS.items()})
    times = [name for name in table if str(name).endswith("_at")]
    return table.assign(**{str(name): pd.to_datetime(table[name], utc=True) for name in times})


def _from_topic(topic: str, since: pd.Timestamp | None, until: pd.Timestamp | None, loaded: Settings) -> pd.DataFrame:
    plan, catalogs, parts = plan_of(loaded), dict[int, Catalog](), []
    since_ms, until_ms = (None if one is None else one.value // 1_000_000 for one in (since, until))
    for records in read_between(client_options(loaded), topic, since_ms, until_ms):
        catalog = catalogs.setdefault(records.partition, Catalog())
        parts.append(frame_of(decode(records, catalog, plan.formats, plan.dialect), catalog))
    return pd.concat(parts, ignore_index=True) if parts else of_recordings([])


def _stream(bundle: Bundle | None, config: str | None) -> PartitionStream:
    plan = replace(plan_of(_load(config, None)), low_mark=2.0)  # scores are seen wave by wave: none becomes an event
    return PartitionStream(plan, "notebook", 0, bundle)


def _load(config: str | None, settings: Mapping[str, Any] | None) -> Settings:
    return load(config, [f"{key}={value}" for key, value in (settings or {}).items()]).settings


def _utc(time: Time) -> pd.Timestamp | None:
    if time is None:
        return None
    found = pd.Timestamp(time)
    return found.tz_localize("UTC") if found.tzinfo is None else found.tz_convert("UTC")
