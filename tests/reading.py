"""One record read alone, as tests of single formats look at it."""

from __future__ import annotations

from typing import Any

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Records

AT = 1_767_571_200  # s; 2026-01-05T00:00:00Z
NS = AT * 10**9
RECORD_MS = AT * 1000 + 7


def read(value: bytes | str, dialect: Dialect = DEFAULT) -> tuple[list[tuple[Any, ...]], Any, Any]:
    """(entity, metric, labels, time, value as text, kind) of each sample, the identities, and all that was decoded."""
    raw = value.encode() if isinstance(value, str) else value
    catalog = Catalog()
    found = decode(Records("t", 0, [0], [RECORD_MS], [None], [raw]), catalog, (), dialect)
    s = found.samples
    columns = zip(s.series_id, s.time.tolist(), s.value.tolist(), s.kind.tolist(), strict=True)
    identities = [(catalog.identities[i], *rest) for i, *rest in columns]
    rows = [(i.entity, i.metric, dict(i.labels), t, f"{v:g}", k) for i, t, v, k in identities]
    return rows, catalog.identities, found


def reasons(value: bytes | str, dialect: Dialect = DEFAULT) -> list[str]:
    return [rejected.reason for rejected in read(value, dialect)[2].rejected]
