"""The JSON Schema of the incident events, generated from the types themselves."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from pipeline.incident import CloudEvent

__all__ = ["incident_schema", "schema_text"]


def incident_schema() -> dict[str, Any]:
    """Return the schema; unknown fields are allowed, because within v1 fields may be added."""
    (reference,), parts = msgspec.json.schema_components([CloudEvent], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "foreshock incident event, v1 (CloudEvents 1.0, structured mode)",
        **reference,
        "$defs": parts,
    }


def schema_text() -> str:
    """Return the schema as indented JSON with a final newline."""
    return json.dumps(incident_schema(), indent=2) + "\n"
