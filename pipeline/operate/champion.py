"""The champion: looked for off the hot path, checked, and handed to the job, which swaps it in as a decision.

Whatever goes wrong here the model that serves goes on serving: a registry that is away, a bundle that is damaged, or
one that asks for features that are not computed are a line in the log, told once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from models.bundle import Bundle
from models.errors import BundleRefused, ModelError
from models.registry import CHAMPION, Registry
from pipeline.errors import ForeshockError

__all__ = ["ChampionWatch"]

log = logging.getLogger(__name__)


class ChampionWatch:
    """Asks the registry again and again who is champion.

    Parameters
    ----------
    registry
        Where.
    feature_names
        What the job computes; a bundle trained on others must not serve.
    serve
        Takes a checked bundle that is to serve.
    poll_seconds
        How often it asks.

    Attributes
    ----------
    version
        The version that was last handed over, "" before the first.
    n_failures
        How often a look ended in trouble.
    """

    def __init__(
        self, registry: Registry, feature_names: Sequence[str], serve: Callable[[Bundle], None], poll_seconds: float
    ) -> None:
        self._registry, self._feature_names, self._serve = registry, tuple(feature_names), serve
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="foreshock-champion", daemon=True)
        self._told = ""
        self.version, self.n_failures = "", 0

    def start(self) -> None:
        """Begin to look, from a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look under way is left to itself, for the process must not wait for a registry."""
        self._stopped.set()

    def look(self) -> None:
        """Ask once; a new champion is loaded, checked and handed over, trouble is told and changes nothing."""
        try:
            if not self._registry.is_there:
                return
            champion = self._registry.aliases().get(CHAMPION, "")
            if champion and champion != self.version:
                self._serve(self._checked(champion))
                log.info("the champion is version %s of %s", champion, self._registry.name)
                self.version = champion
            self._told = ""
        except (ModelError, ForeshockError) as trouble:
            self._tell(trouble)

    def _checked(self, number: str) -> Bundle:
        bundle = self._registry.load(number)
        names = bundle.card.feature_names
        if names != self._feature_names:
            odd = sorted(set(names) ^ set(self._feature_names))
            raise BundleRefused(
                f"version {number} was trained on other features than this release computes ({', '.join(odd)}): train "
                "it anew"
            )
        return bundle

    def _tell(self, trouble: Exception) -> None:
        self.n_failures += 1
        if str(trouble) != self._told:
            keeps = f"version {self.version}" if self.version else "what served before"
            log.warning("%s; %s goes on serving", trouble, keeps)
            self._told = str(trouble)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(self._poll_seconds)
