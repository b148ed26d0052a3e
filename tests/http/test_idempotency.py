from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

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


def replayed(answer: HTTPResponse) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def code(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)["code"]


async def test_the_same_key_with_the_same_body_takes_once_and_answers_the_same(
    client: Client,
) -> None:
    option = await client.new_option(allocation=10)

    first = await purchase(client, option, "key")
    again = [await purchase(client, option, "key") for _ in range(3)]

    assert first.code == 201
    assert "Idempotent-Replayed" not in first.headers
    for answer in again:
        assert answer.code == 201
        assert answer.body == first.body == b""
        assert answer.headers["Location"] == first.headers["Location"]
        assert replayed(answer)
    assert await client.left(option) == 8


async def test_the_purchase_of_a_key_can_be_read(client: Client) -> None:
    option = await client.new_option(allocation=10)
    location = (await purchase(client, option, "key", quantity=3)).headers["Location"]

    stored = json.loads((await client.get(location)).body)

    assert (stored["quantity"], stored["user_id"]) == (3, USER)


async def test_the_same_key_with_another_quantity_is_refused_and_takes_nothing(
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


async def test_another_key_is_another_purchase(client: Client) -> None:
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


async def test_the_case_of_ids_does_not_make_another_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)
    shouted = f"/ticket_options/{option.rpartition('/')[2].upper()}"

    first = await purchase(client, option, "key")
    second = await purchase(client, shouted, "key", user_id=USER.upper())

    assert replayed(second)
    assert second.headers["Location"] == first.headers["Location"]
    assert await client.left(option) == 8


async def test_a_replay_is_answered_after_the_last_ticket_is_gone(client: Client) -> None:
    option = await client.new_option(allocation=5)
    first = await purchase(client, option, "key", quantity=4)
    await purchase(client, option, None, quantity=1)

    again = await purchase(client, option, "key", quantity=4)

    assert (again.code, replayed(again)) == (201, True)
    assert again.headers["Location"] == first.headers["Location"]
    assert await client.left(option) == 0


async def test_a_refused_attempt_leaves_its_key_free(client: Client) -> None:
    option = await client.new_option(allocation=2)

    refused = [
        await purchase(client, option, "key", quantity=3),
        await purchase(client, option, "key", quantity=0),
        await purchase(client, option, "key", user_id="me"),
        await purchase(client, f"/ticket_options/{uuid.uuid4()}", "key"),
    ]
    tried_again = await purchase(client, option, "key", quantity=2)

    assert [answer.code for answer in refused] == [409, 422, 422, 404]
    assert tried_again.code == 201
    assert not replayed(tried_again)
    assert await client.left(option) == 0


async def test_purchases_with_one_key_at_the_same_moment_take_once(client: Client) -> None:
    option = await client.new_option(allocation=100)

    answers = await asyncio.gather(*(purchase(client, option, "key") for _ in range(40)))

    assert {answer.code for answer in answers} == {201}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    assert await client.left(option) == 98


async def test_of_different_quantities_with_one_key_only_one_is_purchased(client: Client) -> None:
    option = await client.new_option(allocation=100)

    answers = await asyncio.gather(
        *(purchase(client, option, "key", quantity=quantity) for quantity in range(1, 21))
    )

    assert sorted(answer.code for answer in answers) == [201, *[422] * 19]
    assert {code(answer) for answer in answers if answer.code == 422} == {"idempotency_key_reused"}
    [bought] = [n for n, answer in enumerate(answers, start=1) if answer.code == 201]
    assert await client.left(option) == 100 - bought


async def test_a_replay_answers_with_the_same_representation(client: Client) -> None:
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
