"""Names as senders write them: how long they may be, and a memory for what follows from a short one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

__all__ = ["MAX_LABELS", "MAX_NAME_CHARS", "remembered"]

MAX_NAME_CHARS = 1024  # of an entity, metric, label name or label value
MAX_LABELS = 128
_REMEMBERED, _SHORT = 16_384, 256  # results, and characters: a memory of a few MB whatever is sent

Called = TypeVar("Called", bound=Callable[..., Any])


def remembered(function: Called) -> Called:
    """Remember the results of a pure function of texts, but not for texts longer than any real name."""
    cached = lru_cache(maxsize=_REMEMBERED)(function)

    @wraps(function)
    def ask(*given: Any) -> Any:
        for one in given:
            if type(one) is str and len(one) > _SHORT:
                return function(*given)
        return cached(*given)

    return ask  # type: ignore[return-value]
