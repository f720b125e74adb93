"""``foreshock rekey``: telemetry of scattered entities to one topic keyed by entity, each sample exactly once."""

from __future__ import annotations

import typer

from pipeline.cli.options import Bootstrap, Config, Set, Start, Topics, loaded
from pipeline.cli.run import stop_on_signals

__all__ = ["app"]

app = typer.Typer()


@app.command()
def rekey(
    topics: Topics = None,
    start: Start = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Gather entities that are scattered over partitions into the samples topic, keyed by entity.

    Needed where senders set no record key, as the OpenTelemetry Collector and Telegraf by default. Then let the job
    read the samples topic: foreshock run --topic foreshock.samples --set source.keyed_by_entity=true

    Examples:

      foreshock rekey --bootstrap-servers kafka:9092 --topic telemetry

      foreshock rekey --topic otlp --topic telegraf --set rekey.partitions=12 --start earliest
    """
    settings = loaded(config, overrides, bootstrap, topics, start).settings
    from pipeline.app import make_rekey
    from pipeline.operate.log import set_up

    set_up(settings.job.log_format)
    job = make_rekey(settings)
    stop_on_signals(job.stop)
    job.run()
