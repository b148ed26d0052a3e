"""Generates requests for ``make differential``: valid ones, and ones that are a little wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from tests.http.wire import in_chunks

OPTIONS = [f"01a203f1-71ae-70aa-b502-{each:012d}" for each in range(4)]
ALLOCATIONS = [1_000_000, 50, 0, 2_147_483_647]
USERS = ["406c1d05-bbb2-4e94-b183-7d208c2692e1", "406C1D05-BBB2-4E94-B183-7D208C2692E2"]
UNKNOWN = "0d96fd8c-6d43-4a3c-9c4e-1f2d0f6c0a11"
PURCHASES = [f"01a203f1-71ae-70aa-b503-{each:012d}" for each in range(8)]
HOLDS = [f"01a203f1-71ae-70aa-b504-{each:012d}" for each in range(16)]
"""Of the first option; each has 3 tickets."""

GENERATED = "generated"
"""What stands for an id that differs every time."""


class Sent(NamedTuple):
    """A request."""

    method: str
    data: bytes
    is_old: bool


class Generator:
    """Generates requests: the same ones for the same seed and answers."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._purchases = _paths("purchases", PURCHASES)
        self._holds = _paths("holds", HOLDS)
        self._etags = ['"none"']

    def learn(self, headers: Mapping[str, str]) -> None:
        """Use the values in an answer's headers in later requests."""
        if "Etag" in headers:
            self._etags = [*self._etags[-20:], headers["Etag"]]
        location = headers.get("Location", GENERATED)
        if not location.endswith(GENERATED):
            # The id is derived from a key, or that of a hold, so both sides have the same one.
            if "/purchases/" in location:
                self._purchases = [*self._purchases[-20:], location]
            elif "/holds/" in location:
                self._holds = [*self._holds[-20:], location]

    def request(self) -> Sent:
        chance = self._random.random
        path = self._path()
        method = self._method(path)
        body, content_type = self._body(path, method)
        is_old = chance() < 0.1
        lines = [f"{method} {path}{self._query()} HTTP/{'1.0' if is_old else '1.1'}"]
        headers = [] if is_old and chance() < 0.5 else [self._host()]
        headers += self._headers()
        if content_type is not None:
            headers.append(f"Content-Type: {content_type}")
        if body or method in ("POST", "PUT", "PATCH") or chance() < 0.05:
            if not is_old and chance() < 0.3:
                headers.append("Transfer-Encoding: chunked")
                body = in_chunks(
                    body, self._random.choice([1, 7, 1_000, 100_000]) + len(body) // 99
                )
            else:
                headers.append(f"Content-Length: {len(body)}")
        self._random.shuffle(headers)
        head = "\r\n".join([*lines, *headers, "", ""])
        return Sent(method, head.encode("latin-1") + body, is_old)

    def _path(self) -> str:
        choose = self._random.choice
        option = choose([*OPTIONS, *OPTIONS, OPTIONS[0].upper(), UNKNOWN, "1", OPTIONS[0] + "0"])
        kinds = {
            f"/ticket_options/{option}/purchases": 30,
            f"/ticket_options/{option}/holds": 25,
            f"{choose(self._holds)}/purchase": 15,
            f"/ticket_options/{option}": 25,
            "/ticket_options": 10,
            choose(self._purchases): 10,
            choose(self._holds): 10,
            f"/ticket_options/{option}/availability": 4,
            choose(["/livez", "/readyz", "/openapi.json"]): 6,
            choose(
                [
                    "/",
                    "//",
                    "/livez/",
                    "//livez",
                    "/%6civez",
                    "/livez%00",
                    "/ticket_options/",
                    f"/ticket_options/{option}/",
                    f"/ticket_options/{option}/purchases/",
                    f"/ticket_options/{option}%20",
                    f"/ticket_options/{option};a=b",
                    f"/ticket_options/{option.replace('-', '')}",
                    f"/ticket_options/{{{option}}}",
                    f"/ticket_options/urn:uuid:{option}",
                    f"/ticket_options/../ticket_options/{option}",
                    f"/Ticket_Options/{option}",
                    f"/ticket_options/{option}/purchases/{UNKNOWN}/x",
                    f"/ticket_options/{option}/purchases/{UNKNOWN}/purchase",
                    f"/ticket_options/{option}/holds/",
                    f"/ticket_options/{option}/holds/{UNKNOWN}",
                    f"/ticket_options/{option}/holds/{UNKNOWN}/purchase",
                    f"/ticket_options/{option}/holds/{UNKNOWN}/purchase/",
                    f"/ticket_options/{option}/holds/1/purchase",
                    f"/ticket_options/{option}/holds//purchase",
                    f"/ticket_options/{option}/availability/",
                    "/openapi.json.",
                    "/openapiXjson",
                ]
            ): 9,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]

    def _method(self, path: str) -> str:
        if path.endswith(("/purchases", "/holds", "/purchase", "ticket_options")):
            usual = "POST"
        elif path.startswith("/ticket_options/"):
            usual = self._random.choice(["GET", "GET", "PATCH", "DELETE"])
        else:
            usual = "GET"
        others = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
        return usual if self._random.random() < 0.8 else self._random.choice(others)

    def _query(self) -> str:
        queries = ["?", "?x=1", "?a=b&c=d&a", "?=", "?%zz", "?x=%00", "?a?b", "?/livez", "?'\"<>"]
        of_lists = [
            "?limit=2",
            "?limit=0",
            "?limit=201&after=x",
            "?limit=1&limit=2",
            f"?after={OPTIONS[1]}",
            f"?after={UNKNOWN}&limit=3",
            f"?user_id={USERS[0]}",
            f"?user_id={USERS[1]}&state=held",
            "?state=purchased",
            "?state=sold",
            "?user_id=",
        ]
        return self._random.choice([*queries, *of_lists]) if self._random.random() < 0.15 else ""

    def _host(self) -> str:
        return f"Host: {self._random.choice(['a', 'localhost:3000', '[::1]', '127.0.0.1', 'a.b'])}"

    def _headers(self) -> list[str]:
        choose = self._random.choice
        long = "x" * choose([10, 255, 256, 1_000])
        pools = {
            "Idempotency-Key": (
                0.3,
                [
                    "a",
                    "b",
                    '"a"',
                    '"c d"',
                    "",
                    '"',
                    '"a";b',
                    "caf\u00e9",
                    long,
                    "a\tb",
                    "a,b",
                    '"\\""',
                ],
            ),
            "Prefer": (
                0.3,
                [
                    "return=representation",
                    'return="representation"',
                    "RETURN=Representation; x",
                    "return=minimal",
                    "respond-async, return=representation",
                    "return=minimal, return=representation",
                    "",
                    ",",
                    'x="a, return=representation"',
                ],
            ),
            "If-None-Match": (
                0.3,
                ["*", "", "x", *self._etags, f"W/{self._etags[-1]}", f'"a", {self._etags[-1]}'],
            ),
            "If-Match": (0.03, ["*", '"x"']),
            "If-Modified-Since": (0.03, ["Sun, 01 Jan 2096 00:00:00 GMT", "x"]),
            "Range": (0.03, ["bytes=0-4", "bytes=x"]),
            "Content-Encoding": (0.05, ["gzip", "identity", "IDENTITY", "", "gzip, identity"]),
            "X-Request-ID": (0.2, ["mine", "a b", "", "x" * 129, "caf\u00e9", "a/b:c", "<script>"]),
            "Connection": (
                0.2,
                ["close", "keep-alive", "Close", "close, TE", "TE", "keep-alive, x"],
            ),
            "Expect": (0.03, ["something"]),
            "Accept": (0.1, ["text/html", "application/json;q=0", "*/*"]),
            "Accept-Encoding": (0.1, ["gzip", "br"]),
            "Accept-Language": (0.02, ["de"]),
            "Cookie": (0.1, ["a=b", "; ;", "a=\u00e9", "_xsrf=1"]),
            "Origin": (0.05, ["http://a"]),
            "X-HTTP-Method-Override": (0.02, ["DELETE"]),
            "X-Forwarded-For": (0.02, ["1.2.3.4", "x"]),
            "X-Xsrftoken": (0.02, ["1"]),
            "TE": (0.02, ["trailers"]),
            "X": (0.1, ["", "\u00ff", long]),
        }
        lines = []
        for name, (probability, values) in pools.items():
            while self._random.random() < probability:
                lines.append(
                    f"{choose([name, name, name.lower(), name.upper()])}: {choose(values)}"
                )
        return lines

    def _body(self, path: str, method: str) -> tuple[bytes, str | None]:
        choose, chance = self._random.choice, self._random.random
        if method in ("GET", "HEAD", "OPTIONS", "TRACE") and chance() < 0.95:
            return b"", None
        content_type = self._content_type(path, method)
        if chance() < 0.1:
            return self._not_an_object(), content_type
        if path.endswith("/purchase") and chance() < 0.8:
            return choose([b"", b"{}"]), content_type
        members = self._members(path, method)
        for name in list(members):
            if chance() < 0.05:
                members[name] = choose(
                    [
                        None,
                        True,
                        2.5,
                        -1,
                        0,
                        1,
                        2**31,
                        2**70,
                        "",
                        "2",
                        "\0",
                        "x" * 300,
                        [],
                        {},
                        1e300,
                    ]
                )
            if chance() < 0.02:
                del members[name]
        if chance() < 0.1:
            members["more"] = [{"a": 1}]
        if chance() < 0.03:
            members["more"] = "x" * choose([60_000, 65_300, 65_536, 70_000, 400_000])
        return json.dumps(members, ensure_ascii=chance() < 0.5).encode(), content_type

    def _content_type(self, path: str, method: str) -> str | None:
        choose = self._random.choice
        if method == "DELETE" or path.endswith("/purchase"):
            # Tornado parses forms even where no body is needed, and then both sides part ways.
            return choose(["application/json", "text/plain", None])
        if self._random.random() < 0.9:
            return "application/json"
        return choose(
            [
                None,
                "",
                "text/plain",
                "application/json; charset=utf-8",
                "APPLICATION/JSON",
                "application/merge-patch+json",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "multipart/form-data; boundary=x",
                "application/json, text/plain",
                "\u00ff",
            ]
        )

    def _members(self, path: str, method: str) -> dict[str, object]:
        """Those of a valid body."""
        if path.endswith("/purchases"):
            return self._purchase()
        if path.endswith("/holds"):
            # Long enough not to run out at different moments on both sides.
            seconds = self._random.choice([{}, {"expires_in_seconds": 600}])
            return {**self._purchase(), **seconds}
        if "/purchases/" in path:
            return {"quantity": self._random.randrange(4)}
        return self._changes() if method == "PATCH" else {**self._option(), **self._rules()}

    def _changes(self) -> dict[str, object]:
        possible = {**self._option(), "capacity": self._random.choice([60, 100, 2_000_000])}
        del possible["allocation"]
        names = self._random.sample(list(possible), self._random.randint(0, 2))
        return {**{name: possible[name] for name in names}, **self._rules()}

    def _rules(self) -> dict[str, object]:
        """Limits and windows, and more often none."""
        choose = self._random.choice
        possible = {
            "max_per_purchase": choose([None, None, 2]),
            "max_per_user": choose([None, None, 20]),
            "on_sale_from": choose(
                [None, None, "2001-01-01T00:00:00Z", "2096-01-01T00:00:00+01:00"]
            ),
            "on_sale_until": choose([None, None, "2097-01-01T00:00:00.5Z", "2000-01-01T00:00:00Z"]),
            "paused": choose([None, False, False, True]),
        }
        names = self._random.sample(list(possible), choose([0, 0, 1, 5]))
        return {name: possible[name] for name in names}

    def _purchase(self) -> dict[str, object]:
        choose = self._random.choice
        return {"quantity": choose([1, 1, 2, 3, 51, 2_147_483_647]), "user_id": choose(USERS)}

    def _option(self) -> dict[str, object]:
        choose = self._random.choice
        return {
            "name": choose(["example", " ", "\u00e9\u4e2d\U0001f600", "x" * 255]),
            "desc": choose(["", "d", "x" * 10_000, "\u2028"]),
            "allocation": choose([0, 1, 100, 2_147_483_647]),
        }

    def _not_an_object(self) -> bytes:
        bodies = [
            b"",
            b" ",
            b"{",
            b"{}",
            b"[]",
            b"null",
            b"1",
            b'"x"',
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"{} {}",
            b'{"quantity":1e400}',
            b'{"quantity":01}',
            b'{"quantity":NaN}',
            b'{"user_id":"\\ud800"}',
            b'{"user_id":"\\u0000"}',
            b'{"quantity":1,"quantity":2}',
            b"[" * 10_000,
            b'{"a":' * 10_000,
            b"a=b&c=d",
            b"--x\r\n\r\n--x--",
            "{}".encode("utf-16"),
        ]
        return self._random.choice(bodies)


def _paths(kind: str, ids: list[str]) -> list[str]:
    """The paths of what the first option has, and of what nobody has."""
    known = [f"/ticket_options/{OPTIONS[0]}/{kind}/{each}" for each in ids]
    return [f"/ticket_options/{UNKNOWN}/{kind}/{UNKNOWN}", *known]
