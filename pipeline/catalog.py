"""Series identity: names to dense ids, one catalog per partition.

Nothing that a partition publishes depends on the ids given here: they only index arrays.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.events import SeriesIdentity
from pipeline.kernels.identity import Identities

__all__ = ["Catalog"]

NEVER_SEEN = -2
REFUSED = -1
RAW_PER_SERIES = 4  # spellings of one series (field order, batch shape) that the fast path remembers

_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(list[Any])


class Catalog:
    """Dense ids of the series and entities that one partition has seen.

    Parameters
    ----------
    max_series
        Quota: identities beyond it are refused and counted, so one sender cannot take all memory.

    Attributes
    ----------
    identities
        By series id.
    entity_of
        Entity id by series id.
    entities
        (entity, class) by entity id.
    refused_series
        How often an unknown identity met a full quota.
    """

    def __init__(self, max_series: int = 200_000) -> None:
        self.max_series = max_series
        self.identities: list[SeriesIdentity] = []
        self.entity_of: list[int] = []
        self.entities: list[tuple[str, str]] = []
        self.refused_series = 0
        self._series: dict[SeriesIdentity, int] = {}
        self._entity: dict[tuple[str, str], int] = {}
        self._raw: dict[bytes, int] = {}
        self._spellings = Identities(RAW_PER_SERIES * max_series)
        self._dialect: object = None
        self._written = bytearray()

    @property
    def n_series(self) -> int:
        """Number of series ids given."""
        return len(self.identities)

    @property
    def n_entities(self) -> int:
        """Number of entity ids given."""
        return len(self.entities)

    def series_id(self, identity: SeriesIdentity) -> int:
        """Dense id of the identity, new ones at the end; -1 when the quota is full."""
        found = self._series.get(identity)
        if found is not None:
            return found
        if len(self.identities) >= self.max_series:
            self.refused_series += 1
            return REFUSED
        series_id = len(self.identities)
        self._series[identity] = series_id
        self.identities.append(identity)
        entity = self.entity_id(identity.entity, identity.entity_class)
        self.entity_of.append(entity)
        self._write([entity, identity.metric, identity.labels, identity.unit])
        return series_id

    def find(self, identity: SeriesIdentity) -> int:
        """Id of an identity that was given one, -2 if never seen or refused; nothing is counted."""
        return self._series.get(identity, NEVER_SEEN)

    def entity_id(self, entity: str, entity_class: str) -> int:
        """Dense id of the entity, new ones at the end."""
        key = (entity, entity_class)
        found = self._entity.get(key)
        if found is None:
            found = self._entity[key] = len(self.entities)
            self.entities.append(key)
            self._write(key)
        return found

    def written(self) -> bytes:
        """Everything known, a line an entity or series in the order of their ids.

        Lines are written when an identity is new, so that a snapshot has only bytes to copy.
        """
        return bytes(self._written)

    @classmethod
    def read(cls, lines: bytes, max_series: int) -> Catalog:
        """The catalog that :meth:`written` wrote, with the same ids."""
        catalog = cls(max(max_series, lines.count(b"\n")))
        for row in _lines.decode_lines(lines):
            if len(row) == 2:
                catalog.entity_id(row[0], row[1])
            else:
                entity, metric, labels, unit = row
                pairs = tuple((key, value) for key, value in labels)
                name, kind = catalog.entities[entity]
                catalog.series_id(SeriesIdentity(name, kind, metric, pairs, unit))
        catalog.max_series = max_series
        return catalog

    def _write(self, row: object) -> None:
        self._written += _encode(row)
        self._written += b"\n"

    def known(self, raw: bytes) -> int:
        """Series id remembered for raw identity bytes, or -2 if never seen."""
        return self._raw.get(raw, NEVER_SEEN)

    def remember(self, raw: bytes, series_id: int) -> None:
        """Keep the id of raw identity bytes; the memory is bounded by the quota and starts anew when full."""
        if series_id < 0:  # a refusal must be asked, and counted, each time
            return
        if len(self._raw) >= RAW_PER_SERIES * self.max_series:
            self._raw.clear()
        self._raw[raw] = series_id

    def spellings_of(self, dialect: object) -> Identities:
        """Ids by raw identity bytes as senders spell them; another dialect reads them anew."""
        if dialect != self._dialect:
            self._spellings.forget()
            self._dialect = dialect
        return self._spellings
