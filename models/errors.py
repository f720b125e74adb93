"""What can go wrong with models, as a small tree of its own, for models know nothing of the pipeline.

The tree of errors::

    ModelError                   exit 1, except where it is said otherwise
    ├── BundleRefused            damaged, tampered with, pickled, of foreign types, or asks for features not computed
    ├── ModelNotFound            the store answered: there is no such model, version or alias
    ├── StoreUnreachable         nobody answers at the store's address; it may come back
    ├── AliasMoved               somebody else promoted in the meantime; nothing was changed
    └── PromotionRefused         the written rule is not met; holds the reasons (exit 3)
"""

from __future__ import annotations

__all__ = ["AliasMoved", "BundleRefused", "ModelError", "ModelNotFound", "PromotionRefused", "StoreUnreachable"]


class ModelError(Exception):
    """The root of every error that models raise themselves."""


class BundleRefused(ModelError):
    """A bundle on disk must not serve; the message says which file or type, and why."""


class ModelNotFound(ModelError):
    """The store answered, and has no such model, version or alias."""


class StoreUnreachable(ModelError):
    """Nobody answers at the store's address, or it answers with a failure of its own."""


class AliasMoved(ModelError):
    """An alias points elsewhere than expected; whoever moved it was quicker, and nothing was changed."""


class PromotionRefused(ModelError):
    """The challenger does not meet the written rule."""

    def __init__(self, version: str, reasons: list[str]) -> None:
        super().__init__(f"version {version} is not promoted: " + "; ".join(reasons))
        self.reasons = reasons
