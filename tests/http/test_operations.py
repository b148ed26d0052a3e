from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

import api
from api.workers import Server
from loadtests.harness import postgres
from tests.http.conftest import Client
from tests.http.wire import HOST, connected


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_healthy_service_says_so(client: Client, path: str) -> None:
    answer = await client.get(path)

    assert answer.code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"status": "ok"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ticketing_private.installed_files SET sha256 = repeat('0', 64)"
        " WHERE path = 'procedures/purchase_tickets.sql'",
        "DELETE FROM ticketing_private.installed_files"
        " WHERE path = 'procedures/purchase_tickets.sql'",
        "INSERT INTO ticketing_private.installed_files"
        " VALUES ('migrations/9999-later.sql', repeat('0', 64))",
        "DROP FUNCTION ticketing.installed_files()",
        "REVOKE USAGE ON SCHEMA ticketing FROM ticketing_service",
    ],
)
async def test_a_service_on_a_different_version_of_the_database_is_alive_but_not_ready(
    client: Client, database: str, change: str
) -> None:
    with postgres.connect(database) as connection:
        connection.execute(change.encode())

    ready = await client.get("/readyz")

    assert ready.code == 503
    assert json.loads(ready.body)["code"] == "unavailable"
    assert "Retry-After" in ready.headers
    assert "procedures" not in ready.body.decode()
    assert (await client.get("/livez")).code == 200


async def test_a_service_that_was_ready_keeps_serving_beside_a_newer_release(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        connection.execute(
            "INSERT INTO ticketing_private.installed_files"
            " VALUES ('migrations/9999-later.sql', repeat('0', 64))"
        )
    assert (await client.get("/readyz")).code == 503

    purchase = {"quantity": 2, "user_id": "406c1d05-bbb2-4e94-b183-7d208c2692e1"}
    answer = await client.post(f"{option}/purchases", purchase)

    assert answer.code == 201
    assert await client.left(option) == 8


async def test_the_log_says_once_what_is_missing_and_once_that_it_is_installed(
    client: Client, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.database.readiness")
    caplog.clear()

    with postgres.connect(database) as connection:
        connection.execute(
            "UPDATE ticketing_private.installed_files SET path = 'procedures/mine.sql'"
            " WHERE path = 'procedures/get_purchase.sql'"
        )
        codes = [(await client.get("/readyz")).code for _ in range(3)]
        connection.execute(
            "UPDATE ticketing_private.installed_files SET path = 'procedures/get_purchase.sql'"
            " WHERE path = 'procedures/mine.sql'"
        )
        codes += [(await client.get("/readyz")).code for _ in range(3)]

    missing, there = [r.getMessage() for r in caplog.records if r.name == "api.database.readiness"]
    assert codes == [503] * 3 + [200] * 3
    assert "procedures/get_purchase.sql is not installed" in missing
    assert "procedures/mine.sql is installed" in missing
    assert there == "ready"


async def test_a_draining_service_closes_a_connection_after_its_answer(
    client: Client, server: Server
) -> None:
    async with connected(client) as wire:
        # Not with Tornado's client, which asks for the connection to be closed.
        wire.send("GET /livez HTTP/1.1", HOST)
        assert "Connection" not in (await wire.answer("GET", "/livez")).headers

        draining = asyncio.ensure_future(server.drain(timeout_seconds=5))
        await asyncio.sleep(0)
        wire.send("GET /livez HTTP/1.1", HOST)
        answer = await wire.answer("GET", "/livez")

        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
        assert await draining


async def test_the_service_serves_the_document_of_this_build(client: Client) -> None:
    answer = await client.get("/openapi.json")

    assert answer.code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == (Path(api.__file__).parent / "openapi.json").read_bytes()
    assert json.loads(answer.body)["info"]["version"] == api.__version__
