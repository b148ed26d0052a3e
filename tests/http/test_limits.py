from __future__ import annotations

import json

import pytest

from api.web import limits
from api.web.lane import server as lane_server
from api.web.limits import BODY_BYTES_MAX, DISCARDED_BYTES_MAX, HEAD_BYTES_MAX
from api.workers import Server
from loadtests.harness import postgres
from tests.http.conftest import Client
from tests.http.wire import (
    HOST,
    JSON,
    LANE_ONLY,
    assert_refused,
    assert_works,
    connected,
    in_chunks,
    open_connections,
    until,
)

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
KIB = 1024


def option_of(size: int) -> bytes:
    """A valid body of this size."""
    return b'{"name": "a", "desc": "", "allocation": 1}'.ljust(size)


def test_the_limits_are_those_of_the_contract() -> None:
    assert BODY_BYTES_MAX == 64 * KIB
    assert DISCARDED_BYTES_MAX == 1024 * KIB


async def test_a_body_of_64_kib_is_read_and_a_larger_one_is_refused(
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
                    # The connection stays open, even after a refusal.
                    await assert_works(wire)


@LANE_ONLY
async def test_a_body_declared_as_over_1_mib_is_refused_before_it_is_sent(
    client: Client, server: Server, subtests: pytest.Subtests
) -> None:
    # 18 nines just fit into 64 bits, and no parser reads longer numbers.
    for length in (f"{1024 * KIB + 1}", "9" * 18):
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


@LANE_ONLY
async def test_an_answer_before_the_end_of_a_request_announces_the_close(
    client: Client,
) -> None:
    for headers in ([HOST, "Content-Length: 2000000"], ["Content-Length: 10"]):
        async with connected(client) as wire:
            wire.send("POST /ticket_options HTTP/1.1", JSON, *headers)
            answer = await wire.answer("POST", "/ticket_options")

            assert answer.headers.get("Connection") == "close"


@LANE_ONLY
async def test_a_chunked_body_is_refused_once_it_exceeds_1_mib(
    client: Client, server: Server
) -> None:
    async with connected(client) as wire:
        wire.send(
            "POST /ticket_options HTTP/1.1",
            HOST,
            JSON,
            "Transfer-Encoding: chunked",
            # The end of the body never arrives.
            body=in_chunks(b" " * (1024 * KIB + 1), 64 * KIB).removesuffix(b"0\r\n\r\n"),
        )
        answer = await wire.answer("POST", "/ticket_options")

        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await wire.is_closed()
    assert server.in_flight == 0


async def test_even_a_body_that_is_not_expected_is_bounded(client: Client) -> None:
    option = await client.new_option(allocation=10)

    for method, path, size, status in (
        ("GET", option, 64 * KIB, 200),
        ("GET", option, 65 * KIB, 413),
        ("HEAD", option, 65 * KIB, 413),
        ("GET", "/livez", 65 * KIB, 413),
        ("DELETE", "/livez", 64 * KIB, 405),
        ("GET", "/nothing", 64 * KIB, 404),
        ("POST", "/nothing", 65 * KIB, 413),
        ("DELETE", "/livez", 65 * KIB, 413),
        ("PROPFIND", "/livez", 65 * KIB, 413),
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
        wire.send("GET /livez HTTP/1.1", HOST, f"X: {'x' * (HEAD_BYTES_MAX - frame)}")

        assert (await wire.answer("GET", "/livez")).status == 200


async def test_headers_over_the_limit_are_refused(client: Client, server: Server) -> None:
    async with connected(client) as wire:
        frame = len(f"GET /livez HTTP/1.1\r\n{HOST}\r\nX: \r\n\r\n")
        wire.send("GET /livez HTTP/1.1", HOST, f"X: {'x' * (HEAD_BYTES_MAX - frame + 1)}")

        await assert_refused(wire, server)


@LANE_ONLY
@pytest.mark.parametrize(
    "framing", ["Content-Length: 100", "Transfer-Encoding: chunked"], ids=["fixed", "chunked"]
)
async def test_half_a_request_leaves_nothing_in_flight(
    client: Client, server: Server, database: str, framing: str
) -> None:
    async with connected(client) as wire:
        wire.send("POST /ticket_options HTTP/1.1", HOST, JSON, framing, "Expect: 100-continue")
        # This shows that the headers have arrived.
        await wire.reader.readuntil(b"\r\n\r\n")
        assert server.in_flight == 1
        wire.send_bytes(b"32\r\n" * ("chunked" in framing) + option_of(100)[:50])

    await until(lambda: server.in_flight == 0)
    with postgres.connect(database) as connection:
        assert postgres.value(connection, "SELECT count(*) FROM ticketing.ticket_options") == 0


async def test_a_buyer_who_does_not_wait_for_the_answer_still_buys(
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
        # The buyer is gone, and the purchase is still waiting for the lock.
        assert (await client.get("/livez")).code == 200
        assert server.in_flight == 1

    await until(lambda: server.in_flight == 0)
    assert await client.left(option) == 8


async def test_closed_idle_connections_leave_nothing_behind(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_server, "SWEEP_SECONDS", 0.05)
    for _ in range(20):
        async with connected(client) as wire:
            await assert_works(wire)

    await until(lambda: not open_connections(server))


@LANE_ONLY
async def test_a_body_that_does_not_arrive_in_time_closes_the_connection(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(lane_server, "SWEEP_SECONDS", 0.05)
    async with connected(client) as wire:
        wire.send("POST /ticket_options HTTP/1.1", HOST, JSON, "Content-Length: 100", body=b"{")

        assert await wire.is_closed()
        await until(lambda: server.in_flight == 0)


@LANE_ONLY
async def test_a_connection_that_sends_nothing_is_closed_in_time(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(lane_server, "SWEEP_SECONDS", 0.05)
    async with connected(client) as wire:
        wire.send_bytes(b"GET /livez HTTP/1.1\r\n")

        assert await wire.is_closed()
        await until(lambda: not open_connections(server))
