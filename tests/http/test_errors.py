from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from api.settings import Settings
from db import migrate
from loadtests.harness import openapi, postgres
from loadtests.harness.postgres import Server
from tests.http import conftest
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
NOWHERE = "70b751fe-04dd-4dd1-8955-ab9b188ddb1f"
PURCHASE: dict[str, Any] = {"quantity": 2, "user_id": USER}

UNDISCLOSED = re.compile(
    r"ticketing|postgres|psycopg|sqlstate|relation|column|constraint|function|\bselect\b|\binsert\b"
    r"|\bupdate\b|\bfrom ticket|traceback|\.py|\bline \d|null value|division|pg_|plpgsql",
    re.IGNORECASE,
)

MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "true": b"true",
    "a number": b"2",
    "a string": b'"quantity"',
    "an array": b"[]",
    "a valid object in an array": b"[" + json.dumps(PURCHASE).encode() + b"]",
    "an open object": b"{",
    "a closed object": b"}",
    "a truncated object": b'{"quantity": 2, "user_id": "406c',
    "two objects": b"{} {}",
    "something after it": b"{} x",
    "a trailing comma": b'{"quantity": 2,}',
    "single quotes": b"{'quantity': 2}",
    "a comment": b'{"quantity": 2 /* two */}',
    "a number with a leading zero": b'{"quantity": 02}',
    "a plus": b'{"quantity": +2}',
    "hexadecimal": b'{"quantity": 0x2}',
    "NaN": b'{"quantity": NaN}',
    "Infinity": b'{"quantity": Infinity}',
    "-Infinity": b'{"quantity": -Infinity}',
    "NaN in an unknown member": b'{"x": NaN}',
    "a line break in a string": b'{"name": "a\nb"}',
    "an escape that JSON does not have": b'{"name": "\\x41"}',
    "a form": b"quantity=2&user_id=406c1d05-bbb2-4e94-b183-7d208c2692e1",
    "UTF-16": json.dumps(PURCHASE).encode("utf-16"),
    "UTF-16 without a mark": json.dumps(PURCHASE).encode("utf-16-le"),
    "UTF-32": json.dumps(PURCHASE).encode("utf-32"),
    "UTF-8 with a byte order mark": b"\xef\xbb\xbf" + json.dumps(PURCHASE).encode(),
    "Latin-1": '{"name": "caf\u00e9"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"name": "\xc0\x80"}',
    "truncated UTF-8": b'{"name": "\xf0\x9f\x8e"}',
    "only U+0000": b"\x00",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "30000 arrays": b"[" * 30_000 + b"]" * 30_000,
    "30000 unclosed arrays": b"[" * 30_000,
    "10000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "30000 arrays in an unknown member": b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "30000 arrays in a known member": b'{"name":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}

SAYING_JSON = [
    "application/json",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "Application/JSON",
    "application/json ; a=b",
    "application/vnd.tickets+json",
]

SAYING_SOMETHING_ELSE = [
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=application/json",
    "application/jsonp",
    "application/xml, application/json",
    "json",
    "*/*",
]

NO_IDS = {
    "without hyphens": NOWHERE.replace("-", ""),
    "with braces": f"%7B{NOWHERE}%7D",
    "a URN": f"urn:uuid:{NOWHERE}",
    "too short": NOWHERE[:-1],
    "too long": NOWHERE + "0",
    "not hexadecimal": NOWHERE[:-1] + "g",
    "a number": "1",
    "a word": "new",
    "with a line break": NOWHERE + "%0A",
    "with U+0000": NOWHERE + "%00",
    "SQL": "'%20OR%20''='",
    "the parent folder": "..",
}

NO_ROUTES = [
    "/",
    "/ticket_option",
    "/ticket_options/",
    "//ticket_options",
    "/TICKET_OPTIONS",
    "/ticket_options.json",
    f"/ticket_options/{NOWHERE}/",
    f"/ticket_options/{NOWHERE}/purchase",
    f"/ticket_options/{NOWHERE}/purchases/",
    f"/ticket_options/{NOWHERE}/purchases/{NOWHERE}/",
    f"/ticket_options/{NOWHERE}/hold",
    f"/ticket_options/{NOWHERE}/holds/",
    f"/ticket_options/{NOWHERE}/holds/{NOWHERE}/",
    f"/ticket_options/{NOWHERE}/holds/{NOWHERE}/purchases",
    f"/x/ticket_options/{NOWHERE}",
    "/purchases",
    "/livez/",
    "/openapi",
    "/favicon.ico",
    "/..%2f..%2fetc/passwd",
]

ALLOWED = {
    "/ticket_options": "GET, HEAD, POST",
    f"/ticket_options/{NOWHERE}": "GET, HEAD, PATCH",
    f"/ticket_options/{NOWHERE}/availability": "GET, HEAD",
    f"/ticket_options/{NOWHERE}/purchases": "GET, HEAD, POST",
    f"/ticket_options/{NOWHERE}/purchases/{NOWHERE}": "DELETE, GET, HEAD, PATCH",
    f"/ticket_options/{NOWHERE}/holds": "GET, HEAD, POST",
    f"/ticket_options/{NOWHERE}/holds/{NOWHERE}": "DELETE, GET, HEAD",
    f"/ticket_options/{NOWHERE}/holds/{NOWHERE}/purchase": "POST",
    "/livez": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
}

MORE_MEMBERS = {"invalid": ["errors"], "sold_out": ["available"]}
"""What problems of these codes have besides the members that all have."""

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def assert_problem(answer: HTTPResponse, status: int, code: str) -> dict[str, Any]:
    """Fail unless these are exactly the problem details for this code; return them."""
    assert answer.code == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "X-Request-ID" in answer.headers
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert ("Allow" in answer.headers) == (status == 405)
    problem: dict[str, Any] = json.loads(answer.body)
    expected = ["type", "title", "status", "detail", "code"]
    assert list(problem) == expected + MORE_MEMBERS.get(code, [])
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"/openapi.json#/components/examples/{code}"
    assert not UNDISCLOSED.search(answer.body.decode().replace(problem["type"], ""))
    return problem


@asynccontextmanager
async def serving(conninfo: str, settings: Settings, **changed: Any) -> AsyncIterator[Client]:
    """A client of a second service on the database, with some settings changed."""
    async with conftest.serving(conninfo, replace(settings, **changed)) as served:
        client = Client(served.port)
        yield client
        client.close()


async def test_a_body_that_is_not_a_json_object_is_malformed(
    client: Client, subtests: pytest.Subtests
) -> None:
    for case, body in MALFORMED.items():
        for path in (
            "/ticket_options",
            f"/ticket_options/{NOWHERE}/purchases",
            f"/ticket_options/{NOWHERE}/holds",
        ):
            with subtests.test(f"{path} {case}"):
                answer = await client.request("POST", path, raw_body=body)

                assert_problem(answer, 400, "malformed_json")


async def test_a_request_without_a_body_is_malformed(client: Client) -> None:
    for content_type in (None, "application/json"):
        answer = await _post_raw(client, "/ticket_options", content_type, body=None)

        assert_problem(answer, 400, "malformed_json")


async def test_a_body_that_says_it_is_json_is_read(
    client: Client, subtests: pytest.Subtests
) -> None:
    for content_type in SAYING_JSON:
        with subtests.test(content_type):
            option = await client.new_option(allocation=10)
            headers = {"Content-Type": content_type}

            answer = await client.post(f"{option}/purchases", PURCHASE, headers)

            assert answer.code == 201
            assert await client.left(option) == 8


async def test_a_body_that_does_not_say_it_is_json_is_not_read(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)
    body = json.dumps(PURCHASE).encode()

    for content_type in (None, *SAYING_SOMETHING_ELSE):
        with subtests.test(content_type):
            answer = await _post_raw(client, f"{option}/purchases", content_type, body)

            assert_problem(answer, 415, "unsupported_media_type")

    assert await client.left(option) == 10


async def test_an_id_that_is_not_a_uuid_is_not_found(
    client: Client, subtests: pytest.Subtests
) -> None:
    for case, no_id in NO_IDS.items():
        with subtests.test(case):
            for path in (
                f"/ticket_options/{no_id}",
                f"/ticket_options/{no_id}/availability",
                f"/ticket_options/{NOWHERE}/purchases/{no_id}",
                f"/ticket_options/{NOWHERE}/holds/{no_id}",
            ):
                assert_problem(await client.get(path), 404, "not_found")
            for path in (f"{no_id}/purchases", f"{no_id}/holds"):
                answer = await client.post(f"/ticket_options/{path}", PURCHASE)
                assert_problem(answer, 404, "not_found")
            purchase = f"/ticket_options/{NOWHERE}/holds/{no_id}/purchase"
            assert_problem(await client.post(purchase), 404, "not_found")


async def test_an_unknown_route_is_not_found(client: Client, subtests: pytest.Subtests) -> None:
    for path in NO_ROUTES:
        for method in ("GET", "POST", "DELETE", "PROPFIND"):
            with subtests.test(f"{method} {path}"):
                assert_problem(await client.request(method, path), 404, "not_found")


async def test_a_method_that_a_route_lacks_is_not_allowed(
    client: Client, subtests: pytest.Subtests
) -> None:
    for path, allowed in ALLOWED.items():
        for method in set(METHODS) - set(allowed.split(", ")):
            with subtests.test(f"{method} {path}"):
                answer = await client.request(method, path)

                assert answer.headers["Allow"] == allowed
                if method == "HEAD":
                    assert (answer.code, answer.body) == (405, b"")
                else:
                    assert_problem(answer, 405, "method_not_allowed")


async def test_a_query_is_ignored(client: Client) -> None:
    option = await client.new_option(allocation=10)

    read = await client.get(f"{option}?allocation=5&%00=")
    purchased = await client.post(f"{option}/purchases?quantity=5", PURCHASE)

    assert (read.code, purchased.code) == (200, 201)
    assert await client.left(option) == 8


async def test_sold_out_is_not_worth_a_retry(client: Client) -> None:
    option = await client.new_option(allocation=1)

    answer = await client.post(f"{option}/purchases", PURCHASE)

    assert_problem(answer, 409, "sold_out")


async def test_invalid_members_are_listed_in_the_problem(client: Client) -> None:
    answer = await client.post(f"/ticket_options/{NOWHERE}/purchases", {"quantity": 0})

    assert assert_problem(answer, 422, "invalid")["errors"] == [
        {"pointer": "/quantity", "detail": "must be an integer from 1 to 2147483647"},
        {"pointer": "/user_id", "detail": "is required"},
    ]


async def test_a_reused_key_and_a_malformed_one_are_problems(client: Client) -> None:
    option = await client.new_option(allocation=10)
    purchases = f"{option}/purchases"
    await client.post(purchases, {**PURCHASE, "quantity": 1}, {"Idempotency-Key": "key"})

    reused = await client.post(purchases, PURCHASE, {"Idempotency-Key": "key"})
    malformed = await client.post(purchases, PURCHASE, {"Idempotency-Key": '"'})

    assert_problem(reused, 422, "idempotency_key_reused")
    assert_problem(malformed, 400, "malformed_header")


BREAKS = {
    "a function is missing": ("DROP FUNCTION ticketing.try_purchase_tickets"),
    "the functions may not be called": (
        "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ticketing FROM ticketing_service"
    ),
    "the schema may not be used": "REVOKE USAGE ON SCHEMA ticketing FROM ticketing_service",
    "the schema is missing": "DROP SCHEMA ticketing CASCADE",
    "a table is missing": "DROP TABLE ticketing_private.purchases CASCADE",
    "the database is read-only": "ALTER DATABASE {} SET default_transaction_read_only = on",
}


@pytest.mark.parametrize("broken_by", BREAKS.values(), ids=BREAKS.keys())
async def test_a_database_that_cannot_be_used_is_worth_a_retry(
    settings: Settings, database: str, broken_by: str
) -> None:
    async with serving(database, settings, request_timeout_seconds=0.5) as client:
        await client.get("/readyz")
        option = await client.new_option(allocation=10)
        with postgres.connect(database) as connection:
            connection.execute(sql.SQL(broken_by).format(sql.Identifier(connection.info.dbname)))
            # A database setting applies to new connections only.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'ticket-allocation'"
            )

        answer = await client.post(f"{option}/purchases", PURCHASE)

        assert_problem(answer, 503, "unavailable")


async def test_an_unexpected_failure_reveals_nothing_about_itself(
    client: Client, database: str
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION ticketing_private.require_purchases("
            "purchase_ids uuid[], user_ids uuid[], quantities integer[]) "
            "RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM 1 / 0; END $$"
        )

    answer = await client.post(f"{option}/purchases", PURCHASE)

    assert_problem(answer, 500, "internal")
    assert await client.left(option) == 10


async def test_a_value_refused_only_by_the_database_is_invalid(
    client: Client, database: str
) -> None:
    with postgres.connect(database) as connection:
        connection.execute(
            "ALTER TABLE ticketing_private.ticket_options DROP CONSTRAINT"
            " ticket_options_allocation_range, ADD CONSTRAINT ticket_options_allocation_range"
            " CHECK (allocation < 5)"
        )

    answer = await client.post("/ticket_options", {"name": "a", "desc": "", "allocation": 5})

    [error] = assert_problem(answer, 422, "invalid")["errors"]
    assert error["detail"] == "allocation must be an integer from 0 to 2147483647"


async def test_a_purchase_that_waits_too_long_for_a_lock_is_refused_and_takes_nothing(
    settings: Settings,
    database: str,
) -> None:
    async with serving(database, settings, lock_timeout_seconds=0.1) as client:
        await client.get("/readyz")
        option = await client.new_option(allocation=10)
        with postgres.connect(database) as connection, connection.transaction():
            _lock_options(connection)

            answer = await client.post(f"{option}/purchases", PURCHASE)

        assert_problem(answer, 503, "overloaded")
        assert await client.left(option) == 10


async def test_a_purchase_of_a_locked_option_is_resent_until_it_is_unlocked(
    settings: Settings,
    database: str,
) -> None:
    async with serving(database, settings, lock_timeout_seconds=20.0) as client:
        await client.get("/readyz")
        option = await client.new_option(allocation=10)
        with (
            postgres.connect(database) as locker,
            # Within a transaction, pg_stat_activity is a snapshot.
            postgres.connect(database) as observer,
            locker.transaction(),
        ):
            _lock_options(locker)
            purchase = asyncio.create_task(client.post(f"{option}/purchases", PURCHASE))
            sent: set[tuple[object, ...]] = set()
            while len(sent) < 3:
                sent |= set(observer.execute(WAITING_SINCE).fetchall())
                await asyncio.sleep(0.01)

        assert (await purchase).code == 201
        assert await client.left(option) == 10 - PURCHASE["quantity"]


async def test_a_call_that_times_out_on_a_lock_is_resent_once(
    settings: Settings, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.database.calls")
    async with serving(database, settings, lock_timeout_seconds=1.0) as client:
        await client.get("/readyz")
        with postgres.connect(database) as connection, connection.transaction():
            connection.execute("LOCK TABLE ticketing_private.ticket_options")
            new = {"name": "a", "desc": "", "allocation": 10}
            created = asyncio.create_task(client.post("/ticket_options", new))
            resent = "resending a call: canceling statement due to lock timeout"
            while resent not in caplog.text:  # noqa: ASYNC110, the log has no way to notify
                await asyncio.sleep(0.01)

        assert (await created).code == 201


async def test_purchases_beyond_the_queue_are_refused_at_once_and_the_others_made(
    settings: Settings,
    database: str,
) -> None:
    async with serving(database, settings, max_waiting=3, lock_timeout_seconds=20.0) as client:
        await client.get("/readyz")
        option = await client.new_option(allocation=100)
        with postgres.connect(database) as connection, connection.transaction():
            _lock_options(connection)
            # One is in flight, two are queued behind it.
            pending: set[asyncio.Task[HTTPResponse]] = {
                asyncio.create_task(client.post(f"{option}/purchases", PURCHASE)) for _ in range(20)
            }
            refused = []
            while len(pending) > 3:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                refused += [task.result() for task in done]
        answers = await asyncio.gather(*pending)

        for answer in refused:
            problem = assert_problem(answer, 503, "overloaded")
            assert "Nothing was stored" in problem["detail"]
        assert [answer.code for answer in answers] == [201, 201, 201]
        assert await client.left(option) == 100 - 3 * PURCHASE["quantity"]


async def test_a_database_that_stays_down_is_worth_a_retry(
    settings: Settings, database: str, postgres_18: Server
) -> None:
    async with serving(database, settings, request_timeout_seconds=0.3) as client:
        await client.get("/readyz")
        option = await client.new_option(allocation=10)
        with postgres.connect(postgres_18.superuser_conninfo) as connection:
            name = conninfo_to_dict(database)["dbname"]
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(
                    sql.Identifier(str(name))
                )
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

        for answer in (
            await client.post("/ticket_options", {"name": "a", "desc": "", "allocation": 1}),
            await client.post(f"{option}/purchases", PURCHASE),
        ):
            problem = assert_problem(answer, 503, "unavailable")
            assert "may or may not have been stored" in problem["detail"]
            assert "with the same Idempotency-Key is safe" in problem["detail"]
        for answer in (
            await client.get(option),
            await client.get(f"{option}/purchases/{uuid.uuid4()}"),
            await client.get("/readyz"),
        ):
            problem = assert_problem(answer, 503, "unavailable")
            assert "stored" not in problem["detail"]
        assert (await client.get("/livez")).code == 200


async def test_an_unmigrated_database_is_served_once_it_is_migrated(
    settings: Settings, postgres_18: Server
) -> None:
    with postgres_18.database(template="template1") as empty:
        async with serving(empty, settings) as client:
            for answer in (
                await client.get("/readyz"),
                await client.post("/ticket_options", {"name": "a", "desc": "", "allocation": 1}),
                await client.get(f"/ticket_options/{NOWHERE}"),
                await client.post(f"/ticket_options/{NOWHERE}/purchases", PURCHASE),
                await client.get(f"/ticket_options/{NOWHERE}/purchases/{NOWHERE}"),
            ):
                assert_problem(answer, 503, "unavailable")
            for path in ("/livez", "/openapi.json"):
                assert (await client.get(path)).code == 200
            # Invalid requests are still told what is wrong.
            assert_problem(await client.post("/ticket_options", {}), 422, "invalid")
            assert_problem(await client.get("/nothing"), 404, "not_found")

            migrate.migrate(empty)

            assert (await client.get("/readyz")).code == 200
            option = await client.new_option(allocation=10)
            assert (await client.post(f"{option}/purchases", PURCHASE)).code == 201


async def test_a_database_of_another_version_is_not_used_until_it_is_migrated(
    settings: Settings,
    database: str,
) -> None:
    with postgres.connect(database) as connection:
        connection.execute(
            "UPDATE ticketing_private.installed_files SET sha256 = repeat('0', 64)"
            " WHERE path = 'procedures/purchase_tickets_of_one.sql'"
        )
        option_id = postgres.new_option(connection, allocation=10)
    async with serving(database, settings) as client:
        refused = await client.post(f"/ticket_options/{option_id}/purchases", PURCHASE)

        migrate.migrate(database)
        ready = await client.get("/readyz")
        purchase = await client.post(f"/ticket_options/{option_id}/purchases", PURCHASE)

        assert_problem(refused, 503, "unavailable")
        assert (ready.code, purchase.code) == (200, 201)
        assert await client.left(f"/ticket_options/{option_id}") == 8


WAITING_SINCE = """
    SELECT query_start
    FROM pg_stat_activity
    WHERE application_name = 'ticket-allocation' AND wait_event_type = 'Lock'
"""


def _lock_options(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")


async def _post_raw(
    client: Client, path: str, content_type: str | None, body: bytes | None
) -> HTTPResponse:
    """POST over a raw connection: Tornado's client always sends a Content-Type."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"Content-Type: {content_type}"] if content_type is not None else []
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    status_line, _, headers = head.decode().partition("\r\n")
    status = int(status_line.split()[1])
    answer = HTTPResponse(
        HTTPRequest(client.url + path), status, HTTPHeaders.parse(headers), BytesIO(content)
    )
    openapi.check_answer("POST", path, answer.code, answer.headers, answer.body)
    return answer
