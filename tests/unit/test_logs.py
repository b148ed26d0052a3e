from __future__ import annotations

import asyncio
import json
import logging
import re
import unicodedata
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application

from api import logs
from api.handlers.base import BaseHandler, NotFoundHandler
from api.web.accepting import Acceptor
from api.web.lane.server import Lane
from api.web.messages import Answer, Request
from api.web.plain import PlainServer
from api.workers import Server

TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+) +(\d{3}) (\S+) (.*) (\d+\.\d) ms ([!-~]+)"
)


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what set_up() does to the whole process."""

    def loggers() -> list[logging.Logger]:
        made = logging.root.manager.loggerDict.values()
        return [logging.root, *(each for each in made if isinstance(each, logging.Logger))]

    before = {each: (each.level, each.handlers[:], each.filters[:]) for each in loggers()}
    monkeypatch.setattr(logs, "_request_line", None)
    yield
    for each in loggers():
        level, each.handlers[:], each.filters[:] = before.get(each, (logging.NOTSET, [], []))
        each.setLevel(level)


async def well(request: Request) -> Answer:
    return Answer(200, b"{}")


async def fails(request: Request) -> Answer:
    raise ValueError("first line\nsecond line")


class WellHandler(BaseHandler):
    async def get(self) -> None:
        self.answer(await well(self))


class FailsHandler(BaseHandler):
    async def get(self) -> None:
        self.answer(await fails(self))


@pytest.fixture(params=["hot", "lane", "plain"])
def port(io_loop: IOLoop, request: pytest.FixtureRequest) -> Iterator[int]:
    """Where a service without a database listens: each of the ways that a request may go."""
    application = Application(
        [(r"/well.*", WellHandler), (r"/fails", FailsHandler)],
        default_handler_class=NotFoundHandler,
        log_function=logs.log_handler,
        in_flight=0,
        is_draining=False,
    )
    hot_routes = [
        ("GET", re.compile(rb"/well.*", re.DOTALL), well),
        ("GET", re.compile(rb"/fails"), fails),
    ]

    async def make() -> tuple[Server, Acceptor]:
        if request.param == "plain":
            made: Server = PlainServer(application)
        else:
            made = Lane(application, hot_routes if request.param == "hot" else [])
        return made, Acceptor([listener], made.accepted)

    listener, port = bind_unused_port()
    server, acceptor = io_loop.run_sync(make)
    yield port
    acceptor.stop()
    io_loop.run_sync(server.close)


async def get(port: int, target: str, request_id: str = "mine") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {request_id}\r\n"
        "Connection: close\r\n\r\n".encode("latin-1")
    )
    await reader.read()
    writer.close()


async def test_a_request_is_one_line_of_text(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text")

    await get(port, "/well?x=1")
    await get(port, "/nothing")

    lines = capfd.readouterr().err.splitlines()
    fields = [match.groups() for match in map(TEXT_LINE.fullmatch, lines) if match]
    assert len(lines) == 2
    assert [each[:4] + each[5:] for each in fields] == [
        ("INFO", "200", "GET", "/well", "mine"),
        ("INFO", "404", "GET", "/nothing", "mine"),
    ]


async def test_a_request_is_one_object_of_json(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("json")

    await get(port, "/well")

    [line] = capfd.readouterr().err.splitlines()
    logged = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", logged.pop("time"))
    assert logged.pop("duration_ms") >= 0
    assert logged == {
        "level": "INFO",
        "message": "200 GET /well",
        "status": 200,
        "method": "GET",
        "path": "/well",
        "request_id": "mine",
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_path_with_control_characters_cannot_forge_a_line(
    port: int, capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.set_up(log_format)

    # Those below do not get as far as here: see the next test.
    for code in range(0x80, 0xA0):
        await get(port, f"/well{chr(code)}INFO-200-GET-/forged")

        logged = capfd.readouterr().err
        assert logged.count("\n") == 1
        assert not any(unicodedata.category(each) == "Cc" for each in logged[:-1])
        # The lane's parser refuses what is not ASCII, and there is no path then.
        assert f"\\x{code:02x}INFO" in logged or "forged" not in logged


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_what_the_server_refuses_to_read_cannot_forge_a_line(
    port: int, capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.set_up(log_format)

    for code in [*range(0x20), 0x7F]:
        await get(port, f"/well{chr(code)}forged")
        await get(port, "/well", request_id=f"a{chr(code)}forged")

    assert "forged" not in capfd.readouterr().err


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_request_id_with_control_characters_does_not_come_into_the_log(
    port: int, capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.set_up(log_format)

    for code in range(0x80, 0xA1):
        await get(port, "/well", request_id=f"a{chr(code)}forged")

    logged = capfd.readouterr().err
    assert logged.count("\n") == len(logged.splitlines()) == 0xA1 - 0x80
    assert "forged" not in logged


async def test_a_failure_has_its_traceback_in_the_log(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("text")

    await get(port, "/fails")

    logged = capfd.readouterr().err
    assert "request mine failed\nTraceback (most recent call last):\n" in logged
    assert "ValueError: first line\nsecond line\n" in logged
    assert TEXT_LINE.fullmatch(logged.splitlines()[-1])


async def test_a_failure_is_one_object_of_json_too(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("json")

    await get(port, "/fails")

    failure, request = map(json.loads, capfd.readouterr().err.splitlines())
    assert failure["level"] == "ERROR"
    assert failure["message"] == "request mine failed"
    assert failure["exception"].startswith("Traceback (most recent call last):\n")
    assert failure["exception"].endswith("ValueError: first line\nsecond line")
    assert (request["status"], request["request_id"]) == (500, "mine")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_libraries_are_heard_when_they_warn_only(
    capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.set_up(log_format)

    for name in ("psycopg.pool", "yoyo", "tornado.general", "api"):
        logging.getLogger(name).info("chatter of %s", name)
        logging.getLogger(name).warning("warning of %s", name)

    logged = capfd.readouterr().err
    assert logged.count("warning of ") == 4
    assert re.findall(r"chatter of ([\w.]+)", logged) == ["api"]


def test_the_pool_says_once_a_second_that_the_database_is_away(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("text")
    pool = logging.getLogger("psycopg.pool")

    for created in (1000.0, 1000.1, 1000.9, 1001.0, 1001.5, 1005.0):
        record = pool.makeRecord(pool.name, logging.WARNING, "", 0, "away %s", (created,), None)
        record.created = created
        pool.handle(record)

    logged = capfd.readouterr().err
    assert re.findall(r"away (\S+)", logged) == ["1000.0", "1001.0", "1005.0"]
