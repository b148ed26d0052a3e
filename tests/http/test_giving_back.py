from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import USER, Client


async def test_a_cancelled_purchase_gives_all_its_tickets_back_once(client: Client) -> None:
    option = await client.new_option(allocation=10)
    path = await client.new_purchase(option, 4)

    answers = await asyncio.gather(*[client.delete(path) for _ in range(5)])

    assert {(answer.code, answer.body) for answer in answers} == {(204, b"")}
    assert await client.left(option) == 10
    purchase = json.loads((await client.get(path)).body)
    assert (purchase["quantity"], purchase["purchased_quantity"]) == (0, 4)
    assert purchase["cancelled_at"] >= purchase["created_at"]


async def test_a_part_is_given_back_by_saying_what_is_to_remain(client: Client) -> None:
    option = await client.new_option(allocation=10)
    path = await client.new_purchase(option, 4)
    before = json.loads((await client.get(path)).body)

    answers = [await client.patch(path, {"quantity": 1}) for _ in range(2)]

    assert {answer.code for answer in answers} == {200}
    assert answers[0].body == answers[1].body == (await client.get(path)).body
    after = json.loads(answers[0].body)
    assert after == {
        **before,
        "quantity": 1,
        "purchased_quantity": 4,
        "cancelled_at": after["cancelled_at"],
    }
    assert await client.left(option) == 9


async def test_a_purchase_cannot_be_kept_larger_than_it_is(client: Client) -> None:
    option = await client.new_option(allocation=10)
    path = await client.new_purchase(option, 4)
    await client.patch(path, {"quantity": 2})

    answer = await client.patch(path, {"quantity": 3})

    assert answer.code == 422
    assert json.loads(answer.body)["errors"] == [
        {"pointer": "/quantity", "detail": "must be at most 2, which is what the purchase has"}
    ]
    assert await client.left(option) == 8


async def test_keeping_everything_changes_nothing(client: Client) -> None:
    path = await client.new_purchase(await client.new_option(allocation=10), 4)
    before = (await client.get(path)).body

    answer = await client.patch(path, {"quantity": 4})

    assert (answer.code, answer.body) == (200, before)


async def test_a_purchased_hold_is_given_back_as_any_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)
    hold = await client.new_hold(option, 4)
    path = (await client.post(f"{hold}/purchase")).headers["Location"]

    assert (await client.delete(path)).code == 204
    assert await client.left(option) == 10


async def test_a_replay_of_a_purchase_that_was_given_back_is_still_answered(
    client: Client,
) -> None:
    option = await client.new_option(allocation=10)
    body, key = {"quantity": 4, "user_id": USER}, {"Idempotency-Key": "a"}
    path = (await client.post(f"{option}/purchases", body, key)).headers["Location"]
    await client.delete(path)

    again = await client.post(f"{option}/purchases", body, key)

    assert (again.code, again.headers["Location"]) == (201, path)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await client.left(option) == 10


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/quantity"]),
        ({"quantity": -1}, ["/quantity"]),
        ({"quantity": None}, ["/quantity"]),
        ({"quantity": "1", "user_id": USER, "a/b~": 1}, ["/quantity", "/user_id", "/a~1b~0"]),
    ],
)
async def test_each_member_that_is_wrong_is_named(
    client: Client, body: dict[str, Any], pointers: list[str]
) -> None:
    path = await client.new_purchase(await client.new_option(allocation=10), 4)

    answer = await client.patch(path, body)

    assert answer.code == 422
    assert [each["pointer"] for each in json.loads(answer.body)["errors"]] == pointers


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    option = await client.new_option(allocation=10)
    path = f"{option}/purchases/{uuid.uuid4()}"

    assert (await client.delete(path)).code == 404
    assert (await client.patch(path, {"quantity": 0})).code == 404
