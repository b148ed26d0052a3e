"""Purchases, holds and purchases of holds share calls, and each gets an answer of its own."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tornado.httpclient import HTTPResponse

from api.settings import Settings
from loadtests.harness import postgres
from tests.http.conftest import Client, Served
from tests.http.wire import until

BATCHING: dict[str, dict[str, Any]] = {
    "many options per call": {},
    "one option per call": {"batch_options": "one"},
    "one item per call": {"batch_size": 1},
    "small calls": {"batch_size": 3},
}


@pytest.fixture(params=BATCHING)
def batching(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def settings(settings: Settings, batching: str) -> Settings:
    return replace(settings, **BATCHING[batching])


def of(quantity: int) -> dict[str, Any]:
    """The body of a purchase or hold of a user of its own."""
    return {"quantity": quantity, "user_id": str(uuid.uuid4())}


class Sale:
    """Requests for an option of 20 tickets, of which a user may have 4; and what is right."""

    def __init__(self, client: Client, option: str) -> None:
        self._client = client
        self.option = option
        self.requests: list[tuple[str, Any, dict[str, str]]] = []
        self.right: list[tuple[int, str | None]] = []

    @classmethod
    async def prepare(cls, client: Client) -> Sale:
        option = await client.new_option(20, max_per_user=4)
        sale = cls(client, option)
        stored, key = of(1), {"Idempotency-Key": "a"}
        await client.post(f"{option}/purchases", stored, key)
        released = await client.new_hold(option, 1, str(uuid.uuid4()))
        await client.delete(released)
        for number in range(3):
            hold = await client.new_hold(option, 2, str(uuid.uuid4()))
            sale.add(f"{option}/purchases", of(1 + number % 2), 201)
            sale.add(f"{option}/holds", of(1 + number % 2), 201)
            sale.add(f"{hold}/purchase", None, 201)
        sale.add(f"{option}/purchases", stored, 201, key=key)
        sale.add(
            f"{option}/purchases", {**stored, "quantity": 2}, 422, "idempotency_key_reused", key
        )
        for kind in ("purchases", "holds"):
            sale.add(f"{option}/{kind}", of(5), 409, "limit_reached")
        sale.add(f"{released}/purchase", None, 409, "hold_released")
        sale.add(f"{option}/holds/{uuid.uuid4()}/purchase", None, 404, "not_found")
        return sale

    def add(
        self,
        path: str,
        body: Any,
        status: int,
        code: str | None = None,
        key: dict[str, str] | None = None,
    ) -> None:
        self.requests.append((path, body, key or {}))
        self.right.append((status, code))

    def send(self) -> list[asyncio.Future[HTTPResponse]]:
        return [asyncio.ensure_future(self._client.post(*each)) for each in self.requests]

    def check(self, answers: list[HTTPResponse]) -> None:
        """Each request has the answer to itself, and none that is another's."""
        assert [
            (answer.code, json.loads(answer.body)["code"] if answer.code >= 400 else None)
            for answer in answers
        ] == self.right
        for (path, body, key), answer in zip(self.requests, answers, strict=True):
            details = json.loads(answer.body) if answer.body else {}
            if path.endswith("/purchase") and answer.code == 201:
                purchase = path.removesuffix("/purchase").replace("/holds/", "/purchases/")
                assert answer.headers["Location"] == purchase
            if path.endswith("/holds") and answer.code == 201:
                assert {name: details[name] for name in body} == body
                assert answer.headers["Location"] == f"{path}/{details['id']}"
            if details.get("code") == "limit_reached":
                assert (details["limit"], details["left_for_user"]) == (4, 4)
            assert ("Idempotent-Replayed" in answer.headers) == bool(key and answer.code == 201)

    async def check_numbers(self) -> None:
        # 1 before, 4 in purchases, 6 in purchases of holds; 4 in holds.
        shown = json.loads((await self._client.get(f"{self.option}/availability")).body)
        counted = [shown[name] for name in ("capacity", "sold", "held", "available")]
        assert counted == [20, 11, 4, 5]


async def test_each_gets_its_own_answer_and_the_numbers_add_up(
    client: Client, served: Served, database: str, batching: str
) -> None:
    sales = [await Sale.prepare(client) for _ in range(2)]
    with postgres.connect(database) as locker:
        with locker.transaction():
            lock_options(locker)
            sent = [sale.send() for sale in sales]
            await until(lambda: served.server.in_flight == sum(map(len, sent)))
        answers = [await asyncio.gather(*each) for each in sent]

        for sale, each in zip(sales, answers, strict=True):
            sale.check(each)
            await sale.check_numbers()
        assert locker.execute("SELECT * FROM ticketing.audit_allocations()").fetchall() == []
        if "batch_size" not in BATCHING[batching]:
            # What is stored by one call is stored at one moment.
            moments = "SELECT count(DISTINCT created_at) < count(*) FROM ticketing.purchases"
            assert postgres.value(locker, moments)


@pytest.mark.parametrize("batching", ["many options per call"])
@pytest.mark.parametrize("kind", ["purchases", "holds"])
async def test_what_is_stored_shares_a_call_with_what_is_refused(
    client: Client, served: Served, database: str, kind: str
) -> None:
    option = await client.new_option(10)
    stored, key = of(1), {"Idempotency-Key": "a"}
    first = await client.post(f"{option}/{kind}", stored, key)
    await client.patch(option, {"paused": True})
    with postgres.connect(database) as locker:
        with locker.transaction():
            lock_options(locker)
            sent = [
                asyncio.ensure_future(client.post(f"{option}/{kind}", *each))
                for each in ((of(1),), (stored, key), (of(1),), (stored, key))
            ]
            await until(lambda: served.server.in_flight == len(sent))
        answers = await asyncio.gather(*sent)

    assert [answer.code for answer in answers] == [409, 201, 409, 201]
    assert {json.loads(answer.body)["reason"] for answer in answers[::2]} == {"paused"}
    assert {answer.headers["Location"] for answer in answers[1::2]} == {first.headers["Location"]}


def lock_options(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
