from __future__ import annotations

import asyncio
import random
import uuid

import pytest

from loadtests.harness import postgres
from tests.http.conftest import Client

BUYERS = 64


async def buy_until_refused(client: Client, option: str, numbers: random.Random) -> int:
    """Buy 1 to 5 tickets at a time until refused; return how many the buyer got."""
    bought = 0
    while True:
        quantity = numbers.randint(1, 5)
        body = {"quantity": quantity, "user_id": str(uuid.UUID(int=numbers.getrandbits(128)))}
        answer = await client.post(f"{option}/purchases", body)
        if answer.code == 409:
            return bought
        assert answer.code == 201
        bought += quantity


async def test_many_buyers_get_no_more_than_was_on_sale_and_nothing_is_lost(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=1000)

    bought = await asyncio.gather(
        *(buy_until_refused(client, option, random.Random(seed)) for seed in range(BUYERS))
    )

    left = await client.left(option)
    assert 0 <= left < 5
    assert sum(bought) == 1000 - left
    # It really was a race: most buyers got something.
    assert sum(map(bool, bought)) > BUYERS / 2
    with postgres.connect(database) as connection:
        assert connection.execute("SELECT * FROM ticketing.audit_allocations()").fetchall() == []
        stored = "SELECT sum(quantity)::integer FROM ticketing.purchases"
        assert postgres.value(connection, stored) == sum(bought)


@pytest.mark.parametrize("allocation", [1, 10])
async def test_as_many_buyers_get_a_ticket_as_there_are_tickets(
    client: Client, database: str, allocation: int
) -> None:
    option = await client.new_option(allocation)

    answers = await asyncio.gather(
        *(
            client.post(f"{option}/purchases", {"quantity": 1, "user_id": str(uuid.uuid4())})
            for _ in range(BUYERS)
        )
    )

    codes = sorted(answer.code for answer in answers)
    assert codes == [201] * allocation + [409] * (BUYERS - allocation)
    assert await client.left(option) == 0
    with postgres.connect(database) as connection:
        assert postgres.value(connection, "SELECT count(*) FROM ticketing.purchases") == allocation


async def test_the_allocation_only_ever_falls_while_many_buy(client: Client) -> None:
    option = await client.new_option(allocation=300)
    numbers = [random.Random(seed) for seed in range(16)]
    buying = asyncio.gather(*(buy_until_refused(client, option, each) for each in numbers))

    lefts = [await client.left(option)]
    while not buying.done():
        lefts.append(await client.left(option))
    bought = await buying
    lefts.append(await client.left(option))

    assert lefts == sorted(lefts, reverse=True)
    assert all(0 <= left <= 300 for left in lefts)
    assert lefts[-1] == 300 - sum(bought)
    assert len(set(lefts)) > 3
