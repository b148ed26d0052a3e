"""What no client library would send always gets a documented answer, or none."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

import pytest

from api import logs
from api.web import limits
from api.web.lane import connection as lane_connection
from api.web.lane import server as lane_server
from api.web.lane.server import Lane
from api.workers import Server
from loadtests.harness import postgres
from tests import hostile
from tests.hostile import message
from tests.http.conftest import Client
from tests.http.wire import (
    HOST,
    JSON,
    LANE_ONLY,
    Wire,
    assert_refused,
    assert_works,
    connected,
    open_connections,
    until,
)

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


def purchase(option: str, quantity: int, *headers: str) -> bytes:
    """A valid purchase, with these headers added."""
    body = json.dumps({"quantity": quantity, "user_id": USER}).encode()
    length = f"Content-Length: {len(body)}"
    return message(f"POST {option}/purchases HTTP/1.1", JSON, length, *headers, body=body)


def options(database: str) -> int:
    """The number of ticket options stored."""
    with postgres.connect(database) as connection:
        count: int = postgres.value(connection, "SELECT count(*) FROM ticketing.ticket_options")
        return count


async def until_cut_off(wire: Wire, client: Client) -> None:
    """Send until the connection breaks, while the service keeps answering others."""
    with suppress(ConnectionError):
        while True:
            wire.send_bytes(b"x" * 1_000)
            await wire.drain()
            assert (await client.get("/livez")).code == 200


@pytest.mark.parametrize("kind", ["NOT_HTTP", "TOO_LARGE"])
async def test_an_invalid_request_is_refused_and_closes_the_connection(
    client: Client, server: Server, subtests: pytest.Subtests, kind: str
) -> None:
    for case, sent in getattr(hostile, kind).items():
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send_bytes(sent)

                await assert_refused(wire, server)
            assert server.in_flight == 0
            assert (await client.get("/livez")).code == 200


@pytest.mark.parametrize("kind", ["BAD_FRAMING", "BAD_CHUNKS"])
async def test_a_body_with_ambiguous_framing_is_refused_and_closes_the_connection(
    client: Client, server: Server, database: str, subtests: pytest.Subtests, kind: str
) -> None:
    for case, sent in getattr(hostile, kind).items():
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send_bytes(sent)

                await assert_refused(wire, server)
            assert server.in_flight == 0
            assert (await client.get("/livez")).code == 200

    assert options(database) == 0


async def test_an_odd_but_valid_request_is_answered_and_the_connection_stays_open(
    client: Client, server: Server, subtests: pytest.Subtests
) -> None:
    for case, (sent, method, path, status) in hostile.ODD_BUT_RIGHT.items():
        if case in hostile.UNKNOWN_TO_TORNADO and not isinstance(server, Lane):
            continue
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send_bytes(sent)

                assert (await wire.answer(method, path)).status == status
                await assert_works(wire)
            assert server.in_flight == 0


async def test_what_is_up_to_the_server_is_refused_or_done_but_never_by_halves(
    client: Client, server: Server, database: str, subtests: pytest.Subtests
) -> None:
    for case, (sent, method, path, status) in hostile.LEFT_TO_THE_SERVER.items():
        with subtests.test(case):
            before = options(database)
            async with connected(client) as wire:
                wire.send_bytes(sent)
                head = await wire.reader.readuntil(b"\r\n\r\n")
                is_refused = head.startswith(b"HTTP/1.1 400 ")
                if not is_refused:
                    assert head.startswith(b"HTTP/1.1 %d " % status)
            async with connected(client) as wire:
                wire.send_bytes(sent + hostile.get(HOST, "Connection: close"))
                if is_refused:
                    await assert_refused(wire, server)
                else:
                    answer = await wire.answer(method, path)
                    assert answer.status == status
                    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", await wire.rest())) <= 1
            assert options(database) == before + 2 * (not is_refused and status == 201)
            assert server.in_flight == 0


async def test_a_key_that_is_not_ascii_is_refused_and_takes_nothing(client: Client) -> None:
    option = await client.new_option(allocation=10)
    purchases = f"{option}/purchases"

    async with connected(client) as wire:
        for key in ("caf\u00e9", "caf\u00e9".encode().decode("latin-1"), "\u00a0"):
            wire.send_bytes(purchase(option, 1, HOST, f"Idempotency-Key: {key}"))
            answer = await wire.answer("POST", purchases)

            assert (answer.status, answer.code) == (400, "malformed_header")
        await assert_works(wire)
    assert await client.left(option) == 10


async def test_a_truncated_request_is_dropped_wherever_it_ends(
    client: Client, server: Server, database: str
) -> None:
    whole = [
        hostile.post(HOST, "Content-Length: 42"),
        hostile.chunked(b"10\r\n" + hostile.OPTION[:16] + b"\r\n1A\r\n" + hostile.OPTION[16:]),
    ]
    for sent in whole:
        for end in range(len(sent)):
            async with connected(client) as wire:
                wire.send_bytes(sent[:end])
                wire.send_end()

                assert await wire.is_closed(), end
            assert server.in_flight == 0, end

    assert options(database) == 0
    assert (await client.get("/livez")).code == 200


async def test_requests_that_arrive_byte_by_byte_are_answered_like_any_other(
    client: Client,
) -> None:
    option = await client.new_option(allocation=100)
    body = json.dumps({"quantity": 3, "user_id": USER}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:], b""))
    sent = (
        hostile.get(HOST, target=option)
        + purchase(option, 2, HOST)
        + message(
            f"POST {option}/purchases HTTP/1.1",
            HOST,
            JSON,
            "Transfer-Encoding: chunked",
            body=chunks,
        )
        + hostile.get(HOST, target=option)
    )

    async with connected(client) as wire:
        for byte in sent:
            wire.send_bytes(bytes([byte]))
            await asyncio.sleep(0)
        statuses = [
            (await wire.answer(method, path)).status
            for method, path in [
                ("GET", option),
                ("POST", f"{option}/purchases"),
                ("POST", f"{option}/purchases"),
            ]
        ]
        last = await wire.answer("GET", option)

        assert statuses == [200, 201, 201]
        assert json.loads(last.body)["allocation"] == 95
        await assert_works(wire)


@LANE_ONLY
async def test_a_request_that_never_ends_is_closed_in_time(
    client: Client,
    server: Server,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(lane_server, "SWEEP_SECONDS", 0.05)
    for case, sent in hostile.WITHOUT_AN_END.items():
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send_bytes(sent)

                rest = await wire.rest()
                assert rest == b"" or (
                    rest.startswith(b"HTTP/1.1 400 ") and b"problem+json" in rest
                )
            await until(lambda: not open_connections(server))
            assert server.in_flight == 0
    assert options(database) == 0


@LANE_ONLY
async def test_the_log_has_a_line_for_every_refusal(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    subtests: pytest.Subtests,
) -> None:
    # What set_up() chooses; it would also take the place of pytest's handlers.
    monkeypatch.setattr(logs, "_request_line", logs._json_request_line)
    for case, sent, method, path in (
        ("no HTTP", b"nonsense\r\n\r\n", "-", "-"),
        ("too large", b"x" * 20_000, "-", "-"),
        ("a bad chunk", hostile.chunked(b"zz\r\n"), "POST", "/ticket_options"),
    ):
        with subtests.test(case):
            async with connected(client) as wire:
                wire.send_bytes(sent)
                answer = await wire.refusal()

            [line] = map(json.loads, capfd.readouterr().err.splitlines())
            assert line["request_id"] == answer.headers["X-Request-ID"]
            assert (line["status"], line["method"], line["path"]) == (400, method, path)


async def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    option = await client.new_option(allocation=100)
    purchases = f"{option}/purchases"
    sequence = []

    async with connected(client) as wire:
        for quantity in (1, 2, 3, 4, 0, 5):
            wire.send_bytes(purchase(option, quantity, HOST))
            wire.send(f"GET {option} HTTP/1.1", HOST)
        for _ in range(6):
            sequence.append((await wire.answer("POST", purchases)).status)
            sequence.append(json.loads((await wire.answer("GET", option)).body)["allocation"])
        await assert_works(wire)

    assert sequence == [201, 99, 201, 97, 201, 94, 201, 90, 422, 90, 201, 85]


@pytest.mark.parametrize(
    "end", ["an ambiguous header", "an invalid request", "too large", "Connection"]
)
async def test_requests_pipelined_after_the_last_one_are_not_processed(
    client: Client, server: Server, end: str
) -> None:
    option = await client.new_option(allocation=100)
    purchases = f"{option}/purchases"
    last, status = {
        "an ambiguous header": (purchase(option, 4), 400),
        "an invalid request": (b"nonsense\r\n\r\n", 400),
        "too large": (purchase(option, 4, HOST, f"X: {'x' * 20_000}"), 400),
        "Connection": (purchase(option, 4, HOST, "Connection: close"), 201),
    }[end]

    async with connected(client) as wire:
        wire.send_bytes(
            purchase(option, 1, HOST)
            + purchase(option, 2, HOST)
            + last
            + purchase(option, 8, HOST)
            + purchase(option, 16, HOST)
        )
        statuses = [(await wire.answer("POST", purchases)).status for _ in range(2)]

        assert statuses == [201, 201]
        if status == 400:
            await assert_refused(wire, server)
        else:
            assert (await wire.answer("POST", purchases)).status == 201
            assert await wire.is_closed()
    await until(lambda: server.in_flight == 0)
    if status == 400 or isinstance(server, Lane):
        assert await client.left(option) == (97 if status == 400 else 93)
    # Otherwise Tornado's server processes what it had read before it closed, and cannot answer it.


async def test_http_1_0_needs_no_host_and_gets_one_answer_per_connection(client: Client) -> None:
    async with connected(client) as wire:
        wire.send_bytes(b"GET /livez HTTP/1.0\r\n\r\n" * 3)

        assert (await wire.answer("GET", "/livez")).status == 200
        assert await wire.is_closed()


@LANE_ONLY
async def test_a_client_that_sends_a_lot_before_it_reads_sees_the_refusal(client: Client) -> None:
    for sent in (
        hostile.get(HOST, "X: y") + b"nonsense\r\n\r\n" + b"x" * 5_000_000,
        hostile.get(HOST, "X: y") + b"x" * 5_000_000,
        hostile.get(HOST, "X: y") + hostile.post(body=b"x" * 5_000_000),
    ):
        async with connected(client) as wire:
            wire.send_bytes(sent)
            await wire.drain()

            assert (await wire.answer("GET", "/livez")).status == 200
            assert (await wire.refusal()).code == "malformed_header"
            assert await wire.is_closed()


@LANE_ONLY
async def test_a_client_that_never_stops_sending_is_cut_off(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_connection, "LINGER_SECONDS", 0.1)
    async with connected(client) as wire:
        wire.send_bytes(b"nonsense\r\n\r\n")
        assert (await wire.refusal()).status == 400

        await until_cut_off(wire, client)


@LANE_ONLY
async def test_a_stopping_server_does_not_wait_for_refused_clients(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_connection, "LINGER_SECONDS", 1_000.0)
    async with connected(client) as wire:
        wire.send_bytes(b"nonsense\r\n\r\n")
        assert (await wire.refusal()).status == 400

        await server.close()

        await until_cut_off(wire, client)
