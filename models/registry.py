"""The registry: versions of a model under their aliases, saved, loaded, promoted, rolled back, retired.

Aliases: ``champion`` serves, ``challenger`` wants to, ``previous`` served before and is what a rollback returns to.
Each version that was promoted keeps in its tags whom it followed, when, and why; so one can roll back step by step.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models import files
from models.bundle import Bundle
from models.errors import AliasMoved, ModelNotFound, StoreUnreachable
from models.question import AliasQuestion
from models.tracking import (
    Noted,
    default_uri,
    local_database,
    note_run,
    note_trial,
    opened,
    recall_trial,
    translated,
)
from models.trial import Trial

__all__ = ["CHALLENGER", "CHAMPION", "PREVIOUS", "Registry", "Version", "load"]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
LOCK_SECONDS = 30.0
FOLLOWED, PROMOTED, BECAUSE, RETIRED = (
    "foreshock.followed",
    "foreshock.promoted_at",
    "foreshock.because",
    "foreshock.retired",
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version as the registry tells of it; ``measures`` are those of its training run."""

    number: str
    aliases: tuple[str, ...]
    created_ms: int
    run_id: str
    detector: str
    tags: dict[str, str]
    measures: dict[str, float]

    @property
    def is_retired(self) -> bool:
        """Whether it was taken out of use."""
        return self.tags.get(RETIRED) is not None

    @property
    def digest(self) -> str:
        """What vouches for its files: equal bundles have equal ones; "" where none was noted."""
        return self.tags.get("foreshock.sha256", "")


class Registry:
    """All versions of one model at one address.

    Parameters
    ----------
    name
        Registered name of the model.
    uri
        MLflow's address; "": SQLite in the user's data folder.
    trusted_types
        Types that the operator trusts beyond our own list.
    """

    def __init__(self, name: str = "foreshock", uri: str = "", trusted_types: Collection[str] = ()) -> None:
        self.name, self.uri, self.trusted_types = name, uri or default_uri(), tuple(trusted_types)
        self._opened: Any = None
        self._question = AliasQuestion(self.uri, name) if self.uri.startswith(("http://", "https://")) else None

    @property
    def is_there(self) -> bool:
        """Whether there can be anything to read: False only for a local store that nobody has used yet."""
        database = local_database(self.uri)
        return database is None or database.exists()

    def stamp(self) -> tuple[int, ...]:
        """What changes whenever a local store is written to, at the cost of a look at its files; empty for others."""
        database = local_database(self.uri)
        if database is None:
            return ()
        parts = [database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-journal"))]
        return tuple(n for part in parts if part.exists() for n in (part.stat().st_mtime_ns, part.stat().st_size))

    def aliases(self) -> dict[str, str]:
        """Version numbers by alias; empty for a model that nobody has registered. One question to the store."""
        try:
            with self._asking("asking for aliases"):
                if self._question is not None:
                    return self._question.ask()
                return {key: str(value) for key, value in self._client.get_registered_model(self.name).aliases.items()}
        except ModelNotFound:
            return {}

    def versions(self) -> list[Version]:
        """All versions, newest first; empty for a model that nobody has registered."""
        aliases = self.aliases()
        with self._asking("listing versions"):
            found = list(self._client.search_model_versions(f"name = '{self.name}'", max_results=1000))
        return [_version(one, aliases) for one in sorted(found, key=lambda one: -int(one.version))]

    def version(self, wanted: str) -> Version:
        """The version of that number or alias.

        Raises
        ------
        ModelNotFound
            There is none; the message names those there are.
        """
        aliases = self.aliases()
        number = aliases.get(wanted.removeprefix("@"), wanted.removeprefix("@"))
        known = {one.number: one for one in self.versions()}
        if number in known:
            return known[number]
        there = ", ".join([*(f"@{name}" for name in sorted(aliases)), *list(known)[:5]])
        raise ModelNotFound(f"{self.name} has no version {wanted}; there are: {there or 'none, train one first'}")

    def load(self, wanted: str) -> Bundle:
        """The bundle of a version or alias, checked: see :func:`models.files.load`.

        Raises
        ------
        ModelNotFound, StoreUnreachable
            It is not there, or nobody answers.
        BundleRefused
            It is there and must not serve.
        """
        version = self.version(wanted)
        with tempfile.TemporaryDirectory() as folder:
            return self.read(self.fetch(version, Path(folder)), version)

    def fetch(self, version: Version, folder: Path) -> Path:
        """Copy a version's files into a folder of its own under ``folder``; returns it."""
        self._client  # noqa: B018  MLflow must be pointed at our address first
        import mlflow

        target = folder / f"{self.name}-{version.number}"
        with self._asking(f"fetching version {version.number}"):
            target.mkdir(parents=True, exist_ok=True)
            mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version.number}", dst_path=str(target))
        return target

    def read(self, folder: Path, version: Version) -> Bundle:
        """Read fetched files; the digest that was registered vouches for them."""
        bundle = files.load(folder, self.trusted_types, version.digest)
        return replace(bundle, name=self.name, version=version.number)

    def save(self, bundle: Bundle, noted: Noted | None = None, alias: str = "", replace_holder: bool = False) -> str:
        """Register a bundle as the next version; ``alias`` is given to it if nobody stands there yet, or if asked.

        Raises
        ------
        AliasMoved
            Another version holds the alias; the new version is registered without it.
        """
        version = note_run(self.uri, self.name, bundle, noted or Noted())
        holder = self.aliases().get(alias) if alias and not replace_holder else None
        if holder is not None:
            raise AliasMoved(
                f"registered version {version}, but @{alias} stays with version {holder}, which may be on trial; "
                f"retire it (foreshock models retire {holder}), or train with --replace"
            )
        if alias:
            self.set_alias(alias, version)
        return version

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version, wherever it pointed before."""
        with self._asking(f"setting @{alias}"):
            self._client.set_registered_model_alias(self.name, alias, version)

    def drop_alias(self, alias: str) -> None:
        """Take an alias away, if it is there."""
        with self._asking(f"dropping @{alias}"):
            self._client.delete_registered_model_alias(self.name, alias)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Note something on a version."""
        with self._asking("noting"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version, key, value)

    def note_trial(self, trial: Trial, run_id: str = "") -> str:
        """Note what a challenger did in the shadow so far, in a run of its own ("": a new one); returns the run."""
        return note_trial(self.uri, self.name, trial, run_id)

    def trial(self, champion: str, challenger: str) -> Trial | None:
        """What all processes noted of a challenger in the shadow of a champion, or None."""
        return recall_trial(self.uri, self.name, Trial(champion, challenger))

    def promote(self, wanted: str, expected: str | None, because: str = "") -> Version:
        """Let a version serve, in this order, so that whatever fails the job finds a champion:

        1. check that the champion is the expected one (None: there is none);
        2. keep it as ``previous``; 3. note whom the new one follows; 4. move ``champion``;
        5. the new champion is no challenger any more.

        Raises
        ------
        AliasMoved
            The champion is not the expected one, or somebody promotes at this very moment; nothing was changed.
        """
        version = self.version(wanted)
        with self._alone():
            aliases = self.aliases()
            if aliases.get(CHAMPION) != expected:
                raise AliasMoved(
                    f"the champion is {_said(aliases.get(CHAMPION))}, not {_said(expected)}: nothing was changed; "
                    "compare again"
                )
            if expected == version.number:
                return version
            self.tag(version.number, {FOLLOWED: expected or "", PROMOTED: _now(), BECAUSE: because})
            if expected is not None:
                self.set_alias(PREVIOUS, expected)
            self.set_alias(CHAMPION, version.number)
            if aliases.get(CHALLENGER) == version.number:
                self.drop_alias(CHALLENGER)
        return self.version(version.number)

    def rollback(self) -> Version:
        """Let the previous champion serve again; ``previous`` moves to the one before it.

        Raises
        ------
        ModelNotFound
            There is no previous one.
        """
        with self._alone():
            aliases = self.aliases()
            if PREVIOUS not in aliases:
                raise ModelNotFound(f"{self.name} has no @{PREVIOUS} to roll back to")
            back = self.version(aliases[PREVIOUS])
            if CHAMPION in aliases:
                self.tag(aliases[CHAMPION], {"foreshock.rolled_back_at": _now()})
            self.set_alias(CHAMPION, back.number)
            before = back.tags.get(FOLLOWED, "")
            if before and before != back.number:
                self.set_alias(PREVIOUS, before)
            else:
                self.drop_alias(PREVIOUS)
        return self.version(back.number)

    def retire(self, wanted: str) -> Version:
        """Take a version out of use: it loses its aliases and stays readable for replays.

        Raises
        ------
        AliasMoved
            It is the champion: promote another or roll back first.
        """
        version = self.version(wanted)
        if CHAMPION in version.aliases:
            raise AliasMoved(f"version {version.number} serves; promote another or roll back first")
        for alias in version.aliases:
            self.drop_alias(alias)
        self.tag(version.number, {RETIRED: _now()})
        return self.version(version.number)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one at a time may move the champion: MLflow has no compare-and-set, but it creates a name only once."""
        lock = f"{self.name}.promotion-under-way"
        from mlflow.exceptions import MlflowException

        try:
            with self._asking("taking the lock"):
                self._client.create_registered_model(lock)
        except StoreUnreachable as error:
            cause = error.__cause__
            if not isinstance(cause, MlflowException) or cause.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            self._break_stale(lock, error)
        try:
            yield
        finally:
            with self._asking("releasing the lock"):
                self._client.delete_registered_model(lock)

    def _break_stale(self, lock: str, error: Exception) -> None:
        with self._asking("looking at the lock"):
            held = time.time() - self._client.get_registered_model(lock).creation_timestamp / 1000
        if held < LOCK_SECONDS:
            raise AliasMoved("somebody promotes at this moment; nothing was changed") from error

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = opened(self.uri)
        return self._opened

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        self._client  # noqa: B018  import MLflow before its errors can be named
        with translated(self.uri, what):
            yield


def load(wanted: str = CHAMPION, name: str = "foreshock", uri: str = "") -> Bundle:
    """The bundle of a version or alias: see :meth:`Registry.load`."""
    return Registry(name, uri).load(wanted)


def _version(found: Any, aliases: Mapping[str, str]) -> Version:
    tags = dict(found.tags)
    measures = {key.removeprefix("measure."): float(text) for key, text in tags.items() if key.startswith("measure.")}
    number = str(found.version)
    names = tuple(sorted(alias for alias, holder in aliases.items() if holder == number))
    detector = tags.get("foreshock.detector", "")
    return Version(number, names, int(found.creation_timestamp), found.run_id or "", detector, tags, measures)


def _said(number: str | None) -> str:
    return "nobody" if number is None else f"version {number}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
