"""The application in this process, with every answer checked.

A test that asks for ``database`` has one of its own. One that asks for less cannot do anything to a
database but through the service, so all of those share one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from psycopg import sql
from tornado.httpclient import HTTPResponse
from tornado.ioloop import IOLoop
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.testing import bind_unused_port

from api.database.calls import Database
from api.database.readiness import Readiness
from api.database.store import Store
from api.settings import Settings
from api.web.accepting import Acceptor
from api.workers import Server, make_server
from loadtests.harness import openapi, postgres

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


class Served(NamedTuple):
    """A service in this process."""

    server: Server
    port: int
    readiness: Readiness


@asynccontextmanager
async def serving(conninfo: str, settings: Settings) -> AsyncIterator[Served]:
    """A service with this database and these settings."""
    database = Database(
        settings.service_conninfo(conninfo),
        pool_size=settings.pool_size,
        max_waiting=settings.max_waiting,
        timeout_seconds=settings.request_timeout_seconds,
        answer_timeout_seconds=settings.answer_timeout_seconds,
    )
    await database.open()
    readiness = Readiness(database)
    store = Store(
        database,
        readiness.require,
        batch_size=settings.batch_size,
        batch_options=settings.batch_options,
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    server = make_server(settings, store, readiness)
    listener, port = bind_unused_port()
    acceptor = Acceptor([listener], server.accepted)
    try:
        yield Served(server, port, readiness)
    finally:
        acceptor.stop()
        await server.close()
        await database.close()


@pytest.fixture(params=["on", "off"], ids=["lane", "plain"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Production settings, with and without the fast lane."""
    return Settings(fast_lane=request.param)


@pytest.fixture
def served(request: pytest.FixtureRequest, io_loop: IOLoop, settings: Settings) -> Iterator[Served]:
    """A service that is ready."""
    name = "database" if "database" in request.fixturenames else "common_database"
    context = serving(request.getfixturevalue(name), settings)
    started = io_loop.run_sync(context.__aenter__)
    io_loop.run_sync(started.readiness.wait_until_ready)
    yield started
    io_loop.run_sync(lambda: context.__aexit__(None, None, None))


@pytest.fixture
def server(served: Served) -> Server:
    return served.server


def move_clock(conninfo: str, seconds: float) -> None:
    """Have the database's functions take it for so much later than it is."""
    with postgres.connect(conninfo) as connection:
        connection.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION ticketing_private.clock() RETURNS timestamptz "
                "LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp "
                "AS $$ BEGIN RETURN clock_timestamp() + make_interval(secs => {}); END $$"
            ).format(seconds)
        )


class Client:
    """Sends requests, and checks every answer against openapi.json."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        # A client of its own, with many connections, so that a race really is one.
        self._http = SimpleAsyncHTTPClient(max_clients=200, force_instance=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        raw_body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        """Send a request, with ``body`` as JSON or ``raw_body`` as is."""
        sent = dict(headers or {})
        if body is not None:
            raw_body = json.dumps(body).encode()
        if raw_body is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = await self._http.fetch(
            self.url + path,
            method=method,
            headers=sent,
            body=raw_body,
            raise_error=False,
            allow_nonstandard_methods=True,
            request_timeout=20,
        )
        openapi.check_answer(method, path, answer.code, answer.headers, answer.body)
        return answer

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
        return await self.request("GET", path, headers=headers)

    async def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        return await self.request("POST", path, body=body, headers=headers)

    async def patch(self, path: str, body: Any) -> HTTPResponse:
        return await self.request("PATCH", path, body=body)

    async def delete(self, path: str) -> HTTPResponse:
        return await self.request("DELETE", path)

    async def new_option(self, allocation: int, **members: Any) -> str:
        """Create a ticket option, and return its path."""
        answer = await self.post(
            "/ticket_options", {"name": "example", "desc": "", "allocation": allocation, **members}
        )
        assert answer.code == 201
        return answer.headers["Location"]

    async def new_purchase(self, option_path: str, quantity: int, user_id: str = USER) -> str:
        """Purchase tickets, and return the path of the purchase."""
        body = {"quantity": quantity, "user_id": user_id}
        answer = await self.post(f"{option_path}/purchases", body)
        assert answer.code == 201
        return answer.headers["Location"]

    async def new_hold(self, option_path: str, quantity: int, user_id: str = USER) -> str:
        """Hold tickets, and return the path of the hold."""
        answer = await self.post(f"{option_path}/holds", {"quantity": quantity, "user_id": user_id})
        assert answer.code == 201
        return answer.headers["Location"]

    async def left(self, option_path: str) -> int:
        """The number of tickets left of the option."""
        allocation: int = json.loads((await self.get(option_path)).body)["allocation"]
        return allocation

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    new_client = Client(served.port)
    yield new_client
    new_client.close()
