from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import tornado
from tornado.httputil import HTTPHeaders

from api import exchange
from api.exchange import BODY_BYTES_MAX, DISCARDED_BYTES_MAX, HEADER_BYTES_MAX, Server
from tests import openapi, postgres
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
HOST = "Host: localhost"
JSON = "Content-Type: application/json"

KIB = 1024


class Answer:
    """An answer as it came over the wire, held against openapi.json."""

    def __init__(self, method: str, path: str, head: bytes, body: bytes) -> None:
        status_line, _, headers = head.decode("latin-1").partition("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.headers = HTTPHeaders.parse(headers)
        self.body = body
        openapi.check_answer(method, path, self.status, self.headers, body)

    @property
    def code(self) -> Any:
        return json.loads(self.body)["code"]


class Wire:
    """One plain connection to the service, which sends whatever it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a request line and headers, and what follows them."""
        self.send_bytes("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self, method: str, path: str) -> Answer:
        """The next answer on the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = HTTPHeaders.parse(head.decode().partition("\r\n")[2]).get("Content-Length", "0")
        body = b"" if method == "HEAD" else await self.reader.readexactly(int(length))
        return Answer(method, path, head.removesuffix(b"\r\n\r\n"), body)

    async def is_closed(self) -> bool:
        """Whether the service has nothing more to say here; waits until it is known."""
        return await self.rest() == b""

    async def rest(self) -> bytes:
        """All that comes until the service closes the connection."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the service may have been faster
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(client: Client) -> AsyncIterator[Wire]:
    host, _, port = client.url.removeprefix("http://").partition(":")
    wire = Wire(*await asyncio.open_connection(host, int(port)))
    try:
        yield wire
    finally:
        await wire.close()


def option_of(size: int) -> bytes:
    """A good body of this size."""
    return b'{"name": "a", "desc": "", "allocation": 1}'.ljust(size)


def in_chunks(data: bytes, size: int) -> bytes:
    """The data in the chunked transfer coding."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


async def until(condition: Callable[[], bool]) -> None:
    """Let the service go on until the condition holds; the test's timeout is the bound."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def assert_works(wire: Wire) -> None:
    """Fail unless the connection still carries requests and their answers."""
    wire.send("GET /livez HTTP/1.1", HOST)
    assert (await wire.answer("GET", "/livez")).status == 200


def test_the_limits_are_those_of_the_contract() -> None:
    assert BODY_BYTES_MAX == 64 * KIB
    assert DISCARDED_BYTES_MAX == 1024 * KIB


async def test_a_body_of_64_kib_is_read_and_one_that_is_larger_is_refused(
    client: Client, subtests: pytest.Subtests
) -> None:
    expected = {
        64 * KIB - 1: 201,
        64 * KIB: 201,
        64 * KIB + 1: 413,
        65 * KIB: 413,
        1024 * KIB: 413,
        100: 201,
    }

    for chunk in (None, 1000, 64 * KIB, 1024 * KIB):
        async with connected(client) as wire:
            for size, status in expected.items():
                with subtests.test(f"{size} bytes in chunks of {chunk}"):
                    body, framing = option_of(size), f"Content-Length: {size}"
                    if chunk is not None:
                        body, framing = in_chunks(body, chunk), "Transfer-Encoding: chunked"
                    wire.send("POST /ticket_options HTTP/1.1", HOST, JSON, framing, body=body)
                    answer = await wire.answer("POST", "/ticket_options")

                    assert answer.status == status
                    assert status == 201 or answer.code == "body_too_large"
                    # The connection goes on, also after a refusal.
                    await assert_works(wire)


async def test_a_body_that_says_it_is_over_1_mib_is_refused_before_it_is_sent(
    client: Client, server: Server, subtests: pytest.Subtests
) -> None:
    for length in (f"{1024 * KIB + 1}", "9" * 18, "9" * 30, "9" * 4301):
        with subtests.test(length[:30]):
            async with connected(client) as wire:
                wire.send(
                    "POST /ticket_options HTTP/1.1",
                    HOST,
                    JSON,
                    f"Content-Length: {length}",
                    "Expect: 100-continue",
                )
                answer = await wire.answer("POST", "/ticket_options")

                assert (answer.status, answer.code) == (413, "body_too_large")
                assert await wire.is_closed()
                assert server.in_flight == 0


async def test_an_answer_before_the_end_of_a_request_says_that_the_connection_closes(
    client: Client,
) -> None:
    for headers in ([HOST, "Content-Length: 2000000"], ["Content-Length: 10"]):
        async with connected(client) as wire:
            wire.send("POST /ticket_options HTTP/1.1", JSON, *headers)
            answer = await wire.answer("POST", "/ticket_options")

            assert answer.headers.get("Connection") == "close"


async def test_a_chunked_body_is_refused_when_it_comes_to_over_1_mib(
    client: Client, server: Server
) -> None:
    async with connected(client) as wire:
        wire.send(
            "POST /ticket_options HTTP/1.1",
            HOST,
            JSON,
            "Transfer-Encoding: chunked",
            # The end of the body never comes.
            body=in_chunks(b" " * (1024 * KIB + 1), 64 * KIB).removesuffix(b"0\r\n\r\n"),
        )
        answer = await wire.answer("POST", "/ticket_options")

        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await wire.is_closed()
    assert server.in_flight == 0


async def test_a_body_where_none_is_expected_is_bounded_too(client: Client) -> None:
    option = await client.new_option(allocation=10)

    for method, path, size, status in (
        ("GET", option, 64 * KIB, 200),
        ("GET", option, 65 * KIB, 413),
        ("HEAD", option, 65 * KIB, 413),
        ("GET", "/livez", 65 * KIB, 413),
        ("DELETE", "/livez", 64 * KIB, 405),
        ("GET", "/nothing", 64 * KIB, 404),
    ):
        async with connected(client) as wire:
            wire.send(
                f"{method} {path} HTTP/1.1", HOST, f"Content-Length: {size}", body=b" " * size
            )

            assert (await wire.answer(method, path)).status == status
            await assert_works(wire)


async def test_a_client_that_asks_may_send_its_body(client: Client) -> None:
    async with connected(client) as wire:
        wire.send(
            "POST /ticket_options HTTP/1.1",
            HOST,
            JSON,
            "Content-Length: 100",
            "Expect: 100-continue",
        )
        told = await wire.reader.readuntil(b"\r\n\r\n")
        wire.send_bytes(option_of(100))

        assert told.startswith(b"HTTP/1.1 100 ")
        assert (await wire.answer("POST", "/ticket_options")).status == 201


async def test_headers_up_to_the_limit_are_read(client: Client) -> None:
    async with connected(client) as wire:
        frame = len(f"GET /livez HTTP/1.1\r\n{HOST}\r\nX: \r\n\r\n")
        wire.send("GET /livez HTTP/1.1", HOST, f"X: {'x' * (HEADER_BYTES_MAX - frame)}")

        assert (await wire.answer("GET", "/livez")).status == 200


async def test_headers_over_the_limit_end_the_connection(
    client: Client, server: Server, subtests: pytest.Subtests
) -> None:
    long = "x" * HEADER_BYTES_MAX
    for case, lines in {
        "one header": ("GET /livez HTTP/1.1", HOST, f"X: {long}"),
        "many headers": ("GET /livez HTTP/1.1", HOST, *["X: x"] * 10_000),
        "the request line": (f"GET /livez?{long} HTTP/1.1", HOST),
    }.items():
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send(*lines)

                assert b" 200 " not in await wire.rest()
            assert server.in_flight == 0
            assert (await client.get("/livez")).code == 200


BAD_HEADERS = {
    "no Host": [],
    "two Hosts": [HOST, "Host: elsewhere"],
    "two Hosts, the same": [HOST, HOST],
    "two Content-Lengths that differ": [HOST, "Content-Length: 42", "Content-Length: 43"],
    "two Content-Lengths in one": [HOST, "Content-Length: 42, 43"],
    "a Content-Length that is no number": [HOST, "Content-Length: many"],
    "a negative Content-Length": [HOST, "Content-Length: -1"],
    "a Content-Length with a plus": [HOST, "Content-Length: +42"],
    "an empty Content-Length": [HOST, "Content-Length:"],
    "Content-Length and Transfer-Encoding": [
        HOST,
        "Content-Length: 42",
        "Transfer-Encoding: chunked",
    ],
    "an unknown Transfer-Encoding": [HOST, "Transfer-Encoding: gzip, chunked"],
}


async def test_a_header_that_leaves_the_request_in_doubt_is_malformed(
    client: Client, server: Server, database: str, subtests: pytest.Subtests
) -> None:
    for case, headers in BAD_HEADERS.items():
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send("POST /ticket_options HTTP/1.1", JSON, *headers)
                answer = await wire.answer("POST", "/ticket_options")

                assert (answer.status, answer.code) == (400, "malformed_header")
                assert await wire.is_closed()
                assert server.in_flight == 0

    with postgres.connect(database) as connection:
        assert postgres.value(connection, "SELECT count(*) FROM ticketing.ticket_options") == 0


async def test_equal_content_lengths_are_one(client: Client) -> None:
    async with connected(client) as wire:
        wire.send(
            "POST /ticket_options HTTP/1.1",
            HOST,
            JSON,
            "Content-Length: 100",
            "Content-Length: 100",
            body=option_of(100),
        )

        assert (await wire.answer("POST", "/ticket_options")).status == 201
        await assert_works(wire)


async def test_http_1_0_needs_no_host_and_gets_one_answer_a_connection(client: Client) -> None:
    async with connected(client) as wire:
        wire.send("GET /livez HTTP/1.0")

        assert (await wire.answer("GET", "/livez")).status == 200
        assert await wire.is_closed()


NOT_HTTP = [
    b"\r\n\r\nnonsense\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"POST /ticket_options HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /ticket_options HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx",
]
if tornado.version_info >= (6, 6):
    # Older ones, for Python 3.10, unfold it: RFC 9112 (5.2) allows both.
    NOT_HTTP.append(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n")


async def test_what_is_not_http_is_refused_and_ends_the_connection(
    client: Client, server: Server, subtests: pytest.Subtests
) -> None:
    for sent in NOT_HTTP:
        with subtests.test(repr(sent)):
            async with connected(client) as wire:
                wire.send_bytes(sent)
                answer = await wire.rest()

            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1") <= 1
            assert server.in_flight == 0
            assert (await client.get("/livez")).code == 200


async def test_pipelined_requests_are_answered_in_their_order(client: Client) -> None:
    option = await client.new_option(allocation=100)
    purchases = f"{option}/purchases"
    sequence = []

    async with connected(client) as wire:
        for quantity in (1, 2, 3, 4, 0, 5):
            body = json.dumps({"quantity": quantity, "user_id": USER}).encode()
            wire.send(
                f"POST {purchases} HTTP/1.1", HOST, JSON, f"Content-Length: {len(body)}", body=body
            )
            wire.send(f"GET {option} HTTP/1.1", HOST)
        for _ in range(6):
            sequence.append((await wire.answer("POST", purchases)).status)
            sequence.append(json.loads((await wire.answer("GET", option)).body)["allocation"])
        await assert_works(wire)

    assert sequence == [201, 99, 201, 97, 201, 94, 201, 90, 422, 90, 201, 85]


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100", "Transfer-Encoding: chunked"], ids=["fixed", "chunked"]
)
async def test_half_a_request_leaves_nothing_in_flight(
    client: Client, server: Server, database: str, framing: str
) -> None:
    async with connected(client) as wire:
        wire.send("POST /ticket_options HTTP/1.1", HOST, JSON, framing, "Expect: 100-continue")
        # So the headers have arrived.
        await wire.reader.readuntil(b"\r\n\r\n")
        assert server.in_flight == 1
        wire.send_bytes(b"32\r\n" * ("chunked" in framing) + option_of(100)[:50])

    await until(lambda: server.in_flight == 0)
    with postgres.connect(database) as connection:
        assert postgres.value(connection, "SELECT count(*) FROM ticketing.ticket_options") == 0


async def test_a_connection_that_ends_before_its_headers_leaves_nothing_in_flight(
    client: Client, server: Server
) -> None:
    for sent in (b"", b"POST /ticket_op", b"POST /ticket_options HTTP/1.1\r\nHo"):
        async with connected(client) as wire:
            wire.send_bytes(sent)

        assert (await client.get("/livez")).code == 200
        assert server.in_flight == 0


async def test_a_buyer_who_does_not_wait_for_the_answer_buys_all_the_same(
    client: Client, server: Server, database: str
) -> None:
    option = await client.new_option(allocation=10)
    body = json.dumps({"quantity": 2, "user_id": USER}).encode()

    with postgres.connect(database) as connection, connection.transaction():
        connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
        async with connected(client) as wire:
            wire.send(
                f"POST {option}/purchases HTTP/1.1",
                HOST,
                JSON,
                f"Content-Length: {len(body)}",
                body=body,
            )
            await until(lambda: server.in_flight == 1)
        # It is gone, and its purchase still waits for the lock.
        assert (await client.get("/livez")).code == 200
        assert server.in_flight == 1

    await until(lambda: server.in_flight == 0)
    assert await client.left(option) == 8


async def test_idle_connections_that_are_closed_leave_nothing_behind(
    client: Client, server: Server
) -> None:
    for _ in range(20):
        async with connected(client) as wire:
            await assert_works(wire)

    await until(lambda: not server.arriving)


async def test_a_body_that_does_not_arrive_in_time_ends_the_connection(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BODY_TIMEOUT_SECONDS", 0.1)
    async with connected(client) as wire:
        wire.send("POST /ticket_options HTTP/1.1", HOST, JSON, "Content-Length: 100", body=b"{")

        assert await wire.is_closed()
        await until(lambda: server.in_flight == 0)


async def test_a_connection_that_sends_nothing_is_closed_in_time(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "HEADER_TIMEOUT_SECONDS", 0.1)
    async with connected(client) as wire:
        wire.send_bytes(b"GET /livez HTTP/1.1\r\n")

        assert await wire.is_closed()
        await until(lambda: not server.arriving)
