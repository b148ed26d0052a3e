"""A buyer's connection to the service."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from loadtests.onsale.buyers import Answer, Request
from loadtests.proof.ledger import NO_ANSWER

TIMEOUT_SECONDS = 15.0
"""How long a buyer waits for an answer: longer than the service lets a request wait."""

RECONNECT_SECONDS = 0.02
"""How long a patient buyer waits between two tries to connect."""


class Connection:
    """A connection that is kept, and made anew after it broke.

    It sends each request once. Locust's own clients do not keep to that: when a connection breaks,
    they send again what may have arrived, some versions also a purchase, and the ledger would not
    know. They are no faster than this one.

    Args:
        url: of the service, such as ``http://127.0.0.1:3000``.
        patience_seconds: how long to go on trying to connect while nobody listens there. Nothing
            was sent yet, so it is no other request.
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
        """What the service answers; if it does not, whatever the cause, a status of `NO_ANSWER`."""
        return self.ask(request.method, request.path, request.body, request.headers)

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """As `send`, for what no buyer asks."""
        try:
            self._connect()
            self._http.request(method, self._root + path, body, dict(headers))
            response = self._http.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(NO_ANSWER)

    def close(self) -> None:
        """Close it; another request opens it again."""
        self._http.close()

    def _connect(self) -> None:
        deadline = time.monotonic() + self._patience_seconds
        while self._http.sock is None:
            try:
                self._http.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_SECONDS)


class _Response(http.client.HTTPResponse):
    """An answer whose head is whole: `http.client` takes one that was cut off for a shorter one."""

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
