"""The head of an answer, as it is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}

_date = (0, "")


def http_date() -> str:
    """The value of ``Date``, formatted once per second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A status line and headers.

    Raises:
        ValueError: a header contains a line break, and so would begin another one.
    """
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join([_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n", *lines])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header has a line break in it")
    return f"{text}\r\n".encode("latin-1")


def answer_head(
    status: int,
    request_id: str,
    body: bytes,
    content_type: str,
    connection: str | None,
    headers: Iterable[tuple[str, str]],
) -> bytes:
    """The head of one of our own answers. Does not check that no argument has a line break."""
    head = f"{_STATUS_LINES[status]}Date: {http_date()}\r\nX-Request-ID: {request_id}\r\n"
    if status != 304:
        head += f"Content-Length: {len(body)}\r\n"
        if body:
            head += f"Content-Type: {content_type}\r\n"
    if connection is not None:
        head += f"Connection: {connection}\r\n"
    for name, value in headers:
        head += f"{name}: {value}\r\n"
    return f"{head}\r\n".encode("latin-1")
