from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import Client

RULES = {
    "max_per_purchase": 4,
    "max_per_user": 6,
    "on_sale_from": "2020-01-01T01:00:00+01:00",
    "on_sale_until": "2999-12-31T23:59:59.5Z",
    "paused": True,
}
SHOWN = {
    "max_per_purchase": 4,
    "max_per_user": 6,
    "on_sale_from": "2020-01-01T00:00:00.000000Z",
    "on_sale_until": "2999-12-31T23:59:59.500000Z",
    "paused": True,
}
DEFAULTS = dict.fromkeys(RULES)


async def test_optional_members_are_shown_in_their_order_when_they_are_not_at_their_default(
    client: Client,
) -> None:
    body = {"name": "a", "desc": "b", "allocation": 10}

    created = await client.post("/ticket_options", {**body, **RULES})
    read = await client.get(created.headers["Location"])

    shown = json.loads(created.body)
    assert list(shown) == ["id", "name", "desc", "allocation", *SHOWN]
    assert shown == {"id": shown["id"], **body, **SHOWN}
    assert read.body == created.body


@pytest.mark.parametrize("members", [{}, DEFAULTS, {**DEFAULTS, "paused": False}])
async def test_an_option_without_them_has_the_four_members(
    client: Client, members: dict[str, Any]
) -> None:
    path = await client.new_option(10, **members)

    answer = await client.get(path)

    option_id = path.rpartition("/")[2]
    assert answer.body == (
        f'{{"id":"{option_id}","name":"example","desc":"","allocation":10}}'.encode()
    )


async def test_a_change_leaves_what_it_does_not_name_and_null_removes(client: Client) -> None:
    path = await client.new_option(10, **RULES)

    first = await client.patch(path, {"name": "new", "max_per_user": None, "paused": None})
    second = await client.patch(path, {"desc": "newer", **DEFAULTS, "max_per_user": 1})
    nothing = await client.patch(path, {})

    kept = {name: SHOWN[name] for name in ("max_per_purchase", "on_sale_from", "on_sale_until")}
    assert json.loads(first.body) == {
        "id": path.rpartition("/")[2],
        "name": "new",
        "desc": "",
        "allocation": 10,
        **kept,
    }
    assert json.loads(second.body) == {
        "id": path.rpartition("/")[2],
        "name": "new",
        "desc": "newer",
        "allocation": 10,
        "max_per_user": 1,
    }
    assert nothing.body == second.body == (await client.get(path)).body


async def test_the_capacity_moves_what_is_left_but_not_below_what_is_sold_and_held(
    client: Client,
) -> None:
    path = await client.new_option(10)
    await client.new_purchase(path, 3)
    await client.new_hold(path, 2)

    raised = await client.patch(path, {"capacity": 20})
    lowered = await client.patch(path, {"capacity": 5})
    refused = await client.patch(path, {"capacity": 4, "name": "new"})

    assert json.loads(raised.body)["allocation"] == 15
    assert json.loads(lowered.body)["allocation"] == 0
    problem = json.loads(refused.body)
    assert (refused.code, problem["code"]) == (409, "capacity_in_use")
    assert (problem["capacity"], problem["sold"], problem["held"]) == (5, 3, 2)
    assert (await client.get(path)).body == lowered.body


@pytest.mark.parametrize("content_type", ["application/json", "application/merge-patch+json"])
async def test_both_media_types_are_taken(client: Client, content_type: str) -> None:
    path = await client.new_option(10)
    headers = {"Content-Type": content_type}

    answer = await client.request("PATCH", path, body={"paused": True}, headers=headers)

    assert (answer.code, json.loads(answer.body)["paused"]) == (200, True)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"allocation": 5}, ["/allocation"]),
        ({"max_per_usr": 5, "paused": "no"}, ["/paused", "/max_per_usr"]),
        ({"name": None, "desc": None, "capacity": None}, ["/name", "/desc", "/capacity"]),
        ({"max_per_purchase": 0, "max_per_user": 2.5}, ["/max_per_purchase", "/max_per_user"]),
        ({"on_sale_from": "2026-11-25T09:00:00"}, ["/on_sale_from"]),
        ({"on_sale_until": "9999-12-31T23:59:59-01:00"}, ["/on_sale_until"]),
        (
            {"on_sale_from": "2026-11-25T09:00:00Z", "on_sale_until": "2026-11-25T10:00:00+01:00"},
            ["/on_sale_until"],
        ),
        ({"\ud800": 1}, ["/?"]),
    ],
)
async def test_what_cannot_be_is_invalid_and_changes_nothing(
    client: Client, body: dict[str, Any], pointers: list[str]
) -> None:
    path = await client.new_option(10)
    before = (await client.get(path)).body

    answer = await client.patch(path, body)

    assert answer.code == 422
    assert [each["pointer"] for each in json.loads(answer.body)["errors"]] == pointers
    assert (await client.get(path)).body == before


async def test_a_window_that_would_end_before_it_begins_is_invalid(client: Client) -> None:
    path = await client.new_option(10, on_sale_from="2026-11-25T09:00:00Z")

    answer = await client.patch(path, {"on_sale_until": "2026-11-25T09:00:00Z"})

    assert (answer.code, json.loads(answer.body)["code"]) == (422, "invalid")


async def test_the_same_key_creates_one_option_with_its_rules(client: Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"name": "a", "desc": "", "allocation": 1, **RULES}

    first = await client.post("/ticket_options", body, key)
    await client.patch(first.headers["Location"], {"paused": False, "capacity": 5})
    again = await client.post("/ticket_options", body, key)
    other = await client.post("/ticket_options", {**body, "paused": False}, key)

    assert (again.code, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.code, json.loads(other.body)["code"]) == (422, "idempotency_key_reused")


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    answer = await client.patch(f"/ticket_options/{uuid.uuid4()}", {"paused": True})

    assert answer.code == 404
