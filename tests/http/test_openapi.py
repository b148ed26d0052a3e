from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from tornado.httputil import HTTPHeaders
from tornado.routing import PathMatches

from api import problems
from api.app import make_app, make_resources
from api.problems import Kind, MemberError, Problem
from api.schemas import (
    NewHold,
    NewPurchase,
    NewTicketOption,
    PurchaseChanges,
    TicketOptionChanges,
)
from api.web import headers
from api.web.bodies import Decoder
from loadtests.harness.openapi import DOCUMENT, resolve
from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"

KINDS = [kind for kind in vars(problems).values() if isinstance(kind, Kind)]

# JSON Schema cannot refuse 2.0, which counts as an integer there; the descriptions do.
ALLOCATIONS: list[Any] = [
    0,
    1,
    2_147_483_647,
    -1,
    2_147_483_648,
    10**30,
    2.5,
    True,
    "2",
    None,
    [],
    {},
]
QUANTITIES: list[Any] = [1, 2, 2_147_483_647, 0, *ALLOCATIONS]
SECONDS: list[Any] = [1, 86_400, 0, 86_401, *ALLOCATIONS]
LIMITS: list[Any] = [1, None, *QUANTITIES]
PAUSED: list[Any] = [True, False, None, 0, "true"]
MOMENTS: list[Any] = [
    "2026-11-25T09:00:00Z",
    "2026-11-25t09:00:00.123456789z",
    "2026-11-25T09:00:00.5+05:45",
    "2026-02-30T09:00:00Z",
    "2026-11-25 09:00:00Z",
    "2026-11-25T09:00:00+0100",
    "2026-11-25T24:00:00Z",
    "2026-13-25T09:00:00Z",
    "2026-11-25T09:00:00",
    "2026-11-25",
    "2026-11-25T09:00Z",
    "2026-11-25T09:00:00.Z",
    "now",
    1,
    None,
]
NAMES: list[Any] = [
    "a",
    "a" * 255,
    "a" * 256,
    "\N{TICKET}" * 255,
    "\N{TICKET}" * 256,
    "",
    "\u0000",
    "a\u0000",
    "a\n",
    "\na",
    *(chr(point) for point in range(0x2100)),
    "\u3000",
    "\u3000\u2028 \t",
    "\ufeff",
    1,
    None,
    [],
]
DESCS: list[Any] = [
    "",
    "a" * 10_000,
    "a" * 10_001,
    "\N{TICKET}" * 10_000,
    "\u0000",
    "a\u0000",
    "\n",
    1,
    None,
]
USER_IDS: list[Any] = [
    USER,
    USER.upper(),
    USER.replace("-", ""),
    f"{{{USER}}}",
    USER[:-1],
    USER + "0",
    USER.replace("4", "\N{FULLWIDTH DIGIT FOUR}"),
    f"x{USER}",
    "",
    1,
    None,
]
KEYS = [
    "a",
    '"a"',
    "a b",
    '"a b"',
    'a"b',
    '"a\\"b"',
    "a\\b",
    '"\\\\"',
    "~",
    "!",
    '" "',
    "x" * 255,
    f'"{"x" * 255}"',
    "x" * 256,
    f'"{"x" * 256}"',
    '"' + '\\"' * 255 + '"',
    '"' + '\\"' * 256 + '"',
    "",
    '""',
    '"',
    '"a',
    '"a"b',
    '"a"b"',
    '"a\\b"',
    '"a\\"',
    "a\tb",
    "caf\u00e9",
    "\u007f",
]


def validator(pointer: str) -> Draft202012Validator:
    """A validator for the document's schema at the JSON pointer."""
    return Draft202012Validator(
        {**DOCUMENT, "$ref": f"#{pointer}"}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def nodes(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every object in the document, with its JSON pointer."""
    if isinstance(node, dict):
        yield pointer, node
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from nodes(child, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")


def examples() -> Iterator[tuple[str, str, Any]]:
    """Every example in the document: its place, the place of its schema, and its value."""
    for pointer, node in nodes(DOCUMENT):
        if re.fullmatch(r".*/examples/\w+/value(/.*)?", pointer):
            continue
        if "schema" in node:
            if "example" in node:
                yield f"{pointer}/example", f"{pointer}/schema", node["example"]
            for name, example in node.get("examples", {}).items():
                yield f"{pointer}/examples/{name}", f"{pointer}/schema", resolve(example)["value"]
        elif isinstance(node.get("examples"), list):
            for place, value in enumerate(node["examples"]):
                yield f"{pointer}/examples/{place}", pointer, value


def header(kind: str, name: str) -> Any:
    """The document's pattern for a header."""
    return DOCUMENT["components"][kind][name]["schema"]["pattern"]


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_the_document_has_exactly_the_routes_of_the_route_table() -> None:
    # No route is called, so nothing needs to work.
    store: Any = None
    app = make_app(make_resources(store), store)
    documented = {
        re.sub(r"\{[^}]*\}", USER, template): {
            method.upper() for method in item if method != "parameters"
        }
        for template, item in DOCUMENT["paths"].items()
    }

    routed = [
        {
            path: set(rule.target.allowed_methods())
            for path in documented
            if isinstance(rule.matcher, PathMatches) and rule.matcher.regex.fullmatch(path)
        }
        for rule in app.wildcard_router.rules
    ]

    assert all(len(paths) == 1 for paths in routed)
    assert {path: methods for paths in routed for path, methods in paths.items()} == documented
    assert len(routed) == len(documented)


async def test_the_document_and_the_route_table_agree_on_path_parameters(
    client: Client, subtests: pytest.Subtests
) -> None:
    option = await client.new_option(allocation=10)
    documented = re.compile(DOCUMENT["components"]["parameters"]["OptionId"]["schema"]["pattern"])
    option_id = option.rpartition("/")[2]

    for given in (option_id, option_id.upper(), option_id.replace("-", ""), option_id[:-1], "1"):
        with subtests.test(given):
            answer = await client.get(f"/ticket_options/{given}")

            assert (answer.code == 200) == bool(documented.search(given))


def test_every_example_matches_its_schema(subtests: pytest.Subtests) -> None:
    found = list(examples())
    for where, schema, value in found:
        with subtests.test(where):
            validator(schema).validate(value)

    assert len(found) > 50


def test_links_lead_to_operations_that_exist() -> None:
    operations = {
        node["operationId"]
        for _, node in nodes(DOCUMENT)
        if "responses" in node and "operationId" in node
    }
    links = [link for _, node in nodes(DOCUMENT) for link in node.get("links", {}).values()]

    assert links
    assert {link["operationId"] for link in links} <= operations


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_problem_is_explained_where_its_type_points(kind: Kind) -> None:
    errors = [MemberError("/quantity", "is required")] if kind is problems.INVALID else []
    problem = json.loads(Problem(kind, errors=errors).body())
    path, _, pointer = problem["type"].partition("#")

    explained = resolve({"$ref": f"#{pointer}"})

    assert path == "/openapi.json"
    assert explained["description"]
    for member in ("type", "title", "status", "detail", "code"):
        assert explained["value"][member] == problem[member]
    assert ("errors" in explained["value"]) == (kind is problems.INVALID)


def test_only_existing_problems_are_explained() -> None:
    codes = {kind.code for kind in KINDS}
    problem = DOCUMENT["components"]["schemas"]["Problem"]["properties"]

    assert len(codes) == len(KINDS) == 18
    assert set(DOCUMENT["components"]["examples"]) == codes
    assert set(problem["code"]["enum"]) == codes
    assert set(problem["status"]["enum"]) == {kind.status for kind in KINDS}


async def test_the_type_of_a_problem_can_be_followed(client: Client) -> None:
    problem = json.loads((await client.get("/nothing")).body)
    path, _, pointer = problem["type"].partition("#")

    node = json.loads((await client.get(path)).body)
    for token in pointer.removeprefix("/").split("/"):
        node = node[token]

    assert {**node["value"], "detail": ""} == {**problem, "detail": ""}


@pytest.mark.parametrize(
    ("struct", "good", "member", "values"),
    [
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "name", NAMES),
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "desc", DESCS),
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "allocation", ALLOCATIONS),
        (NewPurchase, {"quantity": 1, "user_id": USER}, "quantity", QUANTITIES),
        (NewPurchase, {"quantity": 1, "user_id": USER}, "user_id", USER_IDS),
        (NewHold, {"quantity": 1, "user_id": USER}, "expires_in_seconds", SECONDS),
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "max_per_user", LIMITS),
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "on_sale_from", MOMENTS),
        (NewTicketOption, {"name": "a", "desc": "", "allocation": 1}, "paused", PAUSED),
        (TicketOptionChanges, {}, "name", NAMES),
        (TicketOptionChanges, {}, "capacity", ALLOCATIONS),
        (TicketOptionChanges, {}, "max_per_purchase", LIMITS),
        (TicketOptionChanges, {}, "on_sale_until", MOMENTS),
        (TicketOptionChanges, {}, "paused", PAUSED),
        (PurchaseChanges, {}, "quantity", ALLOCATIONS),
    ],
)
def test_the_document_accepts_the_bodies_that_the_service_accepts(
    struct: type[msgspec.Struct], good: dict[str, Any], member: str, values: list[Any]
) -> None:
    decoder: Decoder[Any] = Decoder(struct)
    documented = validator(f"/components/schemas/{struct.__name__}")
    without = {name: value for name, value in good.items() if name != member}

    outcomes = set()
    takes_more = not struct.__struct_config__.forbid_unknown_fields
    more = {"unknown": None} if takes_more else {}
    for body in [without, *({**good, member: value, **more} for value in values)]:
        refused = []
        try:
            decoder.decode(json.dumps(body).encode())
        except Problem as problem:
            refused = [error.pointer for error in problem.errors]
        assert refused in ([], [f"/{member}"]), ascii(body)
        assert documented.is_valid(body) == (not refused), ascii(body)
        outcomes.add(not refused)

    assert outcomes == {True, False}


@pytest.mark.parametrize("body", [None, [], "{}", 1, True])
def test_the_document_requires_objects_as_the_service_does(body: Any) -> None:
    for struct in (NewTicketOption, NewPurchase):
        assert not validator(f"/components/schemas/{struct.__name__}").is_valid(body)


def test_the_document_accepts_the_keys_that_the_service_accepts(
    subtests: pytest.Subtests,
) -> None:
    documented = re.compile(header("parameters", "IdempotencyKey"))

    for key in KEYS:
        with subtests.test(key):
            given = HTTPHeaders()
            given["Idempotency-Key"] = key
            try:
                is_accepted = headers.idempotency_key(given) is not None
            except Problem:
                is_accepted = False

            assert bool(documented.search(key)) == is_accepted


def test_the_document_and_the_service_agree_on_request_ids() -> None:
    documented = re.compile(header("headers", "RequestId"))

    for request_id in (*(f"a{chr(point)}b" for point in range(0x100)), "", "a" * 128, "a" * 129):
        given = HTTPHeaders()
        given["X-Request-ID"] = request_id

        is_taken = headers.request_id(given) == request_id

        assert bool(documented.search(request_id)) == is_taken, ascii(request_id)
