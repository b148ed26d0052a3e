from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPResponse

from loadtests.harness import postgres
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

ASKING = [
    "return=representation",
    'return="representation"',
    "Return=representation",
    "return = representation",
    "return=representation; foo=bar",
    "respond-async, return=representation",
    "respond-async,return=representation,wait=10",
    "wait=10; x=y , return=representation",
    "return=representation, return=minimal",
    "handling=lenient, , return=representation",
]

NOT_ASKING = [
    "return=minimal",
    "return",
    "return=",
    "return=representations",
    "representation",
    "respond-async",
    "x-return=representation",
    "foo; return=representation",
    "return=minimal, return=representation",
    'foo="bar, return=representation"',
    'foo="return=representation"',
    "",
    ",",
    "=",
]


async def purchase(client: Client, option: str, prefer: str, quantity: int = 1) -> HTTPResponse:
    body = {"quantity": quantity, "user_id": USER}
    return await client.post(f"{option}/purchases", body, {"Prefer": prefer})


async def test_the_representation_is_the_same_as_reading_the_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answer = await purchase(client, option, "return=representation", quantity=3)

    assert answer.code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Preference-Applied"] == "return=representation"
    representation = json.loads(answer.body)
    assert list(representation) == ["id", "ticket_option_id", "user_id", "quantity", "created_at"]
    assert representation["quantity"] == 3
    assert answer.headers["Location"] == f"{option}/purchases/{representation['id']}"
    assert (await client.get(answer.headers["Location"])).body == answer.body
    assert await client.left(option) == 7


async def test_a_preference_for_the_representation_is_honoured(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=100)

    for prefer in ASKING:
        with subtests.test(prefer):
            answer = await purchase(client, option, prefer)

            assert answer.code == 201
            assert json.loads(answer.body)["quantity"] == 1
            assert answer.headers["Preference-Applied"] == "return=representation"


async def test_other_preferences_are_ignored(client: Client, subtests: pytest.Subtests) -> None:
    option = await client.new_option(allocation=100)

    for prefer in NOT_ASKING:
        with subtests.test(prefer):
            answer = await purchase(client, option, prefer)

            assert answer.code == 201
            assert answer.body == b""
            assert "Preference-Applied" not in answer.headers

    assert await client.left(option) == 100 - len(NOT_ASKING)


async def test_a_refused_purchase_has_no_representation(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answer = await purchase(client, option, "return=representation", quantity=11)

    assert answer.code == 409
    assert json.loads(answer.body)["code"] == "sold_out"
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        "RAISE EXCEPTION 'cannot be read' USING ERRCODE = '55P03'",
        "RAISE EXCEPTION 'cannot be read' USING ERRCODE = '57014'",
        "RAISE EXCEPTION 'cannot be read' USING ERRCODE = '53300'",
        "RAISE EXCEPTION 'cannot be read' USING ERRCODE = '22012'",
        "RETURN",
    ],
)
async def test_a_purchase_is_never_reported_as_refused_because_it_cannot_be_read_back(
    client: Client, database: str, body: str
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION ticketing.describe_purchase("
            "option_id uuid, purchase_id uuid) RETURNS TABLE (id uuid, ticket_option_id uuid, "
            "user_id uuid, quantity integer, created_at timestamptz, purchased_quantity integer, "
            f"cancelled_at timestamptz) LANGUAGE plpgsql AS $$ BEGIN {body}; END $$".encode()
        )

    answer = await purchase(client, option, "return=representation", quantity=3)

    # It is stored, and `overloaded` would say that nothing was.
    assert await client.left(option) == 7
    assert answer.code == 201
    assert answer.headers["Location"].startswith(f"{option}/purchases/")
    assert "Preference-Applied" not in answer.headers
