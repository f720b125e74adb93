"""Laws of the subscriber's filters and of reading events, and of the schema that describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from pipeline.errors import InputError, SettingsError
from pipeline.events import Records
from pipeline.incident import CloudEvent
from pipeline.schema import incident_schema, schema_text
from pipeline.subscriber import Where, events_of


def event(entity: str = "db-01", severity: str = "warning", track: str = "behaviour", **data: Any) -> dict[str, Any]:
    """An event as the job publishes it."""
    incident = {
        "incident_id": "5d2f2cf0-7e0f-5c38-9c4b-000000000001",
        "revision": 1,
        "track": track,
        "status": "open",
        "severity": severity,
        "score": 0.75,
        "kind": "spike",
        "entity": {"id": entity, "class": "host", "name": entity, "labels": {}},
        "title": f"{entity}: load jumped",
        "started_at": "2026-01-31T06:00:00.000Z",
        "detected_at": "2026-01-31T06:01:00.000Z",
        "updated_at": "2026-01-31T06:01:00.000Z",
        "ended_at": None,
        "contributing_metrics": [
            {"metric": "load", "unit": "1", "share": 1.0, "value": 9.0, "expected": 1.0, "lower": 0.5, "upper": 1.5}
        ],
        "model": {"name": "foreshock", "version": "1", "threshold": 0.5},
        "data_quality": {"missing_share": 0.0, "late_samples": 0, "warming": False},
        "source": {"topic": "telemetry", "partition": 0, "first_offset": 1, "last_offset": 2},
        "reason": "opened",
    }
    return {
        "specversion": "1.0",
        "id": "5d2f2cf0-7e0f-5c38-9c4b-000000000001:1",
        "source": "foreshock/foreshock",
        "type": "foreshock.incident.opened.v1",
        "time": "2026-01-31T06:01:00.000Z",
        "subject": entity,
        "datacontenttype": "application/json",
        "data": incident | data,
    }


def records(*values: bytes | None) -> Records:
    n = len(values)
    return Records("foreshock.incidents", 0, list(range(n)), [0] * n, [None] * n, list(values))


def typed(**changes: Any) -> CloudEvent:
    return msgspec.convert(event(**changes), CloudEvent)


@pytest.mark.parametrize(
    ("where", "changes", "wanted"),
    [
        (Where(), {}, True),
        (Where(entity="db-*"), {"entity": "db-01"}, True),
        (Where(entity="db-*"), {"entity": "web-01"}, False),
        (Where(entity="DB-01"), {"entity": "db-01"}, False),
        (Where(min_severity="error"), {"severity": "warning"}, False),
        (Where(min_severity="error"), {"severity": "error"}, True),
        (Where(min_severity="error"), {"severity": "critical"}, True),
        (Where(track="silence"), {"track": "behaviour"}, False),
        (Where(track="silence"), {"track": "silence"}, True),
    ],
)
def test_filter_passes_what_was_asked_for(where: Where, changes: dict[str, str], wanted: bool) -> None:
    assert where.wants(typed(**changes)) is wanted


def test_filter_with_an_unknown_word_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="'bad' is not a severity; there are info, warning, error, critical"):
        Where(min_severity="bad")
    with pytest.raises(SettingsError, match="'x' is not a track; there are behaviour, silence, exhaustion"):
        Where(track="x")


def test_events_and_fields_of_later_releases_do_not_disturb() -> None:
    later = event() | {"type": "foreshock.state.lost.v1", "data": {"partition": 0}}
    grown = event(brand_new_field=1)
    read = list(events_of(records(json.dumps(later).encode(), None, json.dumps(grown).encode())))
    assert [offset for offset, _ in read] == [0, 1, 2]
    assert [one is not None for _, one in read] == [False, False, True]


def test_foreign_record_is_named_with_its_place() -> None:
    with pytest.raises(InputError, match=r"no incident event at foreshock\.incidents, partition 0, offset 1"):
        list(events_of(records(json.dumps(event()).encode(), b"hello")))


def test_schema_holds_for_events_as_they_are_published() -> None:
    jsonschema.Draft202012Validator.check_schema(incident_schema())
    published = json.loads(msgspec.json.encode(typed()))
    jsonschema.validate(published, incident_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event(severity="bad"), incident_schema())


def test_schema_file_equals_the_types() -> None:
    path = Path(__file__).parents[1] / "configs" / "incident.schema.json"
    assert path.read_text() == schema_text(), "run: foreshock config schema > configs/incident.schema.json"
