"""``foreshock run``: the long-lived job, from telemetry to incidents, until somebody stops it."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

import typer

from pipeline.cli.options import Bootstrap, Config, Set, Start, Topics, loaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["app", "stop_on_signals"]

app = typer.Typer()
LEFT_AT_ONCE = 130


@app.command()
def run(
    topics: Topics = None,
    start: Start = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Watch the telemetry and publish incidents, for months.

    Ctrl-C or SIGTERM finish the batch, commit and leave; a second one leaves at once. While Kafka is not reachable
    it waits and says so.

    Examples:

      foreshock run --bootstrap-servers kafka:9092 --topic telemetry

      foreshock run --start 2026-01-31T06:00Z --set source.history_hours=48

      foreshock run --config foreshock.yaml --set job.log_format=json
    """
    settings = loaded(config, overrides, bootstrap, topics, start).settings
    from pipeline.app import make_job, make_watch
    from pipeline.operate.log import set_up

    set_up(settings.job.log_format)
    job = make_job(settings)
    stop_on_signals(job.stop)
    watch = make_watch(settings, job)
    if settings.models.poll_seconds:
        watch.start()
    job.run()
    watch.stop()


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first SIGTERM or Ctrl-C; leave at once at the second."""
    log = logging.getLogger("pipeline.cli.run")
    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(LEFT_AT_ONCE)
        asked = True
        log.info("%s: finishing the batch; once more to leave at once", signal.Signals(number).name)
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
