"""``foreshock decode``: what foreshock sees in captures, files, or the last records of a topic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, Bootstrap, Config, Set, answer, loaded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.catalog import Catalog
    from pipeline.codecs import Decoded
    from pipeline.events import Records
    from pipeline.settings import Settings

__all__ = ["app"]

app = typer.Typer()


@app.command()
def decode(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Captures (*.jsonl.gz), or files that hold what a record would."),
    ] = None,
    topic: Annotated[str, typer.Option("--topic", help="Read this topic's last records instead.")] = "",
    n_records: Annotated[int, typer.Option("--records", min=1, metavar="N", help="How many, with --topic.")] = 1000,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the samples, as sent, as Parquet.")
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="Expect this format; else the bytes tell.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Say what telemetry holds: formats, entities, metrics, labels, steps, ranges, and what is rejected and why.

    Examples:

      foreshock decode capture.jsonl.gz --out samples.parquet

      foreshock decode --topic telemetry --records 500

      foreshock decode line.influx --format influx --json
    """
    from pipeline.codecs.report import lines_of, report_of

    settings = loaded(config, overrides, bootstrap).settings
    source = _from_topic(settings, topic, n_records) if topic else _from_files(paths or [])
    parts = _decoded(source, formats or [], settings)
    report = report_of(parts)
    if out is not None:
        _write(parts, out)
    answer(report, lines_of(report), as_json)
    if out is not None and not as_json:
        typer.echo(f"wrote     {out}")


def _from_files(paths: list[Path]) -> Iterator[Records]:
    from pipeline.errors import SettingsError

    if not paths:
        raise SettingsError("nothing to decode: name files, or a topic with --topic")
    yield from (_read(path) for path in paths)


def _from_topic(settings: Settings, topic: str, n_records: int) -> Iterator[Records]:
    from pipeline.app import client_options
    from pipeline.kafka.follow import read_last

    yield from read_last(client_options(settings), topic, n_records)


def _read(path: Path) -> Records:
    """Read a capture; any other file is one record, and one that ends in .jsonl is one record a line."""
    from pipeline.codecs.capture import read_capture
    from pipeline.errors import InputError
    from pipeline.events import Records

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if path.name.endswith((".jsonl.gz", ".gz")) or (path.suffix == ".jsonl" and _is_capture(content)):
        return read_capture(path)
    if content[:4] == b"PAR1" or path.suffix in (".parquet", ".csv"):
        raise InputError(f"{path} is a table, not a record; foreshock send brings tables to Kafka")
    values: list[bytes | None] = [*content.splitlines()] if path.suffix in (".jsonl", ".ndjson") else [content]
    now_ms = time.time_ns() // 1_000_000
    n = len(values)
    return Records(str(path), 0, list(range(n)), [now_ms] * n, [None] * n, values)


def _is_capture(content: bytes) -> bool:
    first = content.partition(b"\n")[0]
    return all(word in first for word in (b'"offset"', b'"partition"', b'"value"'))


def _decoded(source: Iterable[Records], formats: list[str], settings: Settings) -> list[tuple[Decoded, Catalog]]:
    from pipeline.app import dialect_of
    from pipeline.catalog import Catalog
    from pipeline.codecs import FORMATS
    from pipeline.codecs import decode as decode_records
    from pipeline.errors import SettingsError

    for name in formats:
        if name not in FORMATS:
            raise SettingsError(f"--format {name}: there are {', '.join(FORMATS)}")
    dialect = dialect_of(settings)
    catalogs: dict[tuple[str, int], Catalog] = {}
    parts = []
    for records in source:
        catalog = catalogs.setdefault((records.topic, records.partition), Catalog())
        parts.append((decode_records(records, catalog, formats, dialect), catalog))
    return parts


def _write(parts: list[tuple[Decoded, Catalog]], out: Path) -> None:
    import pandas as pd

    from pipeline.codecs.report import frame_of
    from pipeline.errors import InputError

    try:
        pd.concat([frame_of(*part) for part in parts], ignore_index=True).to_parquet(out, index=False)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
