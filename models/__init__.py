"""Models: trained from a history, compared on the same stretch, promoted by a written rule, loaded with every check.

::

    import models

    trained = models.train(history, "forest")
    told = models.compare(models.load("champion"), trained.bundle, later)

Detectors keep scikit-learn's sign (lower is more anomalous); only ``Bundle.score`` turns it (higher is).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.gate import Comparison, Rule, compare, promote
    from models.registry import Registry, load
    from models.training import Trained, train

__all__ = ["Bundle", "Comparison", "Registry", "Rule", "Trained", "compare", "load", "promote", "train"]

_HOMES = {
    "Bundle": "models.bundle",
    "Comparison": "models.gate",
    "Registry": "models.registry",
    "Rule": "models.gate",
    "Trained": "models.training",
    "compare": "models.gate",
    "load": "models.registry",
    "promote": "models.gate",
    "train": "models.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
