from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import db
from api import problems
from api.database import errors
from api.database.errors import DatabaseError, OverloadedError, RefusedError
from api.database.taking import BUSY, REFUSED_BEFORE
from api.problems import Kind, MemberError, Problem

KINDS = [kind for kind in vars(problems).values() if isinstance(kind, Kind)]

CONTRACT = {
    "malformed_json": 400,
    "malformed_header": 400,
    "not_found": 404,
    "method_not_allowed": 405,
    "sold_out": 409,
    "not_on_sale": 409,
    "limit_reached": 409,
    "capacity_in_use": 409,
    "hold_expired": 409,
    "hold_released": 409,
    "hold_purchased": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "idempotency_key_reused": 422,
    "overloaded": 503,
    "unavailable": 503,
    "internal": 500,
}


def test_the_codes_and_their_statuses_are_those_of_the_contract() -> None:
    assert {kind.code: kind.status for kind in KINDS} == CONTRACT


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_problem_has_the_members_of_the_contract(kind: Kind) -> None:
    assert json.loads(Problem(kind).body()) == {
        "type": f"/openapi.json#/components/examples/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "code": kind.code,
    }
    assert json.loads(Problem(kind, "More.").body())["detail"] == "More."


def test_errors_are_listed_in_their_order() -> None:
    errors = [MemberError("/b", "is required"), MemberError("/a", "must be \N{TICKET}")]

    body = json.loads(Problem(problems.INVALID, errors=errors).body())

    assert body["errors"] == [
        {"pointer": "/b", "detail": "is required"},
        {"pointer": "/a", "detail": "must be \N{TICKET}"},
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_only_what_is_worth_a_retry_says_when(kind: Kind) -> None:
    headers = dict(Problem(kind, headers=[("Allow", "GET")]).headers)

    assert headers.pop("Allow") == "GET"
    assert headers == ({"Retry-After": "1"} if kind.status == 503 else {})


def test_problems_do_not_share_their_headers() -> None:
    given = [("Allow", "GET")]

    first, second = Problem(problems.UNAVAILABLE, headers=given), Problem(problems.UNAVAILABLE)

    assert given == [("Allow", "GET")]
    assert first.headers == [("Allow", "GET"), ("Retry-After", "1")]
    assert second.headers == [("Retry-After", "1")]


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("TK001", "not_found"),
        ("TK002", "sold_out"),
        ("TK003", "invalid"),
        ("TK004", "idempotency_key_reused"),
        ("TK005", "not_on_sale"),
        ("TK006", "limit_reached"),
        ("TK007", "capacity_in_use"),
        ("TK008", "hold_expired"),
        ("TK009", "hold_released"),
        ("TK010", "hold_purchased"),
        ("TK011", "invalid"),
        ("40001", "overloaded"),
        ("40P01", "overloaded"),
        ("55P03", "overloaded"),
        ("57014", "overloaded"),
        ("25P04", "overloaded"),
        ("08000", "unavailable"),
        ("08006", "unavailable"),
        ("25006", "unavailable"),
        ("25P02", "unavailable"),
        ("0P000", "unavailable"),
        ("54000", "unavailable"),
        ("08P01", "unavailable"),
        ("28000", "unavailable"),
        ("28P01", "unavailable"),
        ("3D000", "unavailable"),
        ("3F000", "unavailable"),
        ("42501", "unavailable"),
        ("42883", "unavailable"),
        ("42P01", "unavailable"),
        ("53000", "unavailable"),
        ("53100", "unavailable"),
        ("53300", "unavailable"),
        ("57P01", "unavailable"),
        ("57P02", "unavailable"),
        ("57P03", "unavailable"),
        ("58030", "unavailable"),
        ("XX000", None),
        ("22012", None),
        ("54001", None),
        ("23514", None),
        ("42601", None),
        ("42703", None),
        ("TK999", None),
    ],
)
def test_every_sqlstate_has_one_answer_and_a_bug_has_none(sqlstate: str, code: str | None) -> None:
    problem = problems.problem_of(RefusedError(sqlstate, ""))

    assert (problem.kind.code if problem else None) == code


def test_an_error_without_an_sqlstate_is_a_bug() -> None:
    assert problems.problem_of(RefusedError(None, "the cursor is closed")) is None


def test_every_exception_of_the_database_layer_has_an_answer() -> None:
    raised = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, DatabaseError)
    }

    assert raised - {DatabaseError, RefusedError} == set(problems.KIND_OF_ERROR)
    for each in problems.KIND_OF_ERROR:
        problem = problems.problem_of(each())
        assert problem is not None
        assert problem.kind.status == 503


def test_a_refusal_by_a_full_queue_says_whose_room_to_wait_for() -> None:
    def room() -> int:
        return 7

    problem = problems.problem_of(OverloadedError(room))

    assert problem is not None
    assert problem.room is room


@pytest.mark.parametrize("sqlstate", sorted(problems.KIND_OF_SQLSTATE))
def test_only_what_our_functions_say_of_a_request_reaches_its_client(sqlstate: str) -> None:
    problem = problems.problem_of(RefusedError(sqlstate.ljust(5, "0"), "ticketing_private"))

    assert problem is not None
    assert (b"ticketing" in problem.body()) == (sqlstate in ("TK003", "TK011"))


def test_every_code_that_the_procedures_raise_has_an_answer() -> None:
    procedures = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(db.__file__).parent / "procedures").glob("*.sql")
    )

    # One that has a name is raised for a caller among the procedures.
    raised = set(re.findall(r"ERRCODE = '(\w{5})'", procedures))

    assert raised
    assert raised <= set(problems.KIND_OF_SQLSTATE)


def test_every_outcome_that_the_functions_return_is_known() -> None:
    returned: set[str] = set()
    for name in (
        "decide_purchases",
        "purchase_holds_of_many",
        "purchase_late_hold",
        "take_tickets_of_many",
        "take_tickets_of_one",
    ):
        path = Path(db.__file__).parent / "procedures" / f"{name}.sql"
        body = path.read_text(encoding="utf-8").partition("BEGIN")[2]
        returned.update(re.findall(r"(?:THEN|ELSE|:=|RETURN|array_fill\()\s*'(\w+)'", body))

    among_themselves = {"late", "repeated", "special"}
    answered = {*problems.KIND_OF_OUTCOME, "created", "exists", BUSY, REFUSED_BEFORE}
    assert returned - among_themselves == answered - {"hold_purchased"}
