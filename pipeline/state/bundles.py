"""The bundles that served, beside the snapshots and known by their hash, so that recovery never asks a registry."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path

from models.bundle import Bundle
from models.errors import BundleRefused
from models.files import load, save
from pipeline.state.store import Store

__all__ = ["Bundles"]

log = logging.getLogger(__name__)


class Bundles:
    """A cache of bundles in the state's store.

    Parameters
    ----------
    store
        Where they lie, each in a folder ``bundles/<hash>``.
    trusted_types
        Types in model files that the operator trusts beyond our own list.
    """

    def __init__(self, store: Store, trusted_types: Collection[str] = ()) -> None:
        self._store, self._trusted_types = store, tuple(trusted_types)
        self._known: dict[str, Bundle] = {}

    def put(self, bundle: Bundle) -> str:
        """Keep a bundle; returns its hash.

        Raises
        ------
        StoreFailed
            It could not be kept; a decision must not name it then.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "bundle"
            digest = save(bundle, folder)
            for file in sorted(folder.iterdir()):
                self._store.write(f"bundles/{digest}/{file.name}", memoryview(file.read_bytes()))
        self._known[digest] = bundle
        return digest

    def get(self, digest: str) -> Bundle | None:
        """The bundle of a hash, checked; None for "", which stands for the built-in baselines.

        Raises
        ------
        BundleRefused
            It is not there, or not what was put there.
        StoreFailed
            The store does not answer.
        """
        if not digest:
            return None
        if digest not in self._known:
            names = self._store.names(f"bundles/{digest}")
            if not names:
                raise BundleRefused(f"the bundle {digest} that served is not in the state folder: was it moved?")
            with tempfile.TemporaryDirectory() as scratch:
                for name in names:
                    (Path(scratch) / name).write_bytes(self._store.read(f"bundles/{digest}/{name}"))
                self._known[digest] = load(Path(scratch), self._trusted_types, digest)
        return self._known[digest]
