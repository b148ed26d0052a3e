from __future__ import annotations

import asyncio
import json

import pytest
from tornado.httpclient import HTTPResponse

from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

# {etag} stands for the current one.
MATCHING = [
    "{etag}",
    "W/{etag}",
    "*",
    " * ",
    '"other", {etag}',
    '{etag}, "other"',
    '"other",W/{etag},"another"',
    'W/"other", {etag}',
    '"", {etag}',
    '"with,comma", {etag}',
]

NOT_MATCHING = [
    '"other"',
    'W/"other"',
    '"other", W/"another"',
    '""',
    "",
    "{opaque}",
    '"{opaque}x"',
    '"x{opaque}"',
    '"*"',
]


async def _paths(client: Client) -> dict[str, str]:
    """One path of each cacheable kind."""
    option = await client.new_option(allocation=10)
    purchase = await client.post(f"{option}/purchases", {"quantity": 2, "user_id": USER})
    return {
        "option": option,
        "purchase": purchase.headers["Location"],
        "document": "/openapi.json",
    }


def assert_not_modified(answer: HTTPResponse, etag: str) -> None:
    assert answer.code == 304
    assert answer.body == b""
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "Content-Type" not in answer.headers


async def test_everything_readable_has_a_strong_etag_that_stays_until_it_changes(
    client: Client,
) -> None:
    for name, path in (await _paths(client)).items():
        first, second = [await client.get(path) for _ in range(2)]

        assert first.code == 200, name
        assert first.headers["ETag"].startswith('"')
        assert first.headers["Cache-Control"] == "no-cache"
        assert second.headers["ETag"] == first.headers["ETag"]
        assert second.body == first.body


async def test_different_resources_have_different_etags(client: Client) -> None:
    paths = [await client.new_option(allocation=10) for _ in range(3)]

    tags = {(await client.get(path)).headers["ETag"] for path in paths}

    assert len(tags) == 3


async def test_a_request_with_the_current_etag_gets_304(
    client: Client, subtests: pytest.Subtests
) -> None:
    for name, path in (await _paths(client)).items():
        etag = (await client.get(path)).headers["ETag"]
        for given in MATCHING:
            with subtests.test(f"{name} {given}"):
                header = {"If-None-Match": given.format(etag=etag)}

                assert_not_modified(await client.get(path, header), etag)
                assert_not_modified(await client.request("HEAD", path, headers=header), etag)


async def test_a_request_with_other_etags_is_answered_in_full(
    client: Client, subtests: pytest.Subtests
) -> None:
    for name, path in (await _paths(client)).items():
        full = await client.get(path)
        opaque = full.headers["ETag"].strip('"')
        for given in NOT_MATCHING:
            with subtests.test(f"{name} {given}"):
                answer = await client.get(path, {"If-None-Match": given.format(opaque=opaque)})

                assert answer.code == 200
                assert answer.body == full.body


async def test_a_purchase_changes_the_etag_of_its_option_and_not_its_own(client: Client) -> None:
    paths = await _paths(client)
    before = {name: (await client.get(path)).headers["ETag"] for name, path in paths.items()}

    await client.post(f"{paths['option']}/purchases", {"quantity": 1, "user_id": USER})
    after = {
        name: await client.get(path, {"If-None-Match": before[name]})
        for name, path in paths.items()
    }

    assert {name: answer.code for name, answer in after.items()} == {
        "option": 200,
        "purchase": 304,
        "document": 304,
    }
    assert after["option"].headers["ETag"] != before["option"]
    assert json.loads(after["option"].body)["allocation"] == 7


async def test_an_asterisk_does_not_match_a_missing_resource(client: Client) -> None:
    path = "/ticket_options/70b751fe-04dd-4dd1-8955-ab9b188ddb1f"

    answer = await client.get(path, {"If-None-Match": "*"})

    assert answer.code == 404
    assert "ETag" not in answer.headers


async def test_a_purchase_ignores_if_none_match(client: Client) -> None:
    option = await client.new_option(allocation=10)
    body = {"quantity": 2, "user_id": USER}

    answer = await client.post(f"{option}/purchases", body, {"If-None-Match": "*"})

    assert answer.code == 201
    assert await client.left(option) == 8


@pytest.mark.parametrize("is_found", [True, False])
async def test_head_answers_like_get_without_the_body(client: Client, is_found: bool) -> None:
    paths = await _paths(client)
    paths |= {"livez": "/livez", "readyz": "/readyz"}
    if not is_found:
        paths = {"option": paths["option"][:-12] + "0" * 12, "nothing": "/nothing"}

    for name, path in paths.items():
        get = await client.get(path)
        head = await client.request("HEAD", path)

        assert head.code == get.code == (200 if is_found else 404), name
        assert head.body == b""
        assert int(head.headers["Content-Length"]) == len(get.body) > 0
        for volatile in ("Date", "X-Request-ID"):
            del head.headers[volatile], get.headers[volatile]
        assert sorted(head.headers.get_all()) == sorted(get.headers.get_all())


@pytest.mark.parametrize(
    ("method", "header", "status"),
    [("HEAD", "X-Nothing: x", b"200"), ("GET", "If-None-Match: *", b"304")],
)
async def test_an_answer_without_a_body_ends_after_its_headers(
    client: Client, method: str, header: str, status: bytes
) -> None:
    option = await client.new_option(allocation=10)
    host, _, port = client.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    lines = [f"{method} {option} HTTP/1.1", f"Host: {host}", header, "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()

    assert answer.split(b" ", 2)[1] == status
    assert answer.count(b"\r\n\r\n") == 1
    assert answer.endswith(b"\r\n\r\n")
    assert (b"Content-Length" in answer) == (status == b"200")
