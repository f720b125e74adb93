"""Names as senders write them: how long they may be, and a memory for what follows from a short one."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

__all__ = ["MAX_LABELS", "MAX_NAME_CHARS", "remembered", "service_of"]

MAX_NAME_CHARS = 1024  # of an entity, metric, label name or label value
MAX_LABELS = 128
_REMEMBERED, _SHORT = 16_384, 256  # results, and characters: a memory of a few MB whatever is sent

# The alphabet of Kubernetes' random suffixes has no vowels. A deployment's pod is name-hash-suffix, a daemon set's
# name-suffix, a stateful set's name-number; what a cron job starts (name-minutes-suffix) is meant to end.
_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = re.compile(rf"^(?P<service>.+?)-(?:(?:{_SUFFIX}{{8,10}}-)?{_SUFFIX}{{5}}|[0-9]{{1,5}})$")
_OF_CRON = re.compile(rf"-[0-9]{{8,10}}-{_SUFFIX}{{5}}$")

Called = TypeVar("Called", bound=Callable[..., Any])


def service_of(name: str) -> str | None:
    """Of which service a pod is, by its name: ``web`` for ``web-6d4cf56db6-x7k2p``; None if the name does not tell."""
    found = None if _OF_CRON.search(name) else _POD.match(name)
    return found["service"] if found else None


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
