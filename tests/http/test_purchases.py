from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from psycopg import sql

from loadtests.harness import postgres
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

LARGEST = 2_147_483_647

# As written in the body.
QUANTITY_REFUSED = [
    "0",
    "-0",
    "-1",
    "2147483648",
    "-2147483648",
    "4294967297",
    "9223372036854775808",
    "18446744073709551617",
    "99999999999999999999999",
    "9" * 5000,
    '"2"',
    "true",
    "false",
    "2.5",
    "2.0",
    "2e0",
    "1e400",
    "null",
    "[2]",
    "{}",
    '""',
]

USER_ID_REFUSED: dict[str, Any] = {
    "without hyphens": USER.replace("-", ""),
    "with braces": f"{{{USER}}}",
    "a URN": f"urn:uuid:{USER}",
    "with hyphens elsewhere": "406c-1d05bbb2-4e94-b183-7d208c2692e1",
    "with a hyphen after every four": "406c-1d05-bbb2-4e94-b183-7d20-8c26-92e1",
    "too short": USER[:-1],
    "too long": USER + "0",
    "with a leading space": f" {USER}",
    "with a trailing line break": f"{USER}\n",
    "not hexadecimal": USER[:-1] + "g",
    "with a digit of a different script": USER.replace("4", "\N{FULLWIDTH DIGIT FOUR}"),
    "with U+0000": f"{USER}\u0000",
    "with a lone surrogate": f"\ud800{USER[1:]}",
    "empty": "",
    "null": None,
    "a number": 406,
    "true": True,
    "an array": [USER],
}


def purchase_of(quantity: int) -> dict[str, Any]:
    return {"quantity": quantity, "user_id": USER}


def pointers(body: bytes) -> list[str]:
    """The pointers in ``errors``."""
    return [error["pointer"] for error in json.loads(body)["errors"]]


async def test_a_purchase_takes_tickets_and_answers_without_a_body(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answer = await client.post(f"{option}/purchases", {"quantity": 2, "user_id": USER})

    assert answer.code == 201
    assert answer.body == b""
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Location"].startswith(f"{option}/purchases/")
    assert await client.left(option) == 8


async def test_any_number_of_the_tickets_left_can_be_purchased_at_once(
    client: Client, subtests: pytest.Subtests
) -> None:
    for allocation, quantity in (
        (1, 1),
        (2, 2),
        (LARGEST, 1),
        (LARGEST, LARGEST - 1),
        (LARGEST, LARGEST),
    ):
        with subtests.test(f"{quantity} of {allocation}"):
            option = await client.new_option(allocation)

            answer = await client.post(f"{option}/purchases", purchase_of(quantity))

            assert answer.code == 201
            assert await client.left(option) == allocation - quantity


async def test_a_refused_purchase_takes_nothing(
    client: Client, database: str, subtests: pytest.Subtests
) -> None:
    for allocation, quantity in (
        (0, 1),
        (0, LARGEST),
        (1, 2),
        (1000, 1001),
        (1000, LARGEST),
        (LARGEST - 1, LARGEST),
    ):
        with subtests.test(f"{quantity} of {allocation}"):
            option = await client.new_option(allocation)

            answer = await client.post(f"{option}/purchases", purchase_of(quantity))

            assert answer.code == 409
            assert json.loads(answer.body)["code"] == "sold_out"
            assert "Location" not in answer.headers
            assert "Retry-After" not in answer.headers
            assert await client.left(option) == allocation

    with postgres.connect(database) as connection:
        assert postgres.value(connection, "SELECT count(*) FROM ticketing.purchases") == 0


async def test_a_refused_purchase_leaves_the_tickets_for_smaller_ones(client: Client) -> None:
    option = await client.new_option(allocation=1000)

    answers = [
        await client.post(f"{option}/purchases", purchase_of(quantity))
        for quantity in (600, 500, 400, 1)
    ]

    assert [answer.code for answer in answers] == [201, 409, 201, 409]
    assert await client.left(option) == 0


async def test_the_same_purchase_without_a_key_is_a_new_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)

    first = await client.post(f"{option}/purchases", purchase_of(2))
    second = await client.post(f"{option}/purchases", purchase_of(2))

    assert first.headers["Location"] != second.headers["Location"]
    assert await client.left(option) == 6


async def test_an_invalid_quantity_is_named_and_takes_nothing(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)

    for quantity in QUANTITY_REFUSED:
        with subtests.test(quantity[:30]):
            body = f'{{"quantity": {quantity}, "user_id": "{USER}"}}'.encode()
            answer = await client.request("POST", f"{option}/purchases", raw_body=body)

            assert answer.code == 422
            assert json.loads(answer.body)["code"] == "invalid"
            assert pointers(answer.body) == ["/quantity"]

    assert await client.left(option) == 10


async def test_a_user_id_that_is_not_a_canonical_uuid_is_named_and_takes_nothing(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)

    for case, user_id in USER_ID_REFUSED.items():
        with subtests.test(case):
            answer = await client.post(f"{option}/purchases", {"quantity": 1, "user_id": user_id})

            assert answer.code == 422
            assert pointers(answer.body) == ["/user_id"]

    assert await client.left(option) == 10


async def test_every_invalid_member_is_listed(client: Client, subtests: pytest.Subtests) -> None:
    option = await client.new_option(allocation=10)

    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["/quantity", "/user_id"]),
        ({"quantity": 1}, ["/user_id"]),
        ({"user_id": USER}, ["/quantity"]),
        ({"quantity": "2", "user_id": "me"}, ["/quantity", "/user_id"]),
        ({"quantity": None, "user_id": None}, ["/quantity", "/user_id"]),
        ({"quantity": 2.5, "user_id": "\ud800"}, ["/quantity", "/user_id"]),
        ({"qty": 1, "user": USER}, ["/quantity", "/user_id"]),
    ]
    for body, wrong in cases:
        with subtests.test(ascii(body)):
            answer = await client.post(f"{option}/purchases", body)

            assert answer.code == 422
            assert pointers(answer.body) == wrong

    assert await client.left(option) == 10


async def test_unknown_members_are_ignored(client: Client) -> None:
    option = await client.new_option(allocation=10)
    body = {**purchase_of(2), "id": "mine", "created_at": None, "x": [{"quantity": 5}], "": 1}

    answer = await client.post(f"{option}/purchases", body)

    assert answer.code == 201
    assert await client.left(option) == 8


async def test_an_option_that_does_not_exist_sells_nothing(client: Client) -> None:
    await client.new_option(allocation=10)

    answer = await client.post(f"/ticket_options/{uuid.uuid4()}/purchases", purchase_of(1))

    assert answer.code == 404
    assert json.loads(answer.body)["code"] == "not_found"


async def test_location_leads_to_the_purchase(client: Client) -> None:
    option = await client.new_option(allocation=10)
    before = datetime.now(timezone.utc)
    location = (await client.post(f"{option}/purchases", purchase_of(3))).headers["Location"]

    answer = await client.get(location)

    purchase = json.loads(answer.body)
    assert answer.code == 200
    assert purchase == {
        "id": location.rpartition("/")[2],
        "ticket_option_id": option.rpartition("/")[2],
        "user_id": USER,
        "quantity": 3,
        "created_at": purchase["created_at"],
    }
    created_at = datetime.fromisoformat(purchase["created_at"].replace("Z", "+00:00"))
    assert abs(created_at - before) < timedelta(minutes=1)


async def test_ids_in_upper_case_are_the_same_ids(client: Client) -> None:
    option = await client.new_option(allocation=10)
    body = {"quantity": 2, "user_id": USER.upper()}
    shouted = f"/ticket_options/{option.rpartition('/')[2].upper()}"

    location = (await client.post(f"{shouted}/purchases", body)).headers["Location"]
    purchase_id = location.rpartition("/")[2]
    answer = await client.get(f"{shouted}/purchases/{purchase_id.upper()}")

    assert location == f"{option}/purchases/{purchase_id}"
    assert answer.code == 200
    purchase = json.loads(answer.body)
    assert purchase["id"] == purchase_id
    assert purchase["user_id"] == USER
    assert await client.left(option) == 8


async def test_a_purchase_is_found_only_under_its_own_option(client: Client) -> None:
    option, other = [await client.new_option(allocation=10) for _ in range(2)]
    location = (await client.post(f"{option}/purchases", purchase_of(1))).headers["Location"]
    purchase_id = location.rpartition("/")[2]

    codes = [
        (await client.get(path)).code
        for path in (
            location,
            f"{other}/purchases/{purchase_id}",
            f"{option}/purchases/{uuid.uuid4()}",
            f"/ticket_options/{uuid.uuid4()}/purchases/{purchase_id}",
        )
    ]

    assert codes == [200, 404, 404, 404]


async def test_options_do_not_share_their_tickets(client: Client) -> None:
    option, other = [await client.new_option(allocation=5) for _ in range(2)]

    assert (await client.post(f"{option}/purchases", purchase_of(5))).code == 201

    assert await client.left(option) == 0
    assert await client.left(other) == 5


@pytest.fixture
def database_in_a_different_time_zone(database: str) -> None:
    """A database whose default time zone is not UTC."""
    with postgres.connect(database) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'Asia/Kolkata'").format(name))


@pytest.mark.usefixtures("database_in_a_different_time_zone")
async def test_times_are_in_utc_whatever_the_time_zone_of_the_database(client: Client) -> None:
    option = await client.new_option(allocation=10)
    location = (await client.post(f"{option}/purchases", purchase_of(1))).headers["Location"]

    answer = await client.get(location)

    assert json.loads(answer.body)["created_at"].endswith("Z")


async def test_a_purchase_is_made_exactly_once_when_its_connections_break(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        broken = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'ticket-allocation'"
        )
    assert broken.rowcount > 0

    answer = await client.post(f"{option}/purchases", purchase_of(2))

    assert answer.code == 201
    assert await client.left(option) == 8


@pytest.mark.parametrize("outcome", ["kept_for_somebody", "", None])
async def test_an_unrecognized_outcome_is_not_answered_as_a_sale(
    client: Client, database: str, outcome: str | None
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        connection.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION ticketing.try_purchase_tickets(option_id uuid, "
                "purchase_ids uuid[], user_ids uuid[], quantities integer[], lock_wait_ms integer, "
                "resend_ids uuid[] DEFAULT NULL, OUT outcomes text[], OUT details jsonb[]) "
                "LANGUAGE sql "
                "BEGIN ATOMIC SELECT array_fill({}::text, ARRAY[1]), NULL::jsonb[]; END"
            ).format(sql.Literal(outcome))
        )

    answer = await client.post(f"{option}/purchases", {"quantity": 2, "user_id": USER})

    assert (answer.code, json.loads(answer.body)["code"]) == (500, "internal")
