"""A bundle as files: arrays, estimators and a manifest, each checked before it is believed; never a pickle.

A folder holds::

    manifest.json         schema version, names, versions, and the SHA-256 of every other file
    bundle.json           the bundle's fields; arrays and estimators are named here and lie beside it
    arrays.npz            numbers only
    estimator-0.skops     fitted scikit-learn estimators, in a format that cannot run code

A later release may add fields with defaults: a folder of an older schema is read with those defaults.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Callable, Collection
from dataclasses import fields
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.card import Card, schema_hash
from models.errors import BundleRefused
from models.metric_sets import MetricSet
from models.skopsfile import dumped
from models.trust import load_estimator

__all__ = ["SCHEMA", "load", "save", "versions"]

SCHEMA = 1
MANIFEST, CONTENT, ARRAYS = "manifest.json", "bundle.json", "arrays.npz"
VERSIONS_OF = ("numpy", "scikit-learn", "skops", "numba")
GOLDEN_TOLERANCE = 1e-9
RECORDS: dict[str, type[Any]] = {"Bundle": Bundle, "Card": Card, "MetricSet": MetricSet}


def save(bundle: Bundle, folder: Path) -> str:
    """Write a bundle into a new or empty folder; equal bundles are equal files.

    Returns
    -------
    str
        SHA-256 of the manifest, which holds those of all other files: whoever keeps it can prove the whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = _Writer()
    content = writer.pack(bundle)
    (folder / CONTENT).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    _write_arrays(folder / ARRAYS, writer.arrays)
    names = [CONTENT, ARRAYS, *writer.write_estimators(folder)]
    manifest = {
        "schema": SCHEMA,
        "detector": bundle.card.detector,
        "feature_names": list(bundle.card.feature_names),
        "feature_schema": schema_hash(bundle.card.feature_names),
        "facts": bundle.card.facts,
        "versions": versions(),
        "files": {name: _digest(folder / name) for name in names},
    }
    text = json.dumps(manifest, indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """What a bundle is made with, by name."""
    return {"python": platform.python_version()} | {name: version_of(name) for name in VERSIONS_OF}


def load(folder: Path, trusted_types: Collection[str] = (), digest: str = "") -> Bundle:
    """Read a bundle and check it: files, types, trees, and that it answers as it did when it was trained.

    Parameters
    ----------
    folder
        As :func:`save` left it.
    trusted_types
        Types that the operator trusts beyond our own list.
    digest
        What :func:`save` returned, from a place that whoever can write the folder cannot write; "": not checked.

    Raises
    ------
    BundleRefused
        Something is missing, changed, foreign, too new, or answers differently.
    """
    manifest = _manifest(folder, digest)
    for name, expected in manifest["files"].items():
        if Path(name).name != name or not (folder / name).is_file():
            raise BundleRefused(f"{folder}: the file {name} is missing")
        if _digest(folder / name) != expected:
            raise BundleRefused(f"{folder}: {name} is not the file that was saved: its SHA-256 differs")
    bundle = _Reader(folder, manifest, trusted_types).bundle()
    _check_golden(bundle, folder)
    return bundle


def _check_golden(bundle: Bundle, folder: Path) -> None:
    card = bundle.card
    asked: list[tuple[Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], Any, Any]]
    asked = [(bundle.excess, card.golden_rows, card.golden_scores)]
    asked += [(one.excess, one.golden_rows, one.golden_excess) for one in bundle.sets.values()]
    for answer, rows, expected in asked:
        worst = float(np.max(np.abs(answer(rows) - expected), initial=0.0)) if len(rows) else 0.0
        if not worst <= GOLDEN_TOLERANCE:
            raise BundleRefused(f"{folder}: its golden rows score up to {worst:.3g} otherwise than when it was trained")


def _manifest(folder: Path, digest: str) -> dict[str, Any]:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        schema, files = manifest["schema"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        pickles = [path.name for path in sorted(folder.rglob("*.pkl"))]
        why = f"holds {pickles[0]}, a pickle, which would run code when opened and never is" if pickles else error
        raise BundleRefused(f"{folder} is not a bundle: {why}") from error
    if digest and hashlib.sha256(text.encode()).hexdigest() != digest:
        raise BundleRefused(f"{folder}: {MANIFEST} is not the one that was registered: its SHA-256 differs")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise BundleRefused(f"{folder} has schema {schema!r}; this release reads 1 to {SCHEMA}: update foreshock")
    if not isinstance(files, dict) or CONTENT not in files:
        raise BundleRefused(f"{folder}: {MANIFEST} does not name {CONTENT}")
    return dict(manifest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """As np.savez, but without the time of day: equal bundles of arrays are equal files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    with path.open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


class _Writer:
    """Takes a bundle apart by the shape of its values, so that new fields need no new code."""

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self.estimators: list[Any] = []

    def pack(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, np.ndarray):
            return {"array": self._keep(value)}
        if isinstance(value, np.generic):
            return value.item()
        if type(value).__name__ in RECORDS:
            return {
                "record": type(value).__name__,
                "fields": {f.name: self.pack(getattr(value, f.name)) for f in fields(value) if f.init},
            }
        if isinstance(value, (list, tuple)):
            return {"tuple": [self.pack(one) for one in value]}
        if isinstance(value, dict):
            return self._pack_dict(value)
        if hasattr(value, "get_params"):
            self.estimators.append(value)
            return {"estimator": len(self.estimators) - 1}
        raise TypeError(f"a bundle cannot hold a {type(value).__name__}: {value!r}")

    def _pack_dict(self, value: dict[Any, Any]) -> Any:
        keys = [list(key) if isinstance(key, tuple) else key for key in value]
        rows = list(value.values())
        if rows and all(isinstance(row, np.ndarray) and row.shape == rows[0].shape for row in rows):
            return {"table": self._keep(np.stack(rows)), "keys": keys}
        return {"dict": [self.pack(row) for row in rows], "keys": keys}

    def _keep(self, array: npt.NDArray[Any]) -> str:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"a bundle's arrays hold numbers, not {array.dtype}")
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def write_estimators(self, folder: Path) -> list[str]:
        names = [f"estimator-{i}.skops" for i in range(len(self.estimators))]
        for name, estimator in zip(names, self.estimators, strict=True):
            (folder / name).write_bytes(dumped(estimator))
        return names


class _Reader:
    """Puts a bundle together again from checked files."""

    def __init__(self, folder: Path, manifest: dict[str, Any], trusted_types: Collection[str]) -> None:
        self.folder, self.files, self.trusted_types = folder, manifest["files"], trusted_types
        self.arrays = self._read(ARRAYS, _arrays)

    def bundle(self) -> Bundle:
        """The whole; every fault of content becomes a refusal that names the file."""
        tree = self._read(CONTENT, lambda path: json.loads(path.read_text(encoding="utf-8")))
        try:
            bundle = self._unpack(tree)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleRefused(f"{self.folder}: {CONTENT} does not describe a bundle: {error!r}") from error
        if not isinstance(bundle, Bundle):
            raise BundleRefused(f"{self.folder}: {CONTENT} holds a {type(bundle).__name__}, not a bundle")
        return bundle

    def _read(self, name: str, reader: Callable[[Path], Any]) -> Any:
        try:
            return reader(self.folder / name)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise BundleRefused(f"{self.folder}: {name} cannot be read: {error}") from error

    def _unpack(self, node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if "array" in node:
            return self.arrays[node["array"]]
        if "record" in node:
            return RECORDS[node["record"]](**{name: self._unpack(one) for name, one in node["fields"].items()})
        if "tuple" in node:
            return tuple(self._unpack(one) for one in node["tuple"])
        if "estimator" in node:
            return self._estimator(f"estimator-{int(node['estimator'])}.skops")
        keys = [tuple(key) if isinstance(key, list) else key for key in node["keys"]]
        rows = self.arrays[node["table"]] if "table" in node else [self._unpack(one) for one in node["dict"]]
        return dict(zip(keys, rows, strict=True))

    def _estimator(self, name: str) -> Any:
        if name not in self.files:
            raise BundleRefused(f"{self.folder}: {name} is not among the files that the manifest vouches for")
        return load_estimator(self.folder / name, self.trusted_types)
