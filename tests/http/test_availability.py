from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import Client, move_clock


async def availability(client: Client, option: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await client.get(f"{option}/availability")).body)
    return found


async def test_it_follows_sales_holds_returns_and_changes(client: Client) -> None:
    option = await client.new_option(10)
    purchase = await client.new_purchase(option, 3)
    hold = await client.new_hold(option, 2)

    before = await availability(client, option)
    await client.patch(purchase, {"quantity": 1})
    await client.post(f"{hold}/purchase")
    await client.patch(option, {"capacity": 20})
    after = await availability(client, option)

    assert list(before) == ["capacity", "sold", "held", "available", "on_sale"]
    assert list(before.values()) == [10, 3, 2, 5, True]
    assert list(after.values()) == [20, 3, 0, 17, True]


async def test_a_hold_that_ran_out_is_available(client: Client, database: str) -> None:
    option = await client.new_option(10)
    await client.new_hold(option, 2)
    move_clock(database, 601)

    assert list((await availability(client, option)).values()) == [10, 0, 0, 10, True]


@pytest.mark.parametrize(
    "members",
    [
        {"paused": True},
        {"on_sale_from": "2999-01-01T00:00:00Z"},
        {"on_sale_until": "2020-01-01T00:00:00Z"},
    ],
)
async def test_it_says_whether_the_option_is_on_sale(
    client: Client, members: dict[str, Any]
) -> None:
    option = await client.new_option(10, **members)

    assert not (await availability(client, option))["on_sale"]


async def test_an_option_that_is_not_there_has_none(client: Client) -> None:
    assert (await client.get(f"/ticket_options/{uuid.uuid4()}/availability")).code == 404
