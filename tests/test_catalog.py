"""Laws of the catalog: dense ids in order of arrival, a quota that counts, a raw memory that is bounded."""

from __future__ import annotations

from pipeline.catalog import Catalog
from pipeline.events import SeriesIdentity


def identity(metric: str, entity: str = "db-01") -> SeriesIdentity:
    return SeriesIdentity(entity, "host", metric)


def test_ids_are_dense_in_order_of_arrival_and_stay() -> None:
    catalog = Catalog()
    assert [catalog.series_id(identity(name)) for name in ("b", "a", "b", "c", "a")] == [0, 1, 0, 2, 1]
    assert [found.metric for found in catalog.identities] == ["b", "a", "c"]
    assert catalog.n_series == 3


def test_series_of_one_entity_share_its_id() -> None:
    catalog = Catalog()
    for entity in ("x", "y", "x"):
        catalog.series_id(identity(f"m.{catalog.n_series}", entity))
    assert list(catalog.entity_of) == [0, 1, 0]
    assert list(catalog.entities) == [("x", "host"), ("y", "host")]
    assert catalog.n_entities == 2


def test_a_host_and_a_service_of_one_name_are_two_entities() -> None:
    catalog = Catalog()
    assert catalog.entity_id("edge", "host") != catalog.entity_id("edge", "service")


def test_labels_and_unit_make_another_series() -> None:
    catalog = Catalog()
    found = {
        catalog.series_id(SeriesIdentity("x", "host", "m", labels, unit))
        for labels in ((), (("cpu", "0"),), (("cpu", "1"),))
        for unit in ("", "s")
    }
    assert found == set(range(6))


def test_beyond_the_quota_new_series_are_refused_and_old_ones_found() -> None:
    catalog = Catalog(max_series=2)
    assert [catalog.series_id(identity(name)) for name in ("a", "b", "c", "c", "a")] == [0, 1, -1, -1, 0]
    assert catalog.refused_series == 2
    assert catalog.n_entities == 1


def test_finding_gives_no_id_and_counts_nothing() -> None:
    catalog = Catalog(max_series=1)
    assert catalog.find(identity("a")) == -2
    assert catalog.series_id(identity("a")) == 0
    assert catalog.find(identity("a")) == 0
    assert (catalog.n_series, catalog.refused_series) == (1, 0)
