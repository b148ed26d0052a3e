from __future__ import annotations

import json
import logging
import re

import pytest
from tornado.httpclient import HTTPResponse

from api import logs
from loadtests.harness import postgres
from tests.http.conftest import Client

NOWHERE = "70b751fe-04dd-4dd1-8955-ab9b188ddb1f"

GENERATED = re.compile(r"[0-9a-f]{32}")

SENSIBLE = [
    "1",
    "8f14e45f-ceea-467f-a1e5-3b2c9d0e7f61",
    "Root=1-67891233-abcdef012345678912345678",
    "a" * 128,
    "az.AZ_09~:/+=@-",
]

NONSENSE = [
    "",
    "a" * 129,
    "two words",
    "a,b",
    'a"b',
    "<script>",
    "a\tb",
    "caf\u00e9",
    "\u0085",
    "%0a",
    "{id}",
]


async def livez(client: Client, request_id: str | None) -> HTTPResponse:
    return await client.get("/livez", {} if request_id is None else {"X-Request-ID": request_id})


async def test_a_valid_id_is_taken_from_the_request(
    client: Client, subtests: pytest.Subtests
) -> None:
    for request_id in SENSIBLE:
        with subtests.test(request_id):
            answer = await livez(client, request_id)

            assert answer.headers.get_list("X-Request-ID") == [request_id]


async def test_an_invalid_id_is_replaced(client: Client, subtests: pytest.Subtests) -> None:
    for request_id in NONSENSE:
        with subtests.test(request_id):
            answer = await livez(client, request_id)

            assert answer.code == 200
            assert GENERATED.fullmatch(answer.headers["X-Request-ID"])


async def test_every_request_without_an_id_gets_one_of_its_own(client: Client) -> None:
    generated = [(await livez(client, None)).headers["X-Request-ID"] for _ in range(5)]

    assert all(GENERATED.fullmatch(each) for each in generated)
    assert len(set(generated)) == 5


async def test_errors_carry_the_id_too(client: Client) -> None:
    for method, path, body, status in (
        ("GET", "/nothing", None, 404),
        ("DELETE", "/livez", None, 405),
        ("HEAD", f"/ticket_options/{NOWHERE}/holds/{NOWHERE}/purchase", None, 405),
        ("POST", "/ticket_options", b"{", 400),
        ("POST", "/ticket_options", b"{}", 422),
        ("POST", "/ticket_options", b" " * 70_000, 413),
        ("GET", f"/ticket_options/{NOWHERE}", None, 404),
    ):
        headers = {"X-Request-ID": "mine"}
        answer = await client.request(method, path, raw_body=body, headers=headers)

        assert answer.code == status
        assert answer.headers["X-Request-ID"] == "mine"


async def test_the_log_has_the_id_of_the_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # What set_up() chooses; it would also take the place of pytest's handlers.
    monkeypatch.setattr(logs, "_request_line", logs._json_request_line)

    answer = await livez(client, None)

    [line] = map(json.loads, capfd.readouterr().err.splitlines())
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["status"], line["method"], line["path"]) == (200, "GET", "/livez")


async def test_a_failure_is_logged_with_the_id_of_its_answer(
    client: Client, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION ticketing.describe_ticket_options(option_ids uuid[]) "
            'RETURNS TABLE (id uuid, name text, "desc" text, allocation integer, more json) '
            "LANGUAGE sql RETURN (1/0, NULL, NULL, NULL, NULL)"
        )

    answer = await client.get(option, {"X-Request-ID": "find-me"})

    assert answer.code == 500
    assert answer.headers["X-Request-ID"] == "find-me"
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "find-me" in record.getMessage()
    assert "division by zero" in (record.exc_text or str(record.exc_info))
