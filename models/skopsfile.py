"""Fitted estimators as skops bytes that are equal for equal estimators.

skops names parts by their address in memory and stamps its archive with the time of day. A bundle is known by the
hash of its files, and one that comes back from the registry after a restart must be known as the one that served.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

__all__ = ["dumped"]

CONTENTS = "schema.json"
# plain values, whose addresses say nothing: equal ones may share one or not
LEAVES = ("JsonNode", "TypeNode")


def dumped(estimator: Any) -> bytes:
    """The estimator in skops format, its parts numbered in order and without a time."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    contents = json.loads(parts.pop(CONTENTS))
    files = _numbered(contents)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new), _clean(parts[old]) if new.endswith(".npy") else parts[old])
        archive.writestr(zipfile.ZipInfo(CONTENTS), json.dumps(contents, separators=(",", ":")))
    return out.getvalue()


def _clean(part: bytes) -> bytes:
    """The array with zeros between the fields of its records, where memory was never written."""
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    clean = np.zeros(array.shape, array.dtype)  # zeros_like would leave what is between the fields
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _numbered(contents: Any) -> dict[str, str]:
    """Replace addresses and file names in a table of contents, in place; returns new names of files by old ones."""
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    n = 0
    stack = [contents]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += reversed(node)
        if not isinstance(node, dict):
            continue
        if "__id__" in node:
            n += 1
            leaf = node.get("__loader__") in LEAVES
            node["__id__"] = n if leaf else numbers.setdefault(node["__id__"], n)
        if isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            node["file"] = files.setdefault(node["file"], f"{len(files)}.{suffix}")
        stack += reversed(node.values())
    return files
