"""A call whose outcome is unknown is sent again, and what is refused then stays refused."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.ids import hold_uuid, purchase_uuid
from api.settings import Settings
from loadtests.faults.proxy import Moment, Proxy
from loadtests.harness import postgres
from tests.http.conftest import USER, Client, Served, serving
from tests.http.wire import until

KEY = {"Idempotency-Key": "a"}
FIRST_SENDINGS: dict[str, tuple[str, Callable[[str, str, str], str]]] = {
    "purchases": (
        "SELECT outcomes FROM ticketing.try_purchase_tickets("
        "%s::uuid, ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{1}', 1000)",
        purchase_uuid,
    ),
    "holds": (
        "SELECT outcomes FROM ticketing.try_hold_tickets("
        "%s::uuid, ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{1}', '{600}', 1000)",
        hold_uuid,
    ),
}


async def break_call(observer: psycopg.Connection[Any]) -> None:
    """Break the connection of a call that waits for a lock, once there is one."""
    broken = 0
    while not broken:
        broken = observer.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'ticket-allocation'"
            " AND wait_event_type = 'Lock'"
        ).rowcount
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", FIRST_SENDINGS)
async def test_a_first_sending_that_comes_late_takes_nothing_that_was_refused_meanwhile(
    client: Client, database: str, kind: str
) -> None:
    option = await client.new_option(allocation=1)
    option_id, body = option.rpartition("/")[2], {"quantity": 1, "user_id": USER}
    statement, make_id = FIRST_SENDINGS[kind]
    with postgres.connect(database) as observer, postgres.connect(database) as other:
        with other.transaction():
            other.execute("SELECT ticketing.purchase_tickets(%s, %s, 1)", (option_id, uuid.uuid4()))
            asked = asyncio.ensure_future(client.post(f"{option}/{kind}", body, KEY))
            await break_call(observer)
        refused = await asked
        [sold] = json.loads((await client.get(f"{option}/purchases")).body)["items"]
        await client.delete(f"{option}/purchases/{sold['id']}")

        [[late]] = observer.execute(
            statement, (option_id, make_id(option_id, USER, "a"), USER)
        ).fetchall()

    assert (refused.code, json.loads(refused.body)["code"]) == (409, "sold_out")
    assert late == ["refused_before"]
    assert await client.left(option) == 1
    # A new request with the same key is decided anew.
    again = await client.post(f"{option}/{kind}", body, KEY)
    assert again.code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert await client.left(option) == 0


@asynccontextmanager
async def serving_through_a_proxy(
    database: str, settings: Settings
) -> AsyncIterator[tuple[Proxy, Served, Client]]:
    """A service that is ready, and what its connections to the database go through."""
    with Proxy(f"{conninfo_to_dict(database)['host']}/.s.PGSQL.5432") as proxy:
        url = make_conninfo(database, host="127.0.0.1", port=proxy.port)
        async with serving(url, settings) as served:
            await served.readiness.wait_until_ready()
            client = Client(served.port)
            yield proxy, served, client
            client.close()


@pytest.mark.parametrize("moment", Moment)
async def test_what_is_sent_again_is_done_once(
    database: str, settings: Settings, moment: Moment
) -> None:
    body = {"quantity": 1, "user_id": USER}
    async with serving_through_a_proxy(database, settings) as (proxy, _, client):
        option = await client.new_option(10)
        held = await client.new_hold(option, 2)
        for path, sent in (
            (f"{option}/purchases", body),
            (f"{option}/holds", body),
            (f"{held}/purchase", None),
        ):
            cuts = proxy.cuts
            proxy.arm(moment)

            answer = await client.post(path, sent)

            assert proxy.cuts > cuts
            assert answer.code == 201
            assert (await client.get(answer.headers["Location"])).code == 200

        shown = json.loads((await client.get(f"{option}/availability")).body)
        assert (shown["sold"], shown["held"], shown["available"]) == (3, 1, 6)
        for kind, count in (("purchases", 2), ("holds", 2)):
            stored = json.loads((await client.get(f"{option}/{kind}")).body)["items"]
            assert len(stored) == count
    with postgres.connect(database) as observer:
        assert observer.execute("SELECT * FROM ticketing.audit_allocations()").fetchall() == []


@pytest.mark.parametrize("kind", ["purchases", "holds", "purchase"])
async def test_what_is_sent_again_and_meets_a_lock_is_answered_once_that_is_gone(
    database: str, settings: Settings, kind: str
) -> None:
    body = {"quantity": 2, "user_id": USER}
    async with serving_through_a_proxy(database, settings) as (proxy, served, client):
        other, locked = [await client.new_option(10) for _ in range(2)]
        held = await client.new_hold(locked, 2)
        path, sent = (f"{held}/{kind}", None) if kind == "purchase" else (f"{locked}/{kind}", body)
        with postgres.connect(database) as locker, postgres.connect(database) as observer:
            with locker.transaction():
                locker.execute(
                    "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE",
                    (locked.rpartition("/")[2],),
                )
                # While the first is on its way, the second is not sent alone, and will not wait.
                proxy.stall()
                first = asyncio.ensure_future(client.post(f"{other}/purchases", body))
                await until(lambda: served.server.in_flight == 1)
                second = asyncio.ensure_future(client.post(path, sent))
                await until(lambda: served.server.in_flight == 2)
                proxy.arm(Moment.BEFORE_ANSWER)
                proxy.flow()

                assert (await first).code == 201
                await until(lambda: bool(observer.execute(BLOCKED).fetchall()))
                assert proxy.cuts >= 2
                assert not second.done()
            answer = await second

        assert answer.code == 201
        shown = json.loads((await client.get(f"{locked}/availability")).body)
        right = {"purchases": (2, 2), "holds": (0, 4), "purchase": (2, 0)}
        assert (shown["sold"], shown["held"]) == right[kind]


@pytest.mark.parametrize("kind", ["purchases", "holds", "purchase"])
async def test_what_is_sent_again_and_stays_locked_may_be_stored(
    database: str, settings: Settings, kind: str
) -> None:
    """Nobody knows what became of the first sending, so "nothing was stored" would be a guess."""
    impatient = dataclasses.replace(settings, lock_timeout_seconds=0.1)
    body = {"quantity": 2, "user_id": USER}
    async with serving_through_a_proxy(database, impatient) as (proxy, served, client):
        other, locked = [await client.new_option(10) for _ in range(2)]
        held = await client.new_hold(locked, 2)
        path, sent = (f"{held}/{kind}", None) if kind == "purchase" else (f"{locked}/{kind}", body)
        with postgres.connect(database) as locker, locker.transaction():
            locker.execute(
                "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE",
                (locked.rpartition("/")[2],),
            )
            proxy.stall()
            first = asyncio.ensure_future(client.post(f"{other}/purchases", body))
            await until(lambda: served.server.in_flight == 1)
            second = asyncio.ensure_future(client.post(path, sent))
            await until(lambda: served.server.in_flight == 2)
            proxy.arm(Moment.BEFORE_ANSWER)
            proxy.flow()
            await first
            answer = await second

        assert (answer.code, json.loads(answer.body)["code"]) == (503, "unavailable")


BLOCKED = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database()
        AND application_name = 'ticket-allocation'
        AND wait_event_type = 'Lock'
"""
