"""``make differential``: sends generated requests to both HTTP servers, and compares the answers.

Each server has a database of its own with the same rows. Status, headers and body must be equal,
except for what differs every time: dates, generated ids, and what is computed from them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from tornado.httputil import HTTPHeaders

from api.settings import Settings
from loadtests.harness import postgres
from tests.http.conftest import serving
from tests.http.wire import in_chunks

OPTIONS = [f"01a203f1-71ae-70aa-b502-{each:012d}" for each in range(4)]
ALLOCATIONS = [1_000_000, 50, 0, 2_147_483_647]
USERS = ["406c1d05-bbb2-4e94-b183-7d208c2692e1", "406C1D05-BBB2-4E94-B183-7D208C2692E2"]
UNKNOWN = "0d96fd8c-6d43-4a3c-9c4e-1f2d0f6c0a11"

_HAS_CONNECTION_LIST = re.compile(
    rb"(?i)\r\nconnection: [^\r]*(, |\r\n(.*\r\n)?connection: )", re.DOTALL
)
"""Tornado's server does not parse a list, be it in one header or in several."""

_TIME = re.compile(rb'"created_at":"[^"]*"')


class Sent(NamedTuple):
    """A request."""

    method: str
    data: bytes
    is_old: bool


class Got(NamedTuple):
    """An answer; its status is None if the connection was closed instead."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    closes: bool


class Generator:
    """Generates requests: the same ones for the same seed and answers."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._purchases = [f"/ticket_options/{UNKNOWN}/purchases/{UNKNOWN}"]
        self._etags = ['"none"']

    def learn(self, got: Got) -> None:
        """Use an answer's values in later requests."""
        if "Etag" in got.headers:
            self._etags = [*self._etags[-20:], got.headers["Etag"]]
        if "Idempotent-Replayed" in got.headers:
            # The id is derived from the key, so both sides have the same one.
            self._purchases = [*self._purchases[-20:], got.headers["Location"]]

    def request(self) -> Sent:
        chance = self._random.random
        path = self._path()
        method = self._method(path)
        body, content_type = self._body(path, method)
        is_old = chance() < 0.1
        lines = [f"{method} {path}{self._query()} HTTP/{'1.0' if is_old else '1.1'}"]
        headers = [] if is_old and chance() < 0.5 else [self._host()]
        headers += self._headers()
        if content_type is not None:
            headers.append(f"Content-Type: {content_type}")
        if body or method in ("POST", "PUT", "PATCH") or chance() < 0.05:
            if not is_old and chance() < 0.3:
                headers.append("Transfer-Encoding: chunked")
                body = in_chunks(
                    body, self._random.choice([1, 7, 1_000, 100_000]) + len(body) // 99
                )
            else:
                headers.append(f"Content-Length: {len(body)}")
        self._random.shuffle(headers)
        head = "\r\n".join([*lines, *headers, "", ""])
        return Sent(method, head.encode("latin-1") + body, is_old)

    def _path(self) -> str:
        choose = self._random.choice
        option = choose([*OPTIONS, *OPTIONS, OPTIONS[0].upper(), UNKNOWN, "1", OPTIONS[0] + "0"])
        kinds = {
            f"/ticket_options/{option}/purchases": 40,
            f"/ticket_options/{option}": 25,
            "/ticket_options": 10,
            choose(self._purchases): 10,
            choose(["/livez", "/readyz", "/openapi.json"]): 6,
            choose(
                [
                    "/",
                    "//",
                    "/livez/",
                    "//livez",
                    "/%6civez",
                    "/livez%00",
                    "/ticket_options/",
                    f"/ticket_options/{option}/",
                    f"/ticket_options/{option}/purchases/",
                    f"/ticket_options/{option}%20",
                    f"/ticket_options/{option};a=b",
                    f"/ticket_options/{option.replace('-', '')}",
                    f"/ticket_options/{{{option}}}",
                    f"/ticket_options/urn:uuid:{option}",
                    f"/ticket_options/../ticket_options/{option}",
                    f"/Ticket_Options/{option}",
                    f"/ticket_options/{option}/purchases/{UNKNOWN}/x",
                    "/openapi.json.",
                    "/openapiXjson",
                ]
            ): 9,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]

    def _method(self, path: str) -> str:
        usual = "POST" if path.endswith(("/purchases", "ticket_options")) else "GET"
        others = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
        return usual if self._random.random() < 0.8 else self._random.choice(others)

    def _query(self) -> str:
        queries = ["?", "?x=1", "?a=b&c=d&a", "?=", "?%zz", "?x=%00", "?a?b", "?/livez", "?'\"<>"]
        return self._random.choice(queries) if self._random.random() < 0.1 else ""

    def _host(self) -> str:
        return f"Host: {self._random.choice(['a', 'localhost:3000', '[::1]', '127.0.0.1', 'a.b'])}"

    def _headers(self) -> list[str]:
        choose = self._random.choice
        long = "x" * choose([10, 255, 256, 1_000])
        pools = {
            "Idempotency-Key": (
                0.3,
                [
                    "a",
                    "b",
                    '"a"',
                    '"c d"',
                    "",
                    '"',
                    '"a";b',
                    "caf\u00e9",
                    long,
                    "a\tb",
                    "a,b",
                    '"\\""',
                ],
            ),
            "Prefer": (
                0.3,
                [
                    "return=representation",
                    'return="representation"',
                    "RETURN=Representation; x",
                    "return=minimal",
                    "respond-async, return=representation",
                    "return=minimal, return=representation",
                    "",
                    ",",
                    'x="a, return=representation"',
                ],
            ),
            "If-None-Match": (
                0.3,
                ["*", "", "x", *self._etags, f"W/{self._etags[-1]}", f'"a", {self._etags[-1]}'],
            ),
            "If-Match": (0.03, ["*", '"x"']),
            "If-Modified-Since": (0.03, ["Sun, 01 Jan 2096 00:00:00 GMT", "x"]),
            "Range": (0.03, ["bytes=0-4", "bytes=x"]),
            "Content-Encoding": (0.05, ["gzip", "identity", "IDENTITY", "", "gzip, identity"]),
            "X-Request-ID": (0.2, ["mine", "a b", "", "x" * 129, "caf\u00e9", "a/b:c", "<script>"]),
            "Connection": (
                0.2,
                ["close", "keep-alive", "Close", "close, TE", "TE", "keep-alive, x"],
            ),
            "Expect": (0.03, ["something"]),
            "Accept": (0.1, ["text/html", "application/json;q=0", "*/*"]),
            "Accept-Encoding": (0.1, ["gzip", "br"]),
            "Accept-Language": (0.02, ["de"]),
            "Cookie": (0.1, ["a=b", "; ;", "a=\u00e9", "_xsrf=1"]),
            "Origin": (0.05, ["http://a"]),
            "X-HTTP-Method-Override": (0.02, ["DELETE"]),
            "X-Forwarded-For": (0.02, ["1.2.3.4", "x"]),
            "X-Xsrftoken": (0.02, ["1"]),
            "TE": (0.02, ["trailers"]),
            "X": (0.1, ["", "\u00ff", long]),
        }
        lines = []
        for name, (probability, values) in pools.items():
            while self._random.random() < probability:
                lines.append(
                    f"{choose([name, name, name.lower(), name.upper()])}: {choose(values)}"
                )
        return lines

    def _body(self, path: str, method: str) -> tuple[bytes, str | None]:
        choose, chance = self._random.choice, self._random.random
        if method in ("GET", "HEAD", "OPTIONS", "TRACE") and chance() < 0.95:
            return b"", None
        content_type: str | None = "application/json"
        if chance() < 0.1:
            content_type = choose(
                [
                    None,
                    "",
                    "text/plain",
                    "application/json; charset=utf-8",
                    "APPLICATION/JSON",
                    "application/merge-patch+json",
                    "application/x-www-form-urlencoded",
                    "multipart/form-data",
                    "multipart/form-data; boundary=x",
                    "application/json, text/plain",
                    "\u00ff",
                ]
            )
        if chance() < 0.1:
            return self._not_an_object(), content_type
        members = self._purchase() if path.endswith("/purchases") else self._option()
        for name in list(members):
            if chance() < 0.05:
                members[name] = choose(
                    [
                        None,
                        True,
                        2.5,
                        -1,
                        0,
                        1,
                        2**31,
                        2**70,
                        "",
                        "2",
                        "\0",
                        "x" * 300,
                        [],
                        {},
                        1e300,
                    ]
                )
            if chance() < 0.02:
                del members[name]
        if chance() < 0.1:
            members["more"] = [{"a": 1}]
        if chance() < 0.03:
            members["more"] = "x" * choose([60_000, 65_300, 65_536, 70_000, 400_000])
        return json.dumps(members, ensure_ascii=chance() < 0.5).encode(), content_type

    def _purchase(self) -> dict[str, object]:
        choose = self._random.choice
        return {"quantity": choose([1, 1, 2, 3, 51, 2_147_483_647]), "user_id": choose(USERS)}

    def _option(self) -> dict[str, object]:
        choose = self._random.choice
        return {
            "name": choose(["example", " ", "\u00e9\u4e2d\U0001f600", "x" * 255]),
            "desc": choose(["", "d", "x" * 10_000, "\u2028"]),
            "allocation": choose([0, 1, 100, 2_147_483_647]),
        }

    def _not_an_object(self) -> bytes:
        bodies = [
            b"",
            b" ",
            b"{",
            b"{}",
            b"[]",
            b"null",
            b"1",
            b'"x"',
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"{} {}",
            b'{"quantity":1e400}',
            b'{"quantity":01}',
            b'{"quantity":NaN}',
            b'{"user_id":"\\ud800"}',
            b'{"user_id":"\\u0000"}',
            b'{"quantity":1,"quantity":2}',
            b"[" * 10_000,
            b'{"a":' * 10_000,
            b"a=b&c=d",
            b"--x\r\n\r\n--x--",
            "{}".encode("utf-16"),
        ]
        return self._random.choice(bodies)


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
    if b"/purchases/" in sent.data.partition(b"\r\n")[0] or _TIME.search(body):
        # The time has no trailing zeros, so its length varies.
        body = _TIME.sub(b"at", body)
        headers.pop("Content-Length", None)
        headers.pop("Etag", None)
    if status == 201 and "Location" in headers and not _is_derived(sent, headers):
        new_id = headers["Location"].rpartition("/")[2]
        headers["Location"] = headers["Location"].replace(new_id, "generated")
        body = body.replace(new_id.encode(), b"generated")
    return Got(status, headers, body, closes)


def _is_derived(sent: Sent, headers: dict[str, str]) -> bool:
    """Whether the new id is derived from the request."""
    return "/purchases/" in headers["Location"] and b"idempotency-key" in sent.data.lower()


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
            _insert_options(conninfo)
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
            generator.learn(on_lane)
        for side in sides:
            await side.close()
    return found


def _insert_options(conninfo: str) -> None:
    with postgres.connect(conninfo) as connection:
        for option, allocation in zip(OPTIONS, ALLOCATIONS, strict=True):
            connection.execute(
                "SELECT ticketing.create_ticket_option('example', '', %s, %s)",
                (allocation, option),
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
