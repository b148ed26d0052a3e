"""The application in this process, on a database of its own, with every answer checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from api.accepting import Acceptor
from api.app import make_app
from api.database import Database
from api.exchange import Server
from api.readiness import Readiness
from api.settings import Settings
from api.store import Store
from api.web import Application
from tests import openapi


@pytest.fixture
def settings() -> Settings:
    """Of the service; a test may have others by parametrizing this."""
    return Settings()


@pytest.fixture
def app(io_loop: IOLoop, database: str, settings: Settings) -> Iterator[Application]:
    connections = Database(
        settings.service_conninfo(database),
        pool_size=settings.pool_size,
        max_waiting=settings.max_waiting,
        timeout_seconds=settings.request_timeout_seconds,
        answer_timeout_seconds=settings.answer_timeout_seconds,
    )

    async def ready_app() -> Application:
        await connections.open()
        store = Store(connections)
        readiness = Readiness(store)
        await readiness.wait_until_ready()
        return make_app(store, readiness)

    made: Application = io_loop.run_sync(ready_app)
    yield made
    io_loop.run_sync(connections.close)


@pytest.fixture
def server(io_loop: IOLoop, app: Application, http_server_port: Any) -> Iterator[Server]:
    made = Server(app)

    async def accept() -> Acceptor:
        return Acceptor([http_server_port[0]], made.accepted)

    acceptor = io_loop.run_sync(accept)
    yield made
    acceptor.stop()
    io_loop.run_sync(made.close)


@pytest.fixture
def http_server(server: Server) -> HTTPServer:
    """With the bounds of production; pytest-tornasync's own has none."""
    return server.http


class Client:
    """Sends requests, and holds every answer against openapi.json."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        # Of its own and large, so that a race is one.
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
        """Send a request, with ``body`` as JSON or ``raw_body`` as it is."""
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

    async def new_option(self, allocation: int) -> str:
        """The path of a new ticket option."""
        answer = await self.post(
            "/ticket_options", {"name": "example", "desc": "", "allocation": allocation}
        )
        assert answer.code == 201
        return answer.headers["Location"]

    async def left(self, option_path: str) -> int:
        """What can still be purchased of the option."""
        allocation: int = json.loads((await self.get(option_path)).body)["allocation"]
        return allocation

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def client(http_server: HTTPServer, http_server_port: Any) -> Iterator[Client]:
    made = Client(http_server_port[1])
    yield made
    made.close()
