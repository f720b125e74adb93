"""What late data changes of what was told: incidents found anew are held against those that were published.

Before an entity is taken back, its published incidents are put aside; when its samples have been taken again, each
incident found is matched with one of them, by its id or because both were at the same time::

    published        found anew      event
    ─────────        ──────────      ─────
    as it was told   the same        none
    open, resolved   another         updated, resolved or reopened, reason late_data
    none             any             opened, or resolved if it is over already
    open, resolved   none            resolved, reason retracted
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pipeline.life import Change, Life, Told
from pipeline.lifecycle import Incidents

__all__ = ["Hindsight", "Settling"]


@dataclass(slots=True)
class Settling:
    """Lives of one entity as they were when it was settled, and those told that had left before."""

    lives: list[Life] = field(default_factory=list)
    gone: list[Life] = field(default_factory=list)


class Hindsight:
    """Settled copies of the lives of incidents; most entities have none and cost nothing.

    Parameters
    ----------
    incidents
        The lives as they stand.
    """

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents
        self.settled: dict[int, list[Settling]] = {}

    def busy(self) -> set[int]:
        """Entities that have, or had, lives to settle."""
        return {entity for entity, track in self._incidents.lives if track != "silence"} | self.settled.keys()

    def settle(self, entity: int, copy: int) -> None:
        """Overwrite one copy of an entity's lives with what stands now, and forget what the other knows as gone."""
        copies = self.settled.setdefault(entity, [Settling(), Settling()])
        old = {life.incident_id for life in copies[1 - copy].gone}
        gone = [life for life in self._incidents.gone.get(entity, []) if life.incident_id not in old]
        self._incidents.gone[entity] = gone
        copies[copy] = Settling([_copied(life) for life in self._incidents.of(entity)], list(gone))
        if not any(one.lives or one.gone for one in copies):
            del self.settled[entity], self._incidents.gone[entity]

    def rewind(self, entity: int, copy: int) -> list[Life]:
        """Take an entity's lives back; returns those that were published, as they stood."""
        incidents = self._incidents
        published = incidents.gone.get(entity, []) + incidents.of(entity)
        for life in incidents.of(entity):
            del incidents.lives[(entity, life.track)]
        back = self.settled[entity][copy] if entity in self.settled else Settling()
        incidents.lives |= {(entity, life.track): _copied(life) for life in back.lives}
        incidents.gone[entity] = list(back.gone)
        return [life for life in published if life.revision > 0]

    def revise(
        self, entity: int, published: list[Life], at: tuple[int, int, int], name: Callable[[Life], None]
    ) -> Iterator[Change]:
        """Tell how what was found anew differs from what was published.

        Parameters
        ----------
        entity
            It has been replayed.
        published
            What :meth:`rewind` returned.
        at
            Event time in ms, row and offset of the record with the late sample.
        name
            Gives a life its id, if it has none.
        """
        gone = self._incidents.gone.setdefault(entity, [])
        found = [life for life in gone + self._incidents.of(entity) if life.revision > 0]
        told = _matched(published, found, name)
        for life in found:
            before = told.get(id(life))
            yield from _revised(life, before, at, name)
        known = {id(before) for before in told.values()}
        for life in published:
            if id(life) not in known:
                yield from _retracted(life, at)
                gone.append(life)
        if not gone and entity not in self.settled:
            del self._incidents.gone[entity]

    def forget(self) -> None:
        """Give up all copies: nothing reaches back beyond here."""
        self.settled.clear()
        self._incidents.gone.clear()


def _copied(life: Life) -> Life:
    course = replace(life.course, whole=list(life.course.whole)) if life.course else None
    return replace(life, blame=dict(life.blame), course=course)


def _matched(published: Iterable[Life], found: Iterable[Life], name: Callable[[Life], None]) -> dict[int, Life]:
    """For each life found, by ``id()``, the published one that it is: of the id it has or would get, else at its time.

    So no life that is new is given an id that was given before.
    """
    by_id = {life.incident_id: life for life in published}
    told: dict[int, Life] = {}
    for life in found:
        named = replace(life)
        name(named)
        if named.incident_id in by_id:
            told[id(life)] = by_id.pop(named.incident_id)
    left = sorted(by_id.values(), key=lambda life: life.started_ms)
    for life in sorted(found, key=lambda life: life.started_ms):
        if id(life) in told or life.incident_id:
            continue
        same = next((one for one in left if one.track == life.track and _overlap(one, life)), None)
        if same is not None:
            told[id(life)] = same
            left.remove(same)
    return told


def _overlap(one: Life, other: Life) -> bool:
    return one.started_ms <= _end(other) and other.started_ms <= _end(one)


def _end(life: Life) -> float:
    return max(life.ended_ms, life.started_ms) if life.status == "resolved" else float("inf")


def _revised(
    life: Life, before: Life | None, at: tuple[int, int, int], name: Callable[[Life], None]
) -> Iterator[Change]:
    """The event of a life found anew, told as it stood when it last had something to tell."""
    if before is not None:
        life.incident_id, life.revision = before.incident_id, before.revision
        life.first_record_offset, life.detected_ms = before.first_record_offset, before.detected_ms
        life.updated_ms, life.last_record_offset = before.updated_ms, before.last_record_offset
        if life.told == before.told:
            return
    else:
        life.revision, life.detected_ms = 0, at[0]
        name(life)
    yield _change(life, "opened" if before is None else "reopened" if before.status == "resolved" else "updated", at)


def _retracted(life: Life, at: tuple[int, int, int]) -> Iterator[Change]:
    """The event of a life that was published and not found again, unless that was told before."""
    if life.told is not None and life.told.status == "retracted":
        return
    life.ended_ms = life.ended_ms or life.last_over_ms or life.updated_ms
    life.told = replace(Told.of(life), status="retracted", ended_ms=life.ended_ms)
    yield _change(life, "resolved", at)


def _change(life: Life, what: str, at: tuple[int, int, int]) -> Change:
    """Count a revision, and show the life as it was told; what it gathered since goes on in the life itself."""
    life.revision += 1
    life.updated_ms, _, life.last_record_offset = at
    said = life.told or Told.of(life)
    told: dict[str, Any] = {one.name: getattr(said, one.name) for one in fields(Told)}
    reason = "retracted" if told["status"] == "retracted" else "late_data"
    if told["status"] != "open":
        what, told["status"] = "resolved", "resolved"
    if reason == "retracted":
        life.status = "resolved"
    return Change(replace(life, **told), what, reason, at[1])  # type: ignore[arg-type]
