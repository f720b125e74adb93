"""Series identity: names to dense ids, one catalog per partition.

Nothing that a partition publishes depends on the ids given here: they only index arrays.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

import msgspec

from pipeline.events import SeriesIdentity
from pipeline.kernels.identity import Identities
from pipeline.lines import UNKNOWN, Lines

__all__ = ["Catalog", "Named"]

NEVER_SEEN = -2
REFUSED = -1
RAW_PER_SERIES = 4  # spellings of one series (field order, batch shape) that the fast path remembers
AT_ONCE = 16_384
REMEMBERED = 16_384  # identities whose ids are found without looking into the lines

_encode = msgspec.json.Encoder().encode
_row = msgspec.json.Decoder(list[Any]).decode
_rows = msgspec.json.Decoder(list[Any]).decode_lines
Name = TypeVar("Name", covariant=True)


class Named(Sequence[Name]):
    """Names by id, each read from its line when asked for: a million of them are a few bytes each, not objects."""

    def __init__(self, lines: Lines, read: Callable[[list[Any]], Name]) -> None:
        self._lines, self._read = lines, read

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, number: int) -> Name: ...

    @overload
    def __getitem__(self, number: slice) -> list[Name]: ...

    def __getitem__(self, number: int | slice) -> Name | list[Name]:
        if isinstance(number, slice):
            first, last, stride = number.indices(len(self))
            rows = _rows(self._lines.text(first, max(first, last)))
            return [self._read(row) for row in rows[::stride]]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._read(_row(self._lines[number % len(self)]))


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
    derives
        Whether series that follow from histograms are met with them: in the order of records, however they were polled.
    """

    def __init__(self, max_series: int = 200_000) -> None:
        self.max_series = max_series
        self.entity_of = array("i")
        self.refused_series = 0
        self.derives = False
        self._derived: dict[tuple[int, str], int] = {}
        self._series, self._entity = Lines(), Lines()
        self.identities = Named(self._series, self._identity)
        self.entities = Named(self._entity, _entity)
        self._recent: dict[SeriesIdentity, int] = {}
        self._named: tuple[int, str, str] = (UNKNOWN, "", "")
        self._spellings = Identities(RAW_PER_SERIES * max_series)
        self._dialect: object = None

    @property
    def n_series(self) -> int:
        """Number of series ids given."""
        return len(self._series)

    @property
    def n_entities(self) -> int:
        """Number of entity ids given."""
        return len(self._entity)

    def series_id(self, identity: SeriesIdentity) -> int:
        """Dense id of the identity, new ones at the end; -1 when the quota is full."""
        found = self.find(identity)
        if found != NEVER_SEEN:
            return found
        if self.n_series >= self.max_series:
            self.refused_series += 1
            return REFUSED
        entity = self.entity_id(identity.entity, identity.entity_class)
        self.entity_of.append(entity)
        return self._series.add(_line(entity, identity))

    def find(self, identity: SeriesIdentity) -> int:
        """Id of an identity that was given one, -2 if never seen or refused; nothing is counted."""
        found = self._recent.get(identity)
        if found is not None:
            return found
        entity = self._entity.find(_encode((identity.entity, identity.entity_class)))
        found = UNKNOWN if entity == UNKNOWN else self._series.find(_line(entity, identity))
        if found == UNKNOWN:
            return NEVER_SEEN
        if len(self._recent) >= REMEMBERED:
            self._recent.clear()
        self._recent[identity] = found
        return found

    def since(self, first: int, last: int | None = None) -> Iterator[list[SeriesIdentity]]:
        """Identities from one id on, before another, some thousands at a time: so few are objects at once."""
        last = self.n_series if last is None else last
        for at in range(first, last, AT_ONCE):
            yield self.identities[at : min(at + AT_ONCE, last)]

    def entity_id(self, entity: str, entity_class: str) -> int:
        """Dense id of the entity, new ones at the end."""
        return self._entity.add(_encode((entity, entity_class)))

    def derived_id(self, count: int, part: str, unit: str) -> int:
        """Dense id of a series that follows from a histogram's series of counts: its mean, or a quantile of it."""
        found = self._derived.get((count, part))
        if found is None:
            whole = self.identities[count]
            base, sign = whole.metric[: -len("count") - 1], whole.metric[-len("count") - 1]
            labels = whole.labels if part == "mean" else tuple(sorted((*whole.labels, ("estimate", "buckets"))))
            metric = f"{base}{sign}{part}"
            found = self.series_id(SeriesIdentity(whole.entity, whole.entity_class, metric, labels, unit))
            if found >= 0:
                self._derived[count, part] = found
        return found

    def written(self) -> tuple[bytearray, bytearray]:
        """Everything known, a line an entity and then a line a series, each in the order of their ids; no copies."""
        return self._entity.arena, self._series.arena

    @classmethod
    def read(cls, pieces: Iterable[bytes | bytearray], max_series: int) -> Catalog:
        """The catalog that :meth:`written` wrote, however it was cut, with the same ids."""
        lines = b"".join(pieces)
        catalog, border = cls(max_series), _border(lines)
        catalog._entity, catalog._series = Lines.of(lines[:border]), Lines.of(lines[border:])
        catalog.identities = Named(catalog._series, catalog._identity)
        catalog.entities = Named(catalog._entity, _entity)
        catalog.entity_of.extend(int(line[1 : line.index(b",")]) for line in lines[border:].split(b"\n")[:-1])
        return catalog

    def _identity(self, row: list[Any]) -> SeriesIdentity:
        entity, metric, labels, unit = row
        if entity != self._named[0]:  # series of one entity stand together, mostly
            self._named = entity, *self.entities[entity]
        _, name, kind = self._named
        return SeriesIdentity(name, kind, metric, tuple([(key, text) for key, text in labels]), unit)

    def spellings_of(self, dialect: object) -> Identities:
        """Ids by raw identity bytes as senders spell them; another dialect reads them anew."""
        if dialect != self._dialect:
            self._spellings.forget()
            self._dialect = dialect
        return self._spellings


def _border(lines: bytes) -> int:
    """Where the first line of a series begins: those of entities begin with a text, those of series with a number."""
    found = re.search(rb"^\[[^\"]", lines, re.MULTILINE)
    return len(lines) if found is None else found.start()


def _line(entity: int, identity: SeriesIdentity) -> bytes:
    return _encode((entity, identity.metric, identity.labels, identity.unit))


def _entity(row: list[Any]) -> tuple[str, str]:
    return row[0], row[1]
