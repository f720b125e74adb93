"""The champion: looked for off the hot path, checked, and handed to the job, which swaps it in as a decision.

Whatever goes wrong here the model that serves goes on serving: a registry that is away, a bundle that is damaged, or
one that asks for features that are not computed are counted, and a line in the log, told once. A challenger that is
to run in the shadow comes in the same way, and what it did is noted in the registry from here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from models.bundle import Bundle
from models.errors import BundleRefused, ModelError
from models.registry import CHALLENGER, CHAMPION, Registry
from models.trial import Trial
from pipeline.errors import ForeshockError

__all__ = ["ChampionWatch", "Desk", "Trials"]

log = logging.getLogger(__name__)
# how often what a challenger does is noted; how long a leaving job waits for the last note
NOTE_SECONDS, LEAVE_SECONDS = 30.0, 3.0


class Desk(Protocol):
    """Who takes models: the job."""

    def serve_model(self, bundle: Bundle) -> None:
        """Let a checked bundle serve."""

    def refuse_model(self, reason: str) -> None:
        """Take note that a look ended in trouble."""

    def try_out(self, challenger: Bundle | None) -> None:
        """Let a checked bundle run beside, unheard, or none any more."""

    def trials(self) -> list[Trial]:
        """What challengers did so far."""


class Trials:
    """Notes in the registry what challengers do in the shadow of a champion: one run a process and pair of versions.

    Parameters
    ----------
    registry
        Where.
    counted
        Tells what was counted so far.
    """

    def __init__(self, registry: Registry, counted: Callable[[], list[Trial]]) -> None:
        self._registry, self._counted = registry, counted
        self._runs: dict[tuple[str, str], str] = {}
        self._noted: dict[tuple[str, str], int] = {}
        self._due = 0.0

    def note(self, at_once: bool = False) -> None:
        """Note what is new, at most every half minute unless asked."""
        if time.monotonic() < self._due and not at_once:
            return
        self._due = time.monotonic() + NOTE_SECONDS
        for trial in self._counted():
            pair = (trial.champion, trial.challenger)
            if trial.steps != self._noted.get(pair, 0):
                self._runs[pair] = self._registry.note_trial(trial, self._runs.get(pair, ""))
                self._noted[pair] = trial.steps


class ChampionWatch:
    """Asks the registry again and again who is champion.

    Parameters
    ----------
    registry
        Where.
    feature_names
        What the job computes; a bundle trained on others must not serve.
    desk
        Takes what is to serve, or to run beside.
    poll_seconds
        How often it asks.
    shadow
        Whether a challenger is to run beside.

    Attributes
    ----------
    version, challenger
        The versions last handed over, "" before the first.
    n_failures
        How often a look ended in trouble.
    """

    def __init__(
        self, registry: Registry, feature_names: Sequence[str], desk: Desk, poll_seconds: float, shadow: bool = False
    ) -> None:
        self._registry, self._feature_names, self._desk = registry, tuple(feature_names), desk
        self._poll_seconds, self._shadow = poll_seconds, shadow
        self._trials = Trials(registry, desk.trials)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="foreshock-champion", daemon=True)
        self._told = ""
        self._stamp: tuple[int, ...] = ()
        self.version, self.challenger, self.n_failures = "", "", 0

    def start(self) -> None:
        """Begin to look, from a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and note what is not noted yet; a registry that does not answer is not waited for."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(LEAVE_SECONDS)

    def look(self) -> None:
        """Ask once; a new champion is loaded, checked and handed over, trouble is told and changes nothing."""
        try:
            if not self._registry.is_there:
                return
            stamp = self._registry.stamp()  # before the question: what is written meanwhile is asked for next time
            if not stamp or stamp != self._stamp:
                self._follow(self._registry.aliases())
                self._stamp = stamp
            if self._shadow:
                self._trials.note()
            self._told = ""
        except (ModelError, ForeshockError) as trouble:
            self._tell(trouble)

    def _follow(self, aliases: Mapping[str, str]) -> None:
        self._follow_champion(aliases.get(CHAMPION, ""))
        if self._shadow:
            self._follow_challenger(aliases.get(CHALLENGER, ""))

    def _follow_champion(self, champion: str) -> None:
        if champion and champion != self.version:
            self._desk.serve_model(self._checked(champion))
            log.info("the champion is version %s of %s", champion, self._registry.name)
            self.version = champion

    def _follow_challenger(self, challenger: str) -> None:
        if challenger != self.challenger:
            self._desk.try_out(self._checked(challenger) if challenger else None)
            log.info("in the shadow: %s", f"version {challenger}" if challenger else "no challenger any more")
            self.challenger = challenger

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
        self._desk.refuse_model(str(trouble))
        if str(trouble) != self._told:
            keeps = f"version {self.version}" if self.version else "what served before"
            log.warning("%s; %s goes on serving", trouble, keeps)
            self._told = str(trouble)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(self._poll_seconds)
        if self._shadow:
            self._note_the_last()

    def _note_the_last(self) -> None:
        try:
            self._trials.note(at_once=True)
        except ModelError as trouble:
            self._tell(trouble)
