"""One request as it arrives, and the rules of RFC 9112 that the parser leaves to its user."""

from __future__ import annotations

import re
from functools import cache

from tornado.httputil import HTTPHeaders

from api import problems
from api.problems import Problem
from api.web import headers, limits

_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")  # RFC 3986, 3.2, without userinfo


class RawHeaders:
    """Headers that are decoded only when needed. Names are case-insensitive."""

    __slots__ = ("_values", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self._values: dict[bytes, bytes] = {}

    def close(self) -> None:
        """Index the pairs, once all of them have arrived.

        Repeated headers are joined with a comma (RFC 9110, 5.3).
        """
        self._values = {name.lower(): value for name, value in self.pairs}
        if len(self._values) < len(self.pairs):
            repeated: dict[bytes, list[bytes]] = {}
            for name, value in self.pairs:
                repeated.setdefault(name.lower(), []).append(value)
            self._values = {name: b",".join(values) for name, values in repeated.items()}

    def raw(self, name: bytes) -> bytes | None:
        """The value as it arrived, by the name in lower case."""
        return self._values.get(name)

    def get(self, name: str, /) -> str | None:
        """The value, or None."""
        value = self._values.get(_lower(name))
        return None if value is None else value.decode("latin-1")

    def get_list(self, name: str, /) -> list[str]:
        """The value of each header of this name."""
        return [value.decode("latin-1") for value in self._all(_lower(name))]

    def for_tornado(self) -> HTTPHeaders:
        """As a `tornado.web` application takes them.

        Raises:
            tornado.httputil.HTTPInputError: Tornado does not allow one of them.
        """
        made = HTTPHeaders()
        for name, value in self.pairs:
            made.add(name.decode("latin-1"), value.decode("latin-1"))
        return made

    def _all(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.pairs if each.lower() == name]


@cache
def _lower(name: str) -> bytes:
    return name.lower().encode("latin-1")


class Request:
    """A request, and what its connection needs to know about it.

    Attributes:
        target: the request target as it arrived.
        version: of HTTP, ``1.0`` or ``1.1``.
        body: empty until the whole of it has arrived.
        body_bytes: how much of the body has arrived.
        has_head: whether its headers have arrived.
        is_too_large: its body is read but not kept.
        expects_continue: the client waits for a 100 before it sends the body.
        keeps_alive: whether the client wants to reuse the connection.
        refusal: what is wrong with it; such a request reaches no resource.
        closes: whether the connection closes after its answer.
        spans_reads: whether it did not arrive in one piece.
        read_bytes: how much was read of it since the first piece.
        started_at: when its headers had arrived, in seconds of the event loop's clock.
    """

    __slots__ = (
        "_id",
        "body",
        "body_bytes",
        "closes",
        "expects_continue",
        "has_head",
        "headers",
        "is_too_large",
        "keeps_alive",
        "method",
        "parts",
        "read_bytes",
        "refusal",
        "spans_reads",
        "started_at",
        "target",
        "version",
    )

    def __init__(self) -> None:
        self._id: str | None = None
        self.method = "-"
        self.target = b""
        self.version = "1.1"
        self.headers = RawHeaders()
        self.parts: list[bytes] = []
        self.body = b""
        self.body_bytes = 0
        self.has_head = False
        self.is_too_large = False
        self.expects_continue = False
        self.keeps_alive = False
        self.refusal: Problem | None = None
        self.closes = False
        self.spans_reads = False
        self.read_bytes = 0
        self.started_at = 0.0

    @property
    def id(self) -> str:
        """Ties the request to its log lines."""
        if self._id is None:
            self._id = headers.request_id(self.headers)
        return self._id

    @property
    def path(self) -> str:
        """The path of the target: without the query, and without scheme and host."""
        return self.origin_form().partition("?")[0] if self.has_head else "-"

    def origin_form(self) -> str:
        """The target as a path and a query, whichever form it arrived in (RFC 9112, 3.2)."""
        target = self.target.decode("latin-1")
        if target.startswith("/"):
            return target
        if self.method in ("CONNECT", "OPTIONS") and "://" not in target:
            return "/" + target  # a host or an asterisk: there is no such resource
        rest = target.partition("://")[2]
        path = re.search(r"[/?]", rest)
        return "/" if path is None else "/" * (path[0] == "?") + rest[path.start() :]

    def check_head(self) -> None:
        """Validate the headers, and note what they say about the body.

        Raises:
            Problem: the request must be refused, and its connection with it: where the next request
                begins is in doubt, or the rest of this one is not worth reading.
        """
        headers = self.headers
        headers.close()
        if self.version not in ("1.0", "1.1"):
            raise Problem(problems.MALFORMED_HEADER, "The HTTP version must be 1.0 or 1.1.")
        host = headers.raw(b"host")
        if host is None:
            if self.version == "1.1":
                raise Problem(problems.MALFORMED_HEADER, "HTTP/1.1 requires a Host header.")
        elif not _HOST.fullmatch(host):
            raise Problem(
                problems.MALFORMED_HEADER, "Exactly one Host header is required, naming one host."
            )
        coding = headers.raw(b"transfer-encoding")
        if coding is not None and (self.version == "1.0" or coding.lower() != b"chunked"):
            raise Problem(
                problems.MALFORMED_HEADER,
                "The only supported Transfer-Encoding is chunked, in HTTP/1.1.",
            )
        expectation = headers.raw(b"expect")
        self.expects_continue = (
            expectation is not None
            and expectation.lower() == b"100-continue"
            and self.version == "1.1"
        )
        length = headers.raw(b"content-length")
        if length is not None and len(length) > 4:
            size = int(length[-20:])  # of 64 bits, as the parser has seen: zeros before it
            if size > limits.BODY_BYTES_MAX:
                if self.expects_continue or size > limits.DISCARDED_BYTES_MAX:
                    raise Problem(problems.BODY_TOO_LARGE)
                self.is_too_large = True

    def has_body(self) -> bool:
        """Whether the headers announce a body."""
        raw = self.headers.raw
        return raw(b"transfer-encoding") is not None or raw(b"content-length") is not None

    def head_bytes(self) -> int:
        """The size of the request line and the headers."""
        line = len(f"{self.method}  HTTP/1.1\r\n\r\n") + len(self.target)
        return line + sum(len(name) + len(value) + 4 for name, value in self.headers.pairs)
