"""Where snapshots lie: a local folder, or whatever fsspec reaches by URL."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import StoreFailed
from pipeline.faults import reach

__all__ = ["Folder", "Remote", "Store", "store_at"]


class Store(Protocol):
    """Files by relative path. All methods raise StoreFailed for whatever keeps them from working."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none if there is no such folder."""

    def read(self, path: str) -> bytes:
        """Everything in a file."""

    def write(self, path: str, data: memoryview) -> None:
        """Write a file so that it is there whole or not at all."""

    def remove(self, path: str) -> None:
        """Remove a file; fine if it is gone."""


class Folder:
    """A folder of this machine, or one that is mounted here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> list[str]:
        """As :class:`Store` says."""
        try:
            return sorted(one.name for one in (self._root / folder).iterdir() if not one.name.endswith(".part"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreFailed(f"listing {self._root / folder}: {error}") from error

    def read(self, path: str) -> bytes:
        """As :class:`Store` says."""
        try:
            return (self._root / path).read_bytes()
        except OSError as error:
            raise StoreFailed(f"reading {self._root / path}: {error}") from error

    def write(self, path: str, data: memoryview) -> None:
        """Write beside, flush to the disk, then rename: a reader never sees half a file."""
        target = self._root / path
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(data[: len(data) // 2])
                reach("in-snapshot")
                file.write(data[len(data) // 2 :])
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise StoreFailed(f"writing {target}: {error}") from error

    def remove(self, path: str) -> None:
        """As :class:`Store` says."""
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreFailed(f"removing {self._root / path}: {error}") from error


class Remote:
    """Anything that fsspec reaches: s3://, gs://, abfs://, memory:// …; an object is written whole or not at all."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise StoreFailed(f"state.folder: {url!r} needs the package fsspec; a plain folder does not") from error
        self._files, self._root = _told(url, url_to_fs, url)

    def names(self, folder: str) -> list[str]:
        """As :class:`Store` says."""
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise StoreFailed(f"listing {self._root}/{folder}: {error}") from error
        return sorted(str(one).rsplit("/", 1)[-1] for one in found)

    def read(self, path: str) -> bytes:
        """As :class:`Store` says."""
        return bytes(_told(path, self._files.cat_file, f"{self._root}/{path}"))

    def write(self, path: str, data: memoryview) -> None:
        """As :class:`Store` says."""
        _told(path, self._files.pipe_file, f"{self._root}/{path}", bytes(data))

    def remove(self, path: str) -> None:
        """As :class:`Store` says."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{path}")


def store_at(place: str) -> Store:
    """The store at a folder or URL; nothing is created yet."""
    return Remote(place) if "://" in place else Folder(Path(place).expanduser())


def _told(path: str, call: Any, *arguments: Any) -> Any:
    """Run one of fsspec's calls; each file system has errors of its own, which become ours with the path in them."""
    try:
        return call(*arguments)
    except Exception as error:
        raise StoreFailed(f"{path}: {error}") from error
