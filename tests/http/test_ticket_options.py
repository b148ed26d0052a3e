from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import Client

EXAMPLE = {"name": "example", "desc": "sample description", "allocation": 100}

# Unicode's White_Space property.
WHITE_SPACE = (
    "\u0009\u000a\u000b\u000c\u000d\u0020\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004"
    "\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)

ACCEPTED: dict[str, dict[str, Any]] = {
    "the example": {},
    "a name of one character": {"name": "x"},
    "a name of 255 characters": {"name": "x" * 255},
    "a name of 255 emoji": {"name": "\N{ADMISSION TICKETS}" * 255},
    "a name with an emoji": {"name": "Show \N{TICKET} \N{FAMILY}"},
    "a name with white space around it": {"name": " \t a \u3000\n"},
    "a name with trailing white space": {"name": "a\n"},
    "a name of characters that only look like white space": {"name": "\u200b\ufeff\u180e\u2800"},
    "a name of control characters": {"name": "\u0001\u001c\u001f\u007f"},
    "a name beyond the basic plane": {"name": "\U0001f600\U0010ffff"},
    "a name with a noncharacter": {"name": "\uffff"},
    "a name that is SQL": {"name": "'); DROP TABLE purchases; --"},
    "a name with placeholders": {"name": "%s %(name)s {} $1 \\"},
    "an empty desc": {"desc": ""},
    "a desc of white space": {"desc": WHITE_SPACE},
    "a desc of 10000 characters": {"desc": "x" * 10_000},
    "a desc of 10000 emoji": {"desc": "\N{TICKET}" * 10_000},
    "an allocation of 0": {"allocation": 0},
    "an allocation of 1": {"allocation": 1},
    "the largest allocation": {"allocation": 2_147_483_647},
}

NAME_REFUSED: dict[str, Any] = {
    "empty": "",
    "null": None,
    "a number": 1,
    "an array": ["a"],
    "256 characters": "x" * 256,
    "256 emoji": "\N{TICKET}" * 256,
    "with U+0000": "a\u0000b",
    "only U+0000": "\u0000",
    "60000 characters and U+0000": "x" * 60_000 + "\u0000",
    "a lone high surrogate": "a\ud800",
    "a lone low surrogate": "\udfff a",
    "surrogates in the wrong order": "\udf00\ud83c",
    "every white space character": WHITE_SPACE,
    **{f"only U+{ord(space):04X}": space for space in WHITE_SPACE},
}

DESC_REFUSED: dict[str, Any] = {
    "null": None,
    "a number": 1,
    "an object": {"a": "b"},
    "10001 characters": "x" * 10_001,
    "10001 characters, escaped": "\u00e9" * 10_001,
    "with U+0000": "\u0000",
    "a lone surrogate": "\udc00",
}

# As written in the body.
ALLOCATION_REFUSED = [
    "-1",
    "2147483648",
    "-2147483649",
    "9223372036854775808",
    "99999999999999999999999",
    "9" * 5000,
    "-" + "9" * 5000,
    '"2"',
    "true",
    "false",
    "2.5",
    "2.0",
    "2e0",
    "1e400",
    "-1e400",
    "null",
    "[]",
    "{}",
    '""',
]


def pointers(body: bytes) -> list[str]:
    """The pointers in ``errors``."""
    return [error["pointer"] for error in json.loads(body)["errors"]]


async def test_a_new_option_is_answered_with_its_four_members_and_its_location(
    client: Client,
) -> None:
    answer = await client.post("/ticket_options", EXAMPLE)

    option = json.loads(answer.body)
    assert answer.code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert list(option) == ["id", "name", "desc", "allocation"]
    assert option == {"id": option["id"], **EXAMPLE}
    assert str(uuid.UUID(option["id"])) == option["id"]
    assert answer.headers["Location"] == f"/ticket_options/{option['id']}"


async def test_every_creation_makes_a_new_option(client: Client) -> None:
    first = await client.post("/ticket_options", EXAMPLE)
    second = await client.post("/ticket_options", EXAMPLE)

    assert first.code == second.code == 201
    assert first.headers["Location"] != second.headers["Location"]


async def test_an_option_is_read_as_it_was_created(
    client: Client, subtests: pytest.Subtests
) -> None:
    for case, members in ACCEPTED.items():
        with subtests.test(case):
            body = json.dumps({**EXAMPLE, **members}, ensure_ascii=False).encode()
            created = await client.request("POST", "/ticket_options", raw_body=body)
            assert created.code == 201

            read = await client.get(created.headers["Location"])

            assert read.code == 200
            assert read.body == created.body
            option = json.loads(read.body)
            assert {**option, "id": None} == {**EXAMPLE, **members, "id": None}


@pytest.mark.parametrize(
    ("member", "refused"),
    [
        ("name", {case: json.dumps(value) for case, value in NAME_REFUSED.items()}),
        ("desc", {case: json.dumps(value) for case, value in DESC_REFUSED.items()}),
        ("allocation", {value[:30]: value for value in ALLOCATION_REFUSED}),
    ],
    ids=["name", "desc", "allocation"],
)
async def test_an_invalid_member_is_named(
    client: Client, subtests: pytest.Subtests, member: str, refused: dict[str, str]
) -> None:
    for case, value in refused.items():
        with subtests.test(case):
            others = {name: value for name, value in EXAMPLE.items() if name != member}
            body = json.dumps(others)[:-1] + f', "{member}": {value}}}'

            answer = await client.request("POST", "/ticket_options", raw_body=body.encode())

            assert answer.code == 422
            assert json.loads(answer.body)["code"] == "invalid"
            assert pointers(answer.body) == [f"/{member}"]


async def test_every_invalid_member_is_listed(client: Client, subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["/name", "/desc", "/allocation"]),
        ({"name": "a"}, ["/desc", "/allocation"]),
        ({"name": " ", "desc": "\u0000", "allocation": -1}, ["/name", "/desc", "/allocation"]),
        ({"name": 1, "desc": "", "allocation": "1"}, ["/name", "/allocation"]),
        ({"name": "\ud800", "allocation": True}, ["/name", "/desc", "/allocation"]),
        ({"Name": "a", "desc": "", "allocation": 1}, ["/name"]),
    ]
    for body, wrong in cases:
        with subtests.test(ascii(body)):
            answer = await client.post("/ticket_options", body)

            assert answer.code == 422
            assert pointers(answer.body) == wrong


async def test_unknown_members_are_ignored(client: Client, subtests: pytest.Subtests) -> None:
    for unknown in (
        '"id": "mine"',
        '"": null',
        '"x": "\\ud800"',
        '"\\ud800": 1',
        '"x": [{"y": 1e400}]',
        f'"x": {"9" * 5000}',
    ):
        with subtests.test(unknown[:30]):
            body = f"{json.dumps(EXAMPLE)[:-1]}, {unknown}}}".encode()

            answer = await client.request("POST", "/ticket_options", raw_body=body)

            assert answer.code == 201
            assert {**json.loads(answer.body), "id": None} == {**EXAMPLE, "id": None}


async def test_an_option_is_found_by_its_id_in_either_case(client: Client) -> None:
    created = await client.post("/ticket_options", EXAMPLE)
    option_id = json.loads(created.body)["id"]

    read = await client.get(f"/ticket_options/{option_id.upper()}")

    assert read.code == 200
    assert read.body == created.body


async def test_an_option_that_was_never_created_is_not_found(client: Client) -> None:
    await client.new_option(allocation=1)

    answer = await client.get(f"/ticket_options/{uuid.uuid4()}")

    assert answer.code == 404
    assert json.loads(answer.body)["code"] == "not_found"


async def test_reading_shows_the_tickets_left(client: Client) -> None:
    option = await client.new_option(allocation=10)

    lefts = [await client.left(option)]
    for quantity in (3, 7):
        purchase = {"quantity": quantity, "user_id": str(uuid.uuid4())}
        assert (await client.post(f"{option}/purchases", purchase)).code == 201
        lefts.append(await client.left(option))

    assert lefts == [10, 7, 0]
