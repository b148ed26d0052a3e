from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.http.conftest import USER, Client

OTHER = "8b0e3a56-0f52-4d0b-9a54-0d2f6d2c7a11"


async def pages(client: Client, path: str) -> list[list[dict[str, Any]]]:
    """Every page of a list, by following ``next``."""
    found = []
    following: str | None = path
    while following is not None:
        answer = await client.get(following)
        assert answer.code == 200
        page = json.loads(answer.body)
        following = page["next"]
        link = None if following is None else f'<{following}>; rel="next"'
        assert answer.headers.get("Link") == link
        found.append(page["items"])
    return found


async def test_options_are_listed_newest_first_each_of_them_once(
    client: Client, database: str
) -> None:
    paths = [await client.new_option(each) for each in range(5)]

    found = await pages(client, "/ticket_options?limit=2")

    assert [len(page) for page in found] == [2, 2, 1]
    items = [item for page in found for item in page]
    assert [f"/ticket_options/{item['id']}" for item in items] == paths[::-1]
    assert items[0] == json.loads((await client.get(paths[-1])).body)


async def test_a_page_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    option = await client.new_option(10)
    for _ in range(2):
        await client.new_purchase(option, 1)
        await client.new_hold(option, 1)

    for kind in ("purchases", "holds"):
        page = await client.get(f"{option}/{kind}?limit=1")
        again = await client.get(
            f"{option}/{kind}?limit=1", {"If-None-Match": page.headers["ETag"]}
        )

        assert (again.code, again.headers["Link"]) == (304, page.headers["Link"])


async def test_an_empty_list_is_a_page(client: Client, database: str) -> None:
    option = await client.new_option(1)

    assert await pages(client, f"{option}/purchases") == [[]]
    assert await pages(client, f"{option}/holds?state=expired") == [[]]


async def test_purchases_are_listed_each_of_them_once_or_a_users(client: Client) -> None:
    option = await client.new_option(10)
    other_option = await client.new_option(10)
    await client.new_purchase(other_option, 1)
    mine = {await client.new_purchase(option, 1) for _ in range(3)}
    others = {await client.new_purchase(option, 1, OTHER) for _ in range(2)}

    everybody = await pages(client, f"{option}/purchases?limit=2")
    only_others = await pages(client, f"{option}/purchases?limit=1&user_id={OTHER.upper()}")

    def paths(found: list[list[dict[str, Any]]]) -> list[str]:
        return [f"{option}/purchases/{item['id']}" for page in found for item in page]

    assert len(paths(everybody)) == 5
    assert set(paths(everybody)) == mine | others
    assert len(paths(only_others)) == 2
    assert set(paths(only_others)) == others
    [first, *_] = everybody[0]
    assert first == json.loads((await client.get(f"{option}/purchases/{first['id']}")).body)


async def test_holds_are_listed_by_user_and_state(client: Client) -> None:
    option = await client.new_option(10)
    held, purchased, released = [await client.new_hold(option, 1) for _ in range(3)]
    others = await client.new_hold(option, 1, OTHER)
    await client.post(f"{purchased}/purchase")
    await client.delete(released)

    async def listed(query: str) -> set[str]:
        found = await pages(client, f"{option}/holds?limit=1{query}")
        return {f"{option}/holds/{item['id']}" for page in found for item in page}

    assert await listed("") == {held, purchased, released, others}
    assert await listed("&state=held") == {held, others}
    assert await listed("&state=purchased") == {purchased}
    assert await listed(f"&user_id={USER}&state=held") == {held}
    assert await listed(f"&user_id={USER}") == {held, purchased, released}


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("limit=0", ["limit"]),
        ("limit=201", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("limit=%D9%A1", ["limit"]),
        ("limit=x&after=y&user_id=z&state=q", ["limit", "after", "user_id", "state"]),
        ("after=%00", ["after"]),
        ("unknown=1", []),
    ],
)
async def test_each_parameter_that_is_wrong_is_named(
    client: Client, query: str, parameters: list[str]
) -> None:
    option = await client.new_option(10)

    answer = await client.get(f"{option}/holds?{query}")

    assert answer.code == (422 if parameters else 200)
    errors = json.loads(answer.body).get("errors", [])
    assert [each["parameter"] for each in errors] == parameters


async def test_an_id_of_no_option_is_no_cursor_of_the_options(client: Client) -> None:
    answer = await client.get(f"/ticket_options?after={uuid.uuid4()}")

    assert answer.code == 422
    assert [each["parameter"] for each in json.loads(answer.body)["errors"]] == ["after"]


@pytest.mark.parametrize("kind", ["purchases", "holds"])
async def test_an_id_of_something_else_is_no_cursor(client: Client, kind: str) -> None:
    option, other = [await client.new_option(10) for _ in range(2)]
    elsewhere = (await client.new_hold(other, 1)).rpartition("/")[2]

    for after in (uuid.uuid4(), option.rpartition("/")[2], elsewhere):
        answer = await client.get(f"{option}/{kind}?after={after}")
        assert answer.code == 422
        assert [each["parameter"] for each in json.loads(answer.body)["errors"]] == ["after"]
    assert (
        await client.get(f"/ticket_options/{uuid.uuid4()}/{kind}?after={option[-36:]}")
    ).code == 404


async def test_an_option_that_is_not_there_has_no_lists(client: Client) -> None:
    for name in ("purchases", "holds"):
        assert (await client.get(f"/ticket_options/{uuid.uuid4()}/{name}")).code == 404
