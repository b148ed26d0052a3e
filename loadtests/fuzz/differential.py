"""``make differential``: sends generated requests to both HTTP servers, and compares the answers.

Each server has a database of its own with the same rows. Status, headers and body must be equal,
except for what differs every time: dates, generated ids, and what is computed from them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from tornado.httputil import HTTPHeaders

from api.settings import Settings
from loadtests.fuzz.generator import (
    ALLOCATIONS,
    GENERATED,
    HOLDS,
    OPTIONS,
    PURCHASES,
    USERS,
    Generator,
    Sent,
)
from loadtests.harness import postgres
from tests.http.conftest import serving

_HAS_CONNECTION_LIST = re.compile(
    rb"(?i)\r\nconnection: [^\r]*(, |\r\n(.*\r\n)?connection: )", re.DOTALL
)
"""Tornado's server does not parse a list, be it in one header or in several."""

_TIME = re.compile(rb'"(created|expires|cancelled)_at":"[^"]*"')

_GENERATED_ID = re.compile(
    f"(?!{'|'.join([*OPTIONS, *PURCHASES, *HOLDS])})"
    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
"""A UUID of version 7; those that are derived from a key have another."""

_CHANGING = re.compile(rb"/(purchases|holds)\b|ticket_options(\?|$)")
"""Targets of what has times or generated ids in it."""


class Got(NamedTuple):
    """An answer; its status is None if the connection was closed instead."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    closes: bool


class Side:
    """One server, and a connection to it that is reused until it closes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def answer(self, sent: Sent) -> Got:
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._stream
        writer.write(sent.data)
        try:
            got = await _read(reader, sent)
        except (asyncio.IncompleteReadError, ConnectionError):
            got = Got(None, {}, b"", True)
        if got.closes:
            with suppress(ConnectionError):
                rest = await reader.read()
                assert not rest, (sent, got, rest)
        if got.closes or sent.is_old:
            # Tornado closes some HTTP/1.0 connections that it said it would keep open.
            await self.close()
        return got

    async def close(self) -> None:
        if self._stream is not None:
            writer = self._stream[1]
            self._stream = None
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, sent: Sent) -> Got:
    """Read an answer."""
    status_line, _, lines = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    status = int(status_line.split(b" ")[1])
    headers = dict(HTTPHeaders.parse(lines.decode("latin-1")).get_all())
    body = b""
    if sent.method != "HEAD" and status != 304 and "Content-Length" in headers:
        body = await reader.readexactly(int(headers["Content-Length"]))
    token = headers.pop("Connection", "").lower()
    if "Date" not in headers:
        return Got(status, headers, body, True)  # Tornado's server could not parse the request
    return _normalized(
        sent, Got(status, headers, body, token == "close" or (sent.is_old and not token))
    )


def _normalized(sent: Sent, got: Got) -> Got:
    status, headers, body, closes = got
    del headers["Date"]
    if re.fullmatch("[0-9a-f]{32}", headers["X-Request-Id"]):
        headers["X-Request-Id"] = "generated"
    if _CHANGING.search(sent.data.split(b" ", 2)[1]) or _TIME.search(body):
        # The time has no trailing zeros, so its length varies.
        body = _TIME.sub(b"at", body)
        headers.pop("Content-Length", None)
        headers.pop("Etag", None)
    for name in {"Location", "Link"} & headers.keys():
        headers[name] = _GENERATED_ID.sub(GENERATED, headers[name])
    body = _GENERATED_ID.sub(GENERATED, body.decode("latin-1")).encode("latin-1")
    return Got(status, headers, body, closes)


def difference(sent: Sent, lane: Got, plain: Got) -> str | None:
    """Describe how the answers differ; None if they do not."""
    if plain.status is None or (plain.status == 400 and not plain.body):
        # What Tornado cannot parse is up to Tornado. The lane answers it with a problem.
        is_refused = lane.status in (400, 413) and b'"code":"' in lane.body and lane.closes
        return None if is_refused else f"{lane.status}, but Tornado refuses it: {plain.status}"
    if (
        plain.status == 415
        and sent.method in ("GET", "HEAD")
        and b"multipart/form-data" in sent.data
    ):
        # Tornado parses forms, even where a body has no meaning.
        return None
    for name in Got._fields:
        if name == "closes" and _HAS_CONNECTION_LIST.search(sent.data.partition(b"\r\n\r\n")[0]):
            continue
        if getattr(lane, name) != getattr(plain, name):
            return f"{name}: {getattr(lane, name)!r:.400} is not {getattr(plain, name)!r:.400}"
    return None


class Finding(NamedTuple):
    """A request that the servers answer differently."""

    sent: Sent
    difference: str


async def compare(lane: str, plain: str, count: int, seed: int) -> list[Finding]:
    """Send `count` requests to a service on each of the two databases."""
    generator, found = Generator(seed), []
    async with AsyncExitStack() as stack:
        sides = []
        for conninfo, fast_lane in ((lane, "on"), (plain, "off")):
            _insert_rows(conninfo)
            served = await stack.enter_async_context(
                serving(conninfo, Settings(fast_lane=fast_lane))
            )
            await served.readiness.wait_until_ready()
            sides.append(Side(served.port))
        for _ in range(count):
            sent = generator.request()
            on_lane, on_plain = await asyncio.gather(*(side.answer(sent) for side in sides))
            differs = difference(sent, on_lane, on_plain)
            if differs is not None:
                found.append(Finding(sent, differs))
            generator.learn(on_lane.headers)
        for side in sides:
            await side.close()
    return found


def _insert_rows(conninfo: str) -> None:
    """The options, and what the first of them has."""
    with postgres.connect(conninfo) as connection:
        for option, allocation in zip(OPTIONS, ALLOCATIONS, strict=True):
            connection.execute(
                "SELECT ticketing.create_ticket_option('example', '', %s, %s)",
                (allocation, option),
            )
        for purchase in PURCHASES:
            connection.execute(
                "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid, 3, %s::uuid)",
                (OPTIONS[0], USERS[0], purchase),
            )
        for hold in HOLDS:
            connection.execute(
                "SELECT ticketing.hold_tickets(%s::uuid, %s::uuid, 3, 86400, %s::uuid)",
                (OPTIONS[0], USERS[0], hold),
            )


def as_text(found: list[Finding]) -> Iterator[str]:
    """Each finding as text: the start of the request, and the difference."""
    for sent, differs in found:
        yield f"{sent.data[:1_000].decode('latin-1')}\n--> {differs}\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make differential", description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=10_000, help="how many to send (default: 10000)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1_000_000),
        help="of the requests (default: random)",
    )
    arguments = parser.parse_args()

    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.embedded_server(Path(folder) / "data") as server,
        server.database() as lane,
        server.database() as plain,
    ):
        found = asyncio.run(compare(lane, plain, arguments.requests, arguments.seed))
    for each in as_text(found[:20]):
        print(each)
    print(
        f"{arguments.requests} requests with --seed {arguments.seed} in "
        f"{time.monotonic() - began:.0f} s: {len(found)} answered differently"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
