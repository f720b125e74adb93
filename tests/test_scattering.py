"""Laws of entities on several partitions."""

from __future__ import annotations

from pipeline.catalog import Catalog
from pipeline.kafka.source import Partition
from pipeline.scattering import Scattering

FIRST, SECOND = Partition("t", 0), Partition("t", 1)


def catalog(*entities: str) -> Catalog:
    made = Catalog()
    for entity in entities:
        made.entity_id(entity, "host")
    return made


def test_an_entity_on_a_second_partition_is_told_once() -> None:
    scattering, catalogs = Scattering(), {FIRST: catalog("a", "b"), SECOND: catalog("c")}
    assert scattering.look(catalogs) == {}
    catalogs[SECOND].entity_id("a", "host")
    assert scattering.look(catalogs) == {SECOND: ["a"]}
    assert scattering.look(catalogs) == {}
    assert scattering.n_entities == 1


def test_after_partitions_were_added_who_moved_is_not_scattered() -> None:
    scattering = Scattering()
    scattering.look({FIRST: catalog("a")})
    scattering.forget("t")
    assert scattering.look({FIRST: catalog("a"), SECOND: catalog("a")}) == {}


def test_a_partition_that_went_elsewhere_holds_up_nobody() -> None:
    scattering = Scattering()
    scattering.look({FIRST: catalog("a")})
    assert scattering.look({SECOND: catalog("a")}) == {}
