"""Series identity: names to dense ids, one catalog per partition.

Nothing that a partition publishes depends on the ids given here: they only index arrays.
"""

from __future__ import annotations

from pipeline.events import SeriesIdentity

__all__ = ["Catalog"]

NEVER_SEEN = -2
REFUSED = -1
RAW_PER_SERIES = 4  # spellings of one series (field order, batch shape) that the fast path remembers


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
        self.entity_of.append(self.entity_id(identity.entity, identity.entity_class))
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
        return found

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
