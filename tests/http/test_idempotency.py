from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from api.ids import option_uuid
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import wait_for
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

OPTION = {"name": "example", "desc": "sample description", "allocation": 10}

WELL_FORMED = {
    "bare": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    "quoted": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
    "one character": "x",
    "one character, quoted": '"x"',
    "255 characters": "x" * 255,
    "255 characters, quoted": f'"{"x" * 255}"',
    "255 quotes, each escaped": '"' + '\\"' * 255 + '"',
    "with spaces": "one two  three",
    "with spaces, quoted": '" one two "',
    "with commas": "a,b, c",
    "with a quote in the middle": 'a"b',
    "a space, quoted": '" "',
    "every printable ASCII character": "".join(map(chr, range(0x23, 0x7F))),
}

MALFORMED = {
    "empty": "",
    "empty, quoted": '""',
    "256 characters": "x" * 256,
    "256 characters, quoted": f'"{"x" * 256}"',
    "without the closing quote": '"abc',
    "only a quote": '"',
    "a quote inside quotes": '"a"b"',
    "something after the quotes": '"abc"; version=1',
    "two, quoted": '"abc", "def"',
    "a backslash that escapes nothing": '"a\\b"',
    "a backslash before the closing quote": '"abc\\"',
    "a tab": "a\tb",
    "not ASCII": "caf\u00e9",
    "not ASCII, quoted": '"caf\u00e9"',
}


async def purchase(
    client: Client,
    option: str,
    key: str | None,
    *,
    quantity: int = 2,
    user_id: str = USER,
    prefer: str | None = None,
) -> HTTPResponse:
    headers = {"Idempotency-Key": key, "Prefer": prefer}
    return await client.post(
        f"{option}/purchases",
        {"quantity": quantity, "user_id": user_id},
        {name: value for name, value in headers.items() if value is not None},
    )


async def create(client: Client, key: str | None, **members: Any) -> HTTPResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post("/ticket_options", {**OPTION, **members}, headers)


KEYS_OF_ITS_OWN = pytest.mark.usefixtures("database")
"""For tests with keys of options: a database has one set of them, for all clients."""


def replayed(answer: HTTPResponse) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def code(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)["code"]


async def test_the_same_key_and_body_take_tickets_once_and_get_the_same_answer(
    client: Client,
) -> None:
    option = await client.new_option(allocation=10)

    first = await purchase(client, option, "key")
    retried = [await purchase(client, option, "key") for _ in range(3)]

    assert first.code == 201
    assert "Idempotent-Replayed" not in first.headers
    for answer in retried:
        assert answer.code == 201
        assert answer.body == first.body == b""
        assert answer.headers["Location"] == first.headers["Location"]
        assert replayed(answer)
    assert await client.left(option) == 8


async def test_a_purchase_made_with_a_key_can_be_read(client: Client) -> None:
    option = await client.new_option(allocation=10)
    location = (await purchase(client, option, "key", quantity=3)).headers["Location"]

    stored = json.loads((await client.get(location)).body)

    assert (stored["quantity"], stored["user_id"]) == (3, USER)


async def test_the_same_key_with_a_different_quantity_is_refused_and_takes_nothing(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)
    await purchase(client, option, "key", quantity=2)

    for quantity in (1, 3, 8, 9, 2_147_483_647):
        with subtests.test(quantity=quantity):
            answer = await purchase(client, option, "key", quantity=quantity)

            assert answer.code == 422
            assert code(answer) == "idempotency_key_reused"
            assert "Location" not in answer.headers

    assert await client.left(option) == 8
    assert replayed(await purchase(client, option, "key", quantity=2))


async def test_a_key_is_the_same_bare_and_quoted(client: Client, subtests: pytest.Subtests) -> None:
    for one, other in {
        "abc": '"abc"',
        "a b": '"a b"',
        'a"b': '"a\\"b"',
        "a\\b": '"a\\\\b"',
        "a\\\\b": '"a\\\\\\\\b"',
    }.items():
        with subtests.test(one):
            option = await client.new_option(allocation=10)

            first = await purchase(client, option, one)
            second = await purchase(client, option, other)

            assert second.headers["Location"] == first.headers["Location"]
            assert replayed(second)
            assert await client.left(option) == 8


async def test_a_different_key_is_a_different_purchase(client: Client) -> None:
    option = await client.new_option(allocation=100)
    keys = ["key", "Key", "key2", "k ey", "k  ey", '" key"', '"key "', "key,"]

    answers = [await purchase(client, option, key) for key in keys]

    assert {answer.code for answer in answers} == {201}
    assert not any(replayed(answer) for answer in answers)
    assert len({answer.headers["Location"] for answer in answers}) == len(keys)
    assert await client.left(option) == 100 - 2 * len(keys)


async def test_each_user_has_keys_of_their_own(client: Client) -> None:
    option = await client.new_option(allocation=10)

    first = await purchase(client, option, "key")
    other = await purchase(client, option, "key", user_id=str(uuid.uuid4()), quantity=3)

    assert other.code == 201
    assert not replayed(other)
    assert other.headers["Location"] != first.headers["Location"]
    assert await client.left(option) == 5


async def test_each_option_has_keys_of_its_own(client: Client) -> None:
    options = [await client.new_option(allocation=10) for _ in range(2)]

    answers = [await purchase(client, option, "key") for option in options]

    assert [answer.code for answer in answers] == [201, 201]
    assert not any(replayed(answer) for answer in answers)
    assert [await client.left(option) for option in options] == [8, 8]


async def test_the_case_of_ids_does_not_make_a_different_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)
    shouted = f"/ticket_options/{option.rpartition('/')[2].upper()}"

    first = await purchase(client, option, "key")
    second = await purchase(client, shouted, "key", user_id=USER.upper())

    assert replayed(second)
    assert second.headers["Location"] == first.headers["Location"]
    assert await client.left(option) == 8


async def test_a_retry_is_replayed_even_after_the_last_ticket_is_sold(client: Client) -> None:
    option = await client.new_option(allocation=5)
    first = await purchase(client, option, "key", quantity=4)
    await purchase(client, option, None, quantity=1)

    retried = await purchase(client, option, "key", quantity=4)

    assert (retried.code, replayed(retried)) == (201, True)
    assert retried.headers["Location"] == first.headers["Location"]
    assert await client.left(option) == 0


async def test_a_refused_attempt_leaves_its_key_free(client: Client) -> None:
    option = await client.new_option(allocation=2)

    refused = [
        await purchase(client, option, "key", quantity=3),
        await purchase(client, option, "key", quantity=0),
        await purchase(client, option, "key", user_id="me"),
        await purchase(client, f"/ticket_options/{uuid.uuid4()}", "key"),
    ]
    retried = await purchase(client, option, "key", quantity=2)

    assert [answer.code for answer in refused] == [409, 422, 422, 404]
    assert retried.code == 201
    assert not replayed(retried)
    assert await client.left(option) == 0


async def test_concurrent_purchases_with_one_key_take_tickets_once(client: Client) -> None:
    option = await client.new_option(allocation=100)

    answers = await asyncio.gather(*(purchase(client, option, "key") for _ in range(40)))

    assert {answer.code for answer in answers} == {201}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    assert await client.left(option) == 98


async def test_only_one_of_several_quantities_with_the_same_key_is_purchased(
    client: Client,
) -> None:
    option = await client.new_option(allocation=100)

    answers = await asyncio.gather(
        *(purchase(client, option, "key", quantity=quantity) for quantity in range(1, 21))
    )

    assert sorted(answer.code for answer in answers) == [201, *[422] * 19]
    assert {code(answer) for answer in answers if answer.code == 422} == {"idempotency_key_reused"}
    [bought] = [n for n, answer in enumerate(answers, start=1) if answer.code == 201]
    assert await client.left(option) == 100 - bought


async def test_a_replay_returns_the_same_representation(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answers = [
        await purchase(client, option, "key", prefer="return=representation") for _ in range(2)
    ]

    assert answers[1].body == answers[0].body != b""
    assert [replayed(answer) for answer in answers] == [False, True]


async def test_well_formed_keys_are_accepted(client: Client, subtests: pytest.Subtests) -> None:
    for case, key in WELL_FORMED.items():
        option = await client.new_option(allocation=10)
        with subtests.test(case):
            first = await purchase(client, option, key)
            second = await purchase(client, option, key)

            assert (first.code, second.code) == (201, 201)
            assert second.headers["Location"] == first.headers["Location"]
            assert await client.left(option) == 8


async def test_a_malformed_key_is_refused_and_takes_nothing(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)

    for case, key in MALFORMED.items():
        with subtests.test(case):
            answer = await purchase(client, option, key)

            assert answer.code == 400
            assert code(answer) == "malformed_header"
            assert "Idempotency-Key" in json.loads(answer.body)["detail"]

    assert await client.left(option) == 10


@KEYS_OF_ITS_OWN
async def test_the_same_key_and_option_create_one_option_and_get_the_same_answer(
    client: Client,
) -> None:
    first = await create(client, "key")
    retried = [await create(client, "key") for _ in range(3)]

    assert first.code == 201
    assert not replayed(first)
    for answer in retried:
        assert answer.code == 201
        assert answer.body == first.body
        assert answer.headers["Location"] == first.headers["Location"]
        assert replayed(answer)
    assert (await client.get(first.headers["Location"])).body == first.body


@KEYS_OF_ITS_OWN
async def test_a_creation_retried_after_sales_is_answered_as_it_was_created(
    client: Client,
) -> None:
    first = await create(client, "key")
    option = first.headers["Location"]
    for left in (7, 0):
        await purchase(client, option, None, quantity=await client.left(option) - left)

        retried = await create(client, "key")

        assert (retried.code, retried.body) == (201, first.body)
        assert replayed(retried)
        assert await client.left(option) == left


@KEYS_OF_ITS_OWN
@pytest.mark.parametrize(
    "members", [{"name": "other"}, {"desc": ""}, {"allocation": 11}, {"allocation": 8}]
)
async def test_the_same_key_with_a_different_option_is_refused_and_changes_nothing(
    client: Client, members: dict[str, Any]
) -> None:
    first = await create(client, "key")
    option = first.headers["Location"]
    await purchase(client, option, None, quantity=2)
    before = (await client.get(option)).body

    answer = await create(client, "key", **members)

    assert (answer.code, code(answer)) == (422, "idempotency_key_reused")
    assert "Location" not in answer.headers
    assert (await client.get(option)).body == before
    assert replayed(await create(client, "key"))


@KEYS_OF_ITS_OWN
async def test_a_different_key_or_none_makes_a_different_option(client: Client) -> None:
    keys = ["key", "Key", "key2", "k ey", '" key"', None, None]

    answers = [await create(client, key) for key in keys]

    assert {answer.code for answer in answers} == {201}
    assert not any(replayed(answer) for answer in answers)
    assert len({answer.headers["Location"] for answer in answers}) == len(keys)


@KEYS_OF_ITS_OWN
async def test_an_options_key_is_the_same_bare_and_quoted(client: Client) -> None:
    first, second = await create(client, "a b"), await create(client, '"a b"')

    assert replayed(second)
    assert second.headers["Location"] == first.headers["Location"]


@KEYS_OF_ITS_OWN
async def test_a_refused_creation_leaves_its_key_free(client: Client) -> None:
    refused = [
        await create(client, "key", name=""),
        await create(client, "key", allocation=-1),
        await client.request(
            "POST", "/ticket_options", raw_body=b"{", headers={"Idempotency-Key": "key"}
        ),
    ]
    retried = await create(client, "key")

    assert [answer.code for answer in refused] == [422, 422, 400]
    assert retried.code == 201
    assert not replayed(retried)


async def test_a_malformed_key_creates_nothing(
    client: Client, database: str, subtests: pytest.Subtests
) -> None:
    for case, key in MALFORMED.items():
        with subtests.test(case):
            answer = await create(client, key)

            assert (answer.code, code(answer)) == (400, "malformed_header")

    with connect(database) as connection:
        assert value(connection, "SELECT count(*) FROM ticketing.ticket_options") == 0


async def test_concurrent_creations_with_one_key_make_one_option(
    client: Client, database: str
) -> None:
    answers = await asyncio.gather(*(create(client, "key") for _ in range(40)))

    assert {answer.code for answer in answers} == {201}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    with connect(database) as connection:
        assert value(connection, "SELECT count(*) FROM ticketing.ticket_options") == 1


@KEYS_OF_ITS_OWN
async def test_only_one_of_several_options_with_the_same_key_is_created(client: Client) -> None:
    answers = await asyncio.gather(
        *(create(client, "key", allocation=allocation) for allocation in range(20))
    )

    assert sorted(answer.code for answer in answers) == [201, *[422] * 19]
    [created] = [n for n, answer in enumerate(answers) if answer.code == 201]
    assert await client.left(answers[created].headers["Location"]) == created


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "rolled back"])
async def test_a_retried_creation_waits_for_the_first_one(
    client: Client, database: str, is_committed: bool
) -> None:
    """The first one is in the middle of a transaction, in psql."""
    option_id = option_uuid("key")
    with connect(database) as first, connect(database) as observer:
        first.execute("BEGIN")
        first.execute(
            "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s)",
            (option_id, *OPTION.values()),
        )
        retried = asyncio.ensure_future(create(client, "key"))
        blocked = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        await asyncio.to_thread(wait_for, lambda: value(observer, blocked) == 1, "the second")
        assert not retried.done()
        first.execute("COMMIT" if is_committed else "ROLLBACK")
        answer = await retried

    assert answer.code == 201
    assert answer.headers["Location"] == f"/ticket_options/{option_id}"
    assert replayed(answer) == is_committed


@KEYS_OF_ITS_OWN
async def test_options_and_purchases_have_keys_of_their_own(client: Client) -> None:
    created = await create(client, "key")
    option = created.headers["Location"]

    bought = await purchase(client, option, "key")

    assert (created.code, bought.code) == (201, 201)
    assert not replayed(bought)
    assert replayed(await create(client, "key"))
    assert replayed(await purchase(client, option, "key"))
    assert await client.left(option) == 8


@KEYS_OF_ITS_OWN
async def test_a_key_always_gives_the_same_option_id(client: Client) -> None:
    """Stored ids were derived this way, so no later version may derive different ones."""
    answer = await create(client, "key")

    assert answer.headers["Location"] == "/ticket_options/cbf0d7ef-fcf4-5cdf-b52a-3329e0c588e3"
