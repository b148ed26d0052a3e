from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import USER, Client

FUTURE, PAST = "2999-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.000000Z"


def of(quantity: int, user_id: str = USER) -> dict[str, Any]:
    return {"quantity": quantity, "user_id": user_id}


@pytest.mark.parametrize("kind", ["purchases", "holds"])
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"paused": True}, {"reason": "paused"}),
        ({"on_sale_from": FUTURE}, {"reason": "not_yet", "on_sale_from": FUTURE}),
        ({"on_sale_until": PAST}, {"reason": "over"}),
    ],
)
async def test_what_is_not_on_sale_says_why(
    client: Client, kind: str, members: dict[str, Any], reason: dict[str, str]
) -> None:
    option = await client.new_option(10, **members)

    answer = await client.post(f"{option}/{kind}", of(2))

    problem = json.loads(answer.body)
    assert (answer.code, problem["code"]) == (409, "not_on_sale")
    assert {name: problem[name] for name in reason} == reason
    assert await client.left(option) == 10


@pytest.mark.parametrize("kind", ["purchases", "holds"])
async def test_a_purchase_has_no_more_than_its_limit(client: Client, kind: str) -> None:
    option = await client.new_option(10, max_per_purchase=2)

    answer = await client.post(f"{option}/{kind}", of(3))

    problem = json.loads(answer.body)
    assert (answer.code, problem["code"], problem["limit"]) == (409, "limit_reached", 2)
    assert (await client.post(f"{option}/{kind}", of(2))).code == 201


async def test_a_user_has_no_more_than_the_limit_in_purchases_and_holds_together(
    client: Client,
) -> None:
    option = await client.new_option(10, max_per_user=4)
    purchase = await client.new_purchase(option, 2)
    hold = await client.new_hold(option, 1)

    refused = await client.post(f"{option}/purchases", of(2))

    problem = json.loads(refused.body)
    assert (refused.code, problem["code"]) == (409, "limit_reached")
    assert (problem["limit"], problem["left_for_user"]) == (4, 1)
    assert (await client.post(f"{hold}/purchase")).code == 201
    await client.patch(purchase, {"quantity": 1})
    await client.new_purchase(option, 2)
    await client.new_purchase(option, 4, str(uuid.uuid4()))


async def test_parallel_requests_of_a_user_get_no_more_than_the_limit(client: Client) -> None:
    option = await client.new_option(1000, max_per_user=7)

    answers = await asyncio.gather(
        *[client.post(f"{option}/purchases", of(1)) for _ in range(50)],
        *[client.post(f"{option}/holds", of(1)) for _ in range(50)],
    )

    assert [answer.code for answer in answers].count(201) == 7
    assert {answer.code for answer in answers} == {201, 409}
    assert await client.left(option) == 993


async def test_a_key_that_is_stored_is_answered_as_before_though_the_sale_is_paused(
    client: Client,
) -> None:
    option = await client.new_option(10, max_per_user=2)
    hold = await client.new_hold(option, 1)
    key = {"Idempotency-Key": "a"}
    first = await client.post(f"{option}/purchases", of(1), key)
    await client.patch(option, {"paused": True})

    again = await client.post(f"{option}/purchases", of(1), key)

    assert (again.code, again.headers["Location"]) == (201, first.headers["Location"])
    assert (await client.post(f"{hold}/purchase")).code == 201


async def test_what_was_refused_may_be_tried_again_with_the_same_key(client: Client) -> None:
    option = await client.new_option(10, paused=True)
    key = {"Idempotency-Key": "a"}

    refused = await client.post(f"{option}/purchases", of(1), key)
    await client.patch(option, {"paused": False})
    sold = await client.post(f"{option}/purchases", of(1), key)

    assert (refused.code, sold.code) == (409, 201)
    assert "Idempotent-Replayed" not in sold.headers


async def test_sold_out_says_what_was_left(client: Client) -> None:
    option = await client.new_option(3)

    problem = json.loads((await client.post(f"{option}/purchases", of(5))).body)

    assert (problem["code"], problem["available"]) == ("sold_out", 3)
