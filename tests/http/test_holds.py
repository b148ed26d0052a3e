from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import USER, Client, move_clock

NOBODY = "00000000-0000-4000-8000-000000000000"


def hold_of(quantity: int, **members: Any) -> dict[str, Any]:
    return {"quantity": quantity, "user_id": USER, **members}


async def state_of(client: Client, hold: str) -> str:
    state: str = json.loads((await client.get(hold)).body)["state"]
    return state


async def test_a_hold_takes_tickets_and_can_be_read(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answer = await client.post(f"{option}/holds", hold_of(2, user_id=USER.upper()))

    hold = json.loads(answer.body)
    assert answer.code == 201
    assert answer.headers["Location"] == f"{option}/holds/{hold['id']}"
    assert list(hold) == [
        "id",
        "ticket_option_id",
        "user_id",
        "quantity",
        "state",
        "created_at",
        "expires_at",
    ]
    assert (hold["user_id"], hold["quantity"], hold["state"]) == (USER, 2, "held")
    assert json.loads((await client.get(answer.headers["Location"])).body) == hold
    assert await client.left(option) == 8


async def test_a_purchased_hold_is_the_purchase_with_its_id(client: Client) -> None:
    option = await client.new_option(allocation=10)
    hold = await client.new_hold(option, 2)

    answer = await client.post(f"{hold}/purchase")

    assert (answer.code, answer.body) == (201, b"")
    assert answer.headers["Location"] == hold.replace("/holds/", "/purchases/")
    assert "Idempotent-Replayed" not in answer.headers
    purchase = json.loads((await client.get(answer.headers["Location"])).body)
    assert (purchase["quantity"], purchase["user_id"]) == (2, USER)
    assert await state_of(client, hold) == "purchased"
    assert await client.left(option) == 8


async def test_a_hold_is_purchased_once_however_often_that_is_sent(client: Client) -> None:
    option = await client.new_option(allocation=10)
    hold = await client.new_hold(option, 2)

    answers = await asyncio.gather(*[client.post(f"{hold}/purchase", {}) for _ in range(10)])

    assert {answer.code for answer in answers} == {201}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
    assert sorted(map(str, replayed)) == ["None"] + 9 * ["true"]
    assert await client.left(option) == 8


async def test_a_released_hold_gives_its_tickets_back_once_and_stays_released(
    client: Client,
) -> None:
    option = await client.new_option(allocation=10)
    hold = await client.new_hold(option, 2)

    answers = [await client.delete(hold) for _ in range(2)]
    refused = await client.post(f"{hold}/purchase")

    assert [(answer.code, answer.body) for answer in answers] == 2 * [(204, b"")]
    assert await client.left(option) == 10
    assert (refused.code, json.loads(refused.body)["code"]) == (409, "hold_released")
    assert await state_of(client, hold) == "released"


async def test_a_purchased_hold_cannot_be_released(client: Client) -> None:
    option = await client.new_option(allocation=10)
    hold = await client.new_hold(option, 2)
    await client.post(f"{hold}/purchase")

    refused = await client.delete(hold)

    assert (refused.code, json.loads(refused.body)["code"]) == (409, "hold_purchased")
    assert await client.left(option) == 8


async def test_a_hold_that_ran_out_is_available_to_everybody_at_once(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=2)
    hold = await client.new_hold(option, 2)
    full = await client.post(f"{option}/purchases", hold_of(1))
    move_clock(database, 601)

    assert json.loads(full.body)["available"] == 0
    assert await state_of(client, hold) == "expired"
    assert await client.left(option) == 2
    await client.new_purchase(option, 2)
    late = await client.post(f"{hold}/purchase")
    assert (late.code, json.loads(late.body)["code"]) == (409, "hold_expired")
    released = await client.delete(hold)
    late = await client.post(f"{hold}/purchase")
    assert released.code == 204
    assert (late.code, json.loads(late.body)["code"]) == (409, "hold_released")
    assert await client.left(option) == 0


async def test_a_hold_that_ran_out_can_be_purchased_while_its_tickets_are_free(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=2)
    hold = await client.new_hold(option, 2)
    move_clock(database, 601)

    assert (await client.post(f"{hold}/purchase")).code == 201
    assert await client.left(option) == 0


async def test_a_hold_lasts_for_as_long_as_was_asked(client: Client, database: str) -> None:
    option = await client.new_option(allocation=2)
    answer = await client.post(f"{option}/holds", hold_of(2, expires_in_seconds=86_400))
    move_clock(database, 86_000)

    assert await state_of(client, answer.headers["Location"]) == "held"
    move_clock(database, 86_401)
    assert await state_of(client, answer.headers["Location"]) == "expired"


async def test_a_key_makes_one_hold_which_is_answered_as_it_is_now(client: Client) -> None:
    option = await client.new_option(allocation=10)
    key = {"Idempotency-Key": "a"}

    first = await client.post(f"{option}/holds", hold_of(2), key)
    await client.delete(first.headers["Location"])
    again = await client.post(f"{option}/holds", hold_of(2), key)
    purchase = await client.post(f"{option}/purchases", hold_of(2), key)
    different = [
        await client.post(f"{option}/holds", hold_of(3), key),
        await client.post(f"{option}/holds", hold_of(2, expires_in_seconds=60), key),
    ]

    assert "Idempotent-Replayed" not in first.headers
    assert (again.code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert json.loads(again.body) == {**json.loads(first.body), "state": "released"}
    assert purchase.code == 201
    assert "Idempotent-Replayed" not in purchase.headers
    assert {json.loads(each.body)["code"] for each in different} == {"idempotency_key_reused"}
    assert await client.left(option) == 8


async def test_concurrent_holds_take_every_ticket_once_and_the_rest_is_sold_out(
    client: Client,
) -> None:
    option = await client.new_option(allocation=10)

    answers = await asyncio.gather(
        *[client.post(f"{option}/holds", hold_of(1)) for _ in range(20)],
        *[client.post(f"{option}/purchases", hold_of(1)) for _ in range(20)],
    )

    codes = [answer.code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (10, 30)
    refusals = [json.loads(answer.body) for answer in answers if answer.code == 409]
    assert {(each["code"], each["available"]) for each in refusals} == {("sold_out", 0)}
    assert await client.left(option) == 0


@pytest.mark.parametrize("body", [hold_of(2, expires_in_seconds=each) for each in (0, 86_401, "9")])
async def test_a_time_out_of_range_is_invalid(client: Client, body: Any) -> None:
    option = await client.new_option(allocation=10)

    answer = await client.post(f"{option}/holds", body)

    assert answer.code == 422
    assert json.loads(answer.body)["errors"] == [
        {"pointer": "/expires_in_seconds", "detail": "must be an integer from 1 to 86400"}
    ]


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    option = await client.new_option(allocation=10)
    other = await client.new_option(allocation=10)
    hold = (await client.new_hold(option, 2)).replace(option, other)
    nowhere = f"/ticket_options/{uuid.uuid4()}"

    for answer in (
        await client.post(f"{nowhere}/holds", hold_of(1)),
        await client.get(hold),
        await client.delete(hold),
        await client.post(f"{hold}/purchase"),
        await client.post(f"{nowhere}/holds/{NOBODY}/purchase"),
    ):
        assert (answer.code, json.loads(answer.body)["code"]) == (404, "not_found")


@pytest.mark.parametrize(("body", "code"), [(b"{}", 201), (b"[]", 400), (b"{", 400)])
async def test_the_purchase_of_a_hold_takes_no_body_or_an_object(
    client: Client, body: bytes, code: int
) -> None:
    hold = await client.new_hold(await client.new_option(allocation=10), 2)

    answer = await client.request("POST", f"{hold}/purchase", raw_body=body)

    assert answer.code == code
