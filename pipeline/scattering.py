"""Entities that come on more than one partition although somebody vouched that they do not; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalog import Catalog
from pipeline.kafka.source import Partition

__all__ = ["Scattering"]


class Scattering:
    """Remembers on which partition each entity was met first, as far as this process sees.

    Attributes
    ----------
    n_entities
        How many entities were met on a second partition.
    """

    def __init__(self) -> None:
        self.n_entities = 0
        self._home: dict[tuple[str, str, str], Partition] = {}
        self._looked: dict[Partition, int] = {}

    def forget(self, topic: str) -> None:
        """Expect entities of a topic anywhere, for its partitions became more."""
        self._home = {key: place for key, place in self._home.items() if key[0] != topic}

    def look(self, catalogs: Mapping[Partition, Catalog]) -> dict[Partition, list[str]]:
        """Return by partition the entities that are new there and known from another one of the same topic."""
        self._looked = {place: n for place, n in self._looked.items() if place in catalogs}
        found: dict[Partition, list[str]] = {}
        for place, catalog in sorted(catalogs.items()):
            for entity, kind in catalog.entities[self._looked.get(place, 0) :]:
                home = self._home.setdefault((place.topic, entity, kind), place)
                if home != place and home in catalogs:
                    found.setdefault(place, []).append(entity)
            self._looked[place] = catalog.n_entities
        self.n_entities += sum(map(len, found.values()))
        return found
