"""A buyer's connection to the service."""

from __future__ import annotations

import http.client
import io
import select
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from loadtests.onsale.requests import Request
from loadtests.onsale.visits import Answer
from loadtests.proof.ledger import NO_ANSWER

TIMEOUT_SECONDS = 15.0
"""How long a buyer waits for an answer: longer than the service lets any request wait."""

RECONNECT_SECONDS = 0.02
"""How long a patient buyer waits between attempts to connect."""


class Connection:
    """A persistent connection that reconnects after it breaks.

    It sends each request exactly once. Locust's own clients do not: when a connection breaks, they
    resend requests that may have arrived, some versions even a purchase, and the ledger would not
    know. They are no faster than this one.

    Args:
        url: the service's, such as ``http://127.0.0.1:3000``.
        patience_seconds: how long to keep trying to connect while nothing listens there. Nothing
            has been sent yet, so this does not count as another request.
    """

    def __init__(self, url: str, *, patience_seconds: float = 0.0) -> None:
        self._patience_seconds = patience_seconds
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._http = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
        self._http.response_class = _Response
        self._root = parts.path.rstrip("/")

    def send(self, request: Request) -> Answer:
        """Return the service's answer, with the status `NO_ANSWER` if there is none."""
        return self.ask(request.method, request.path, request.body, request.headers)

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Like `send`, for requests that no buyer sends."""
        try:
            self._connect()
            self._http.request(method, self._root + path, body, dict(headers))
            response = self._http.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(NO_ANSWER)

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self._http.close()

    def _connect(self) -> None:
        if self._http.sock is not None and _has_ended(self._http.sock):
            # As HTTP clients do: the service may close a connection that is idle, as it does when
            # it ends. Nothing has been sent on it since.
            self.close()
        deadline = time.monotonic() + self._patience_seconds
        while self._http.sock is None:
            try:
                self._http.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_SECONDS)


def _has_ended(idle: socket.socket) -> bool:
    """Whether the other side has closed a connection on which nothing is under way."""
    return bool(select.select([idle], [], [], 0)[0])


class _Response(http.client.HTTPResponse):
    """An answer with a complete head: `http.client` takes a truncated head for a shorter one."""

    def __init__(self, connection: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(connection, *arguments, **options)
        self.fp.close()
        self.fp = _WholeLines(connection.makefile("rb", buffering=0))


class _WholeLines(io.BufferedReader):
    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(line)
        return line
