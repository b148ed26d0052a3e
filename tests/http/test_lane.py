"""What the fast lane promises beyond Tornado's own server."""

from __future__ import annotations

import asyncio
import json

import pytest

from api.web import limits
from api.web.lane import connection as lane_connection
from api.web.lane.server import READ_BYTES_MAX, Lane
from loadtests.harness import postgres
from tests import hostile
from tests.hostile import get, message, post
from tests.http.conftest import Client, Served
from tests.http.wire import HOST, JSON, LANE_ONLY, assert_works, connected, until

pytestmark = LANE_ONLY

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
PURCHASE = json.dumps({"quantity": 1, "user_id": USER}).encode()


@pytest.fixture
def lane(served: Served) -> Lane:
    assert isinstance(served.server, Lane)
    return served.server


def purchase(option: str, *headers: str) -> bytes:
    length = f"Content-Length: {len(PURCHASE)}"
    return message(f"POST {option}/purchases HTTP/1.1", HOST, JSON, length, *headers, body=PURCHASE)


async def test_a_client_that_never_reads_is_no_longer_read_from(client: Client, lane: Lane) -> None:
    async with connected(client) as wire:
        wire.send_bytes(get(HOST, target="/openapi.json") * 20_000)
        connection = await first_with_waiting_requests(lane)
        await until(lambda: connection._is_writing_paused)
        unchanged = 0
        while unchanged < 100:
            before = len(connection._waiting)
            await asyncio.sleep(0)
            unchanged = unchanged + 1 if len(connection._waiting) == before else 0

        assert connection._is_reading_paused
        # At most one chunk was read ahead, and few answers are unsent.
        assert len(connection._waiting) <= READ_BYTES_MAX // 40
        assert connection._transport.get_write_buffer_size() < 300_000
        assert (await client.get("/livez")).code == 200
    await until(lambda: connection not in lane.connections)
    await until(lambda: lane.in_flight == 0)


async def first_with_waiting_requests(lane: Lane) -> lane_connection.Connection:
    while True:
        for each in lane.connections:
            if each._waiting:
                return each
        await asyncio.sleep(0)


async def test_everything_is_answered_once_the_client_reads(client: Client) -> None:
    count = 500
    async with connected(client) as wire:
        wire.send_bytes(get(HOST, target="/openapi.json") * count)
        for _ in range(count):
            assert (await wire.any_answer()).status == 200
        await assert_works(wire)


async def test_at_most_one_chunk_is_read_while_a_request_waits(
    client: Client, lane: Lane, database: str
) -> None:
    option = await client.new_option(allocation=100_000)
    async with connected(client) as wire:
        with postgres.connect(database) as connection, connection.transaction():
            connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
            wire.send_bytes(purchase(option) * 300)
            waiting = await first_with_waiting_requests(lane)
            await until(lambda: waiting._is_reading_paused)

            assert lane.in_flight <= 2 * READ_BYTES_MAX // len(purchase(option)) + 2
        for _ in range(300):
            assert (await wire.answer("POST", f"{option}/purchases")).status == 201
    assert await client.left(option) == 99_700


@pytest.mark.parametrize("upgrade", ["Upgrade: h2c", "Upgrade: websocket", "Upgrade: x"])
async def test_any_number_of_upgrades_is_declined(client: Client, upgrade: str) -> None:
    sent = get("Host:", "Connection:upgrade", upgrade.replace(" ", ""))
    count = 3 * READ_BYTES_MAX // len(sent)
    async with connected(client) as wire:
        wire.send_bytes(sent * count)
        for _ in range(count):
            assert (await wire.any_answer()).status == 200
        await assert_works(wire)


@pytest.mark.parametrize("framing", ["Content-Length", "Transfer-Encoding"])
async def test_the_body_of_an_upgrade_is_read_wherever_it_is_split(
    client: Client, database: str, framing: str
) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA")
    if framing == "Content-Length":
        sent = post(HOST, *upgrade, "Content-Length: 42")
    else:
        chunks = b"2A\r\n" + hostile.OPTION + b"\r\n0\r\n\r\n"
        sent = post(HOST, *upgrade, "Transfer-Encoding: chunked", body=chunks)
    async with connected(client) as wire:
        for cut in range(len(sent) - 60, len(sent)):
            wire.send_bytes(sent[:cut])
            await wire.drain()
            for _ in range(5):
                await asyncio.sleep(0)
            wire.send_bytes(sent[cut:] + get(HOST))
            assert (await wire.answer("POST", "/ticket_options")).status == 201
            assert (await wire.answer("GET", "/livez")).status == 200


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue", "100-CONTINUE"])
async def test_a_client_that_expects_100_continue_gets_it(client: Client, expectation: str) -> None:
    async with connected(client) as wire:
        wire.send(
            "POST /ticket_options HTTP/1.1",
            HOST,
            JSON,
            "Content-Length: 42",
            f"Expect: {expectation}",
        )
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send_bytes(hostile.OPTION)

        assert (await wire.answer("POST", "/ticket_options")).status == 201


async def test_a_client_that_need_not_wait_gets_no_100_continue(client: Client) -> None:
    expect = "Expect: 100-continue"
    for sent in (
        message("POST /ticket_options HTTP/1.0", JSON, "Content-Length: 42", expect, body=b"{"),
        post(HOST, "Content-Length: 42", expect),  # the body has already arrived
        post(HOST, "Content-Length: 0", expect, body=b""),
        get(HOST, expect),
        post(HOST, "Content-Length: 42", "Expect: 200-ok"),
    ):
        async with connected(client) as wire:
            wire.send_bytes(sent)
            wire.send_bytes(hostile.OPTION[1:] if sent.endswith(b"{") else b"")
            assert b" 100 " not in await wire.reader.readuntil(b"\r\n\r\n")


async def test_100_continue_is_sent_only_when_its_request_is_next(
    client: Client, lane: Lane, database: str
) -> None:
    option = await client.new_option(allocation=10)
    async with connected(client) as wire:
        with postgres.connect(database) as connection, connection.transaction():
            connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
            wire.send_bytes(purchase(option))
            wire.send(
                f"POST {option}/purchases HTTP/1.1",
                HOST,
                JSON,
                f"Content-Length: {len(PURCHASE)}",
                "Expect: 100-continue",
            )
            await until(lambda: lane.in_flight == 2)
        assert (await wire.answer("POST", f"{option}/purchases")).status == 201
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send_bytes(PURCHASE)
        assert (await wire.answer("POST", f"{option}/purchases")).status == 201


@pytest.mark.parametrize(
    ("sent", "closes"),
    [
        (get(HOST, "Connection: close, TE"), True),
        (get(HOST, "Connection: TE, Close"), True),
        (get(HOST, "Connection: TE", "Connection: close"), True),
        (get(HOST, "Connection: closed"), False),
        (get(HOST, "Connection: TE"), False),
        (get(HOST, "Connection:"), False),
        (b"GET /livez HTTP/1.0\r\n\r\n", True),
        (b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET /livez HTTP/1.0\r\nConnection: Keep-Alive, TE\r\n\r\n", False),
    ],
)
async def test_a_connection_is_kept_open_as_the_rfc_says(
    client: Client, sent: bytes, closes: bool
) -> None:
    async with connected(client) as wire:
        wire.send_bytes(sent)
        answer = await wire.answer("GET", "/livez")

        assert (answer.headers.get("Connection") == "close") is closes
        if b"HTTP/1.0" in sent and not closes:
            assert answer.headers["Connection"] == "keep-alive"
        if closes:
            assert await wire.is_closed()
        else:
            await assert_works(wire)


@pytest.mark.parametrize("coding", ["chunked", "gzip", "identity"])
async def test_http_1_0_has_no_transfer_codings(client: Client, database: str, coding: str) -> None:
    body = b"2A\r\n" + hostile.OPTION + b"\r\n0\r\n\r\n"
    head = ("POST /ticket_options HTTP/1.0", JSON, "Connection: keep-alive")
    async with connected(client) as wire:
        wire.send_bytes(message(*head, f"Transfer-Encoding: {coding}", body=body + get(HOST)))
        answer = await wire.refusal()

        assert answer.code == "malformed_header"
        assert await wire.is_closed()


async def test_a_client_that_half_closes_is_answered(
    client: Client, lane: Lane, database: str
) -> None:
    option = await client.new_option(allocation=10)
    for target in (
        option,
        f"http://a{option}",
    ):  # one is hot, the other goes to the application
        async with connected(client) as wire:
            with postgres.connect(database) as connection, connection.transaction():
                connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
                wire.send_bytes(purchase(target) + purchase(target))
                wire.send_end()
                await until(lambda: lane.in_flight == 2)
            for _ in range(2):
                assert (await wire.answer("POST", f"{option}/purchases")).status == 201
            assert await wire.is_closed()
        await until(lambda: not any(each._has_ended for each in lane.connections))
    assert await client.left(option) == 6


async def test_a_content_length_may_have_leading_zeros(client: Client) -> None:
    async with connected(client) as wire:
        wire.send_bytes(post(HOST, f"Content-Length: {'0' * 5_000}42"))
        assert (await wire.answer("POST", "/ticket_options")).status == 201
        wire.send_bytes(post(HOST, f"Content-Length: {'0' * 5_000}70000", body=b" " * 70_000))
        assert (await wire.answer("POST", "/ticket_options")).code == "body_too_large"
        await assert_works(wire)


async def test_the_idle_timeout_starts_at_the_last_answer(
    client: Client, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 1_000.0)
    async with connected(client) as wire:
        for _ in range(3):
            before = lane.time()
            await assert_works(wire)
            [connection] = lane.connections
            assert connection.deadline >= before + 1_000
        wire.send_bytes(b"G")
        await until(lambda: connection._arriving is not None)
        # Bytes that do not complete a head buy no time.
        assert connection.deadline <= lane.time() + 1_000
