"""What may come out of a skops file: checked in its own table of contents before anything in it is built."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BundleRefused

__all__ = ["TRUSTED_TYPES", "check_trees", "load_estimator"]

MOST_BYTES = 2_000_000_000
# How skops may build parts. What calls functions by name (FunctionNode, MethodNode, OperatorFuncNode, PartialNode,
# ReduceNode) is not here, whatever it calls.
PLAIN = {"builtins.dict", "builtins.list", "builtins.tuple", "builtins.str", "builtins.int", "builtins.float"}
PLAIN |= {"builtins.bool", "builtins.NoneType", "builtins.slice", "builtins.set"}
ARRAYS = {"numpy.ndarray", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.int32", "numpy.bool", "numpy.dtype"}
LOADERS: dict[str, set[str] | None] = {
    "DictNode": PLAIN,
    "ListNode": PLAIN,
    "TupleNode": PLAIN,
    "SetNode": PLAIN,
    "SliceNode": PLAIN,
    "JsonNode": None,
    "TypeNode": None,
    "NdArrayNode": ARRAYS,
    "DtypeNode": None,
    "ObjectNode": None,
    "TreeNode": None,
}
TRUSTED_TYPES = frozenset(
    {
        "sklearn.cluster._kmeans.KMeans",
        "sklearn.cluster._kmeans.MiniBatchKMeans",
        "sklearn.covariance._elliptic_envelope.EllipticEnvelope",
        "sklearn.decomposition._pca.PCA",
        "sklearn.ensemble._iforest.IsolationForest",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.mixture._gaussian_mixture.GaussianMixture",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._lof.LocalOutlierFactor",
        "sklearn.neighbors._unsupervised.NearestNeighbors",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.svm._classes.OneClassSVM",
        "sklearn.tree._classes.ExtraTreeRegressor",
        "sklearn.tree._tree.Tree",
    }
)
OUR_DETECTORS = "models.detectors."


def load_estimator(path: Path, trusted_types: Collection[str] = ()) -> Any:
    """Read one fitted estimator.

    Parameters
    ----------
    path
        A file in skops format.
    trusted_types
        Types that the operator trusts beyond ``TRUSTED_TYPES`` and our own detectors.

    Raises
    ------
    BundleRefused
        The file is not skops, is damaged, or holds a type that nobody vouched for; nothing of it was built.
    """
    import skops.io

    held = _types_in(path)
    foreign = sorted(kind for kind in held if not _trusted(kind, trusted_types))
    if foreign:
        raise BundleRefused(
            f"{path.name} holds {foreign[0]}, which is not on the list of trusted types; if you trust whoever made "
            f"this model, add it to models.trusted_types"
        )
    try:
        estimator = skops.io.load(path, trusted=sorted(held))
    except (TypeError, ValueError, KeyError, AttributeError, ImportError, zipfile.BadZipFile) as error:
        raise BundleRefused(f"{path.name} cannot be read as skops: {error}") from error
    check_trees(estimator, path.name)
    return estimator


def check_trees(estimator: object, where: str) -> None:
    """Refuse trees whose children or features point outside: scikit-learn would follow them into foreign memory.

    Raises
    ------
    BundleRefused
        A child is not a later node of the same tree, or a feature is not one of the columns.
    """
    for tree in _trees(estimator, set()):
        children = np.concatenate([tree.children_left, tree.children_right])
        parents = np.tile(np.arange(tree.node_count), 2)
        inner = children != -1
        wrong = inner & ((children <= parents) | (children >= tree.node_count))
        features = tree.feature[tree.children_left != -1]
        if wrong.any() or (features < 0).any() or (features >= tree.n_features).any():
            raise BundleRefused(f"{where} holds a tree whose nodes point outside of it")


def _trees(thing: object, seen: set[int]) -> Iterator[Any]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if type(thing).__name__ == "Tree" and hasattr(thing, "children_left"):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from _trees(part, seen)
    elif hasattr(thing, "__dict__"):
        for part in vars(thing).values():
            if isinstance(part, (list, tuple)) or hasattr(part, "get_params") or type(part).__name__ == "Tree":
                yield from _trees(part, seen)


def _types_in(path: Path) -> set[str]:
    """Types named in the file's table of contents; what builds them must be on the list of builders."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_BYTES:
                raise BundleRefused(f"{path.name} would unpack to more than {MOST_BYTES:,} bytes")
            contents = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        pickled = path.read_bytes()[:1] == b"\x80"
        what = "is a pickle, which would run code when opened" if pickled else f"is not a whole skops file ({error})"
        raise BundleRefused(f"{path.name} {what}") from error
    held: set[str] = set()
    for node in _nodes(contents):
        builder, kind = node["__loader__"], f"{node.get('__module__')}.{node.get('__class__')}"
        if builder not in LOADERS:
            raise BundleRefused(f"{path.name} wants to build {kind} by {builder}, which may call code")
        plain = LOADERS[builder]
        if plain is None:
            held.add(kind)
        elif kind not in plain:
            raise BundleRefused(f"{path.name} calls {kind} a {builder}, which it is not")
    return held - PLAIN - ARRAYS


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if "__loader__" in node:
                yield node
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def _trusted(kind: str, trusted_types: Collection[str]) -> bool:
    return kind in TRUSTED_TYPES or kind in trusted_types or kind.startswith(OUR_DETECTORS)
