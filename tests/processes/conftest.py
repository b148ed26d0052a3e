"""Services with databases of their own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from loadtests.harness import service
from loadtests.harness.service import Service

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


class Answer:
    """The answer to one request."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def code(self) -> str:
        """The problem's code."""
        code: str = json.loads(self.body)["code"]
        return code


class Buyer:
    """Sends requests, each over a new connection, in threads of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._threads = ThreadPoolExecutor(64)

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(
                method, path, sent, {"Content-Type": "application/json", **(headers or {})}
            )
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def new_option(self, allocation: int, **members: object) -> str:
        """Create a ticket option, and return its path."""
        new = {"name": "a", "desc": "b", "allocation": allocation, **members}
        answer = self.send("POST", "/ticket_options", new)
        assert answer.status == 201
        location = answer.headers["Location"]
        assert location
        return location

    def left(self, option: str) -> int:
        allocation: int = json.loads(self.send("GET", option).body)["allocation"]
        return allocation

    def purchase(self, option: str, quantity: int = 1) -> Answer:
        return self.send("POST", f"{option}/purchases", {"quantity": quantity, "user_id": USER})

    def start_purchase(self, option: str, quantity: int = 1) -> Future[Answer]:
        """Start a purchase, without waiting for the answer."""
        return self._threads.submit(self.purchase, option, quantity)

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def running_service(database: str) -> Iterator[Service]:
    """A service with two workers, ready."""
    with service.running(DATABASE_URL=database, WORKERS="2") as started:
        yield started


@pytest.fixture
def buyer(running_service: Service) -> Iterator[Buyer]:
    new_buyer = Buyer(running_service.port)
    yield new_buyer
    new_buyer.close()
