from __future__ import annotations

import psycopg
import pytest

from api import problems
from api.database import errors
from api.database.errors import RefusedError
from api.database.faults import Fault, fault_of, is_one_items_fault


@pytest.mark.parametrize(
    "sqlstate", [each for each in sorted(problems.KIND_OF_SQLSTATE) if each[:2] != "TK"]
)
def test_what_is_worth_a_retry_is_never_one_items_fault(sqlstate: str) -> None:
    assert not is_one_items_fault(RefusedError(sqlstate.ljust(5, "0"), ""))


@pytest.mark.parametrize("sqlstate", ["TK003", "22012", "23514", "XX000", "0A000", None])
def test_what_a_call_would_meet_again_may_be_one_items_fault(sqlstate: str | None) -> None:
    assert is_one_items_fault(RefusedError(sqlstate, ""))


@pytest.mark.parametrize(
    "error", [errors.OverloadedError, errors.UnavailableError, errors.NotReadyError]
)
def test_that_a_call_was_not_answered_is_no_items_fault(
    error: type[errors.DatabaseError],
) -> None:
    assert not is_one_items_fault(error())


def test_a_bug_may_be_one_items_fault() -> None:
    assert is_one_items_fault(ValueError())


def test_a_connection_that_broke_leaves_the_outcome_unknown() -> None:
    assert fault_of(psycopg.OperationalError("server closed it")) is Fault.UNKNOWN_OUTCOME
    assert fault_of(psycopg.InterfaceError("the cursor is closed")) is Fault.OF_REQUEST
