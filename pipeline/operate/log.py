"""Logs: a line an event, as text for people or as JSON for collectors; always on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["JsonFormatter", "TextFormatter", "set_up"]

LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error", "CRITICAL": "fatal"}
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up(log_format: str, stream: TextIO | None = None) -> None:
    """Send all logs to ``stream`` (standard error) as ``text`` or ``json``; libraries speak from warnings on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    # It warns on each attempt while a broker is away; the job says so in words, once in a while.
    logging.getLogger("kafka").setLevel(logging.ERROR)


class TextFormatter(logging.Formatter):
    """``2026-01-31T06:00:00.000Z info  joined the group  partitions=4``; whole tables are left to JSON."""

    def format(self, record: logging.LogRecord) -> str:
        small = {key: value for key, value in _extra(record).items() if not isinstance(value, dict)}
        extra = "".join(f"  {key}={value}" for key, value in small.items())
        line = f"{_time(record)} {LEVELS.get(record.levelname, record.levelname):<5} {record.getMessage()}{extra}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, whatever ``extra`` was given, and the error if any."""

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": _time(record),
            "level": LEVELS.get(record.levelname, record.levelname),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info is not None:
            row["error"] = self.formatException(record.exc_info)
        return json.dumps(row, default=str, ensure_ascii=False)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
