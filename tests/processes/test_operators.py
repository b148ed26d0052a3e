"""The commands for operators."""

from __future__ import annotations

import uuid

from loadtests.harness.postgres import connect, new_option
from tests.processes.test_startup import run

USER = uuid.uuid4()


def psql(database: str, *statements: str) -> tuple[int, str, str]:
    commands = [argument for statement in statements for argument in ("-c", statement)]
    options = ["-X", "-At", "-v", "VERBOSITY=verbose"]
    ended = run("psql", "--", *options, *commands, DATABASE_URL=database)
    return ended.returncode, ended.stdout.strip(), ended.stderr


def test_an_operator_can_purchase_in_psql(any_database: str) -> None:
    with connect(any_database) as superuser:
        option = new_option(superuser, 10)

    code, printed, errors = psql(
        any_database,
        f"select purchase_tickets('{option}', '{USER}', 2)",
        f"select purchase_tickets(option_id => '{option}', user_id => '{USER}', qty => 2)",
        f"select purchase_tickets(qty => 2, option_id => '{option}', user_id => '{USER}')",
        f"select allocation from ticket_options where id = '{option}'",
    )

    assert (code, errors) == (0, "")
    *purchases, left = printed.split()
    assert len({uuid.UUID(purchase) for purchase in purchases}) == 3
    assert left == "4"


def test_an_operator_is_told_what_is_left_and_what_to_do(database: str) -> None:
    with connect(database) as superuser:
        option = new_option(superuser, 1)

    code, _, errors = psql(database, f"select purchase_tickets('{option}', '{USER}', 2)")

    assert code == 1
    assert "ERROR:  TK002: not enough tickets left: 2 requested, 1 available" in errors
    assert "HINT:  Request at most 1." in errors


def test_an_operator_is_not_the_owner(database: str) -> None:
    code, printed, errors = psql(
        database, "select current_user", "select * from ticketing_private.purchases"
    )

    assert (code, printed) == (1, "ticketing_operator")
    assert "permission denied" in errors


def test_the_functions_describe_themselves(database: str) -> None:
    _, printed, _ = psql(database, r"\df+ ticketing.*")

    assert "Sells qty tickets of a ticket option to a user" in printed


def test_the_audit_is_silent_while_the_numbers_add_up(database: str) -> None:
    with connect(database) as superuser:
        option = new_option(superuser, 5)
        superuser.execute("SELECT ticketing.purchase_tickets(%s, %s, 2)", (option, USER))

    ended = run("audit", DATABASE_URL=database)

    assert (ended.returncode, ended.stdout) == (0, "0 of 1 allocations are wrong.\n")


def test_the_audit_names_what_does_not_add_up(database: str) -> None:
    with connect(database) as superuser:
        option = new_option(superuser, 5)
        superuser.execute("UPDATE ticketing_private.ticket_options SET allocation = 3")

    ended = run("audit", DATABASE_URL=database)

    assert ended.returncode == 1
    assert f"{option} 'a': capacity 5, left 3, held 0, sold 0: tickets lost: 2" in ended.stdout
    assert "1 of 1 allocations are wrong." in ended.stdout


def test_the_audit_names_what_is_of_no_option(database: str) -> None:
    with connect(database) as superuser:
        option = new_option(superuser, 5)
        superuser.execute("SELECT ticketing.purchase_tickets(%s, %s, 2)", (option, USER))
        superuser.execute("DELETE FROM ticketing_private.ticket_options")

    ended = run("audit", DATABASE_URL=database)

    assert ended.returncode == 1
    assert ended.stdout == (
        f"{option} None: capacity None, left None, held 0, sold 2: the ticket option is missing\n"
        "1 of 0 allocations are wrong.\n"
    )


def test_a_missing_database_is_an_error_without_a_traceback() -> None:
    ended = run("audit", DATABASE_URL="postgresql://127.0.0.1:1/nowhere")

    assert ended.returncode == 1
    assert "Connection refused" in ended.stderr
    assert "Traceback" not in ended.stderr
