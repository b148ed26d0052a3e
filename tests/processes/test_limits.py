"""Limits and capacities hold whoever buys at once: over HTTP in two processes, and in psql."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg

from db import manifest
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, value
from tests.processes.conftest import USER, Answer, Buyer
from tests.processes.test_draining import lock_option

LIMIT = 7
LIMIT_REACHED = "TK006"


def ask_in_psql(database: str, option: str, function: str, times: int) -> list[str | None]:
    """Ask for a ticket so many times, as operator; the SQLSTATE of each refusal, or None."""
    refusals: list[str | None] = []
    with connect(database, role="ticketing_operator") as operator:
        for _ in range(times):
            try:
                operator.execute(
                    f"SELECT {function}(%s::uuid, %s::uuid, 1)".encode(),
                    (option.rpartition("/")[2], USER),
                )
                refusals.append(None)
            except psycopg.Error as refusal:
                refusals.append(refusal.sqlstate)
    return refusals


def what_a_user_gets(database: str, buyer: Buyer) -> int:
    """Have one user ask 140 times at once for a ticket; how many they got, told and stored."""
    option = buyer.new_option(1000, max_per_user=LIMIT)

    def ask(number: int) -> Answer:
        kind = ("purchases", "holds")[number % 2]
        return buyer.send("POST", f"{option}/{kind}", {"quantity": 1, "user_id": USER})

    with connect(database) as locker, ThreadPoolExecutor(104) as threads:
        with locker.transaction():
            lock_option(locker, option)
            over_http = [threads.submit(ask, number) for number in range(100)]
            in_psql = [
                threads.submit(ask_in_psql, database, option, function, 10)
                for function in ("purchase_tickets", "hold_tickets") * 2
            ]
            with connect(database) as observer:
                wait_until_blocked(observer, "ticket-allocation", 2)
        answers = [each.result() for each in over_http]
        refusals = [refusal for each in in_psql for refusal in each.result()]

        assert {answer.status for answer in answers} <= {201, 409}
        assert {answer.code for answer in answers if answer.status == 409} <= {"limit_reached"}
        assert set(refusals) <= {None, LIMIT_REACHED}
        got = sum(answer.status == 201 for answer in answers) + refusals.count(None)
        availability = json.loads(buyer.send("GET", f"{option}/availability").body)
        assert availability["sold"] + availability["held"] == got
        assert value(locker, "SELECT count(*) FROM ticketing.audit_allocations()") == 0
    return got


def test_a_user_who_asks_everywhere_at_once_gets_exactly_the_limit(
    database: str, buyer: Buyer
) -> None:
    assert what_a_user_gets(database, buyer) == LIMIT


def test_the_limit_is_found_broken_where_what_a_user_has_is_not_counted(
    database: str, buyer: Buyer
) -> None:
    """The negative control."""
    source = (manifest.PROCEDURES / "rules_of_option.sql").read_text()
    counted = (
        "WHERE hold.ticket_option_id = option_id",
        "WHERE purchase.ticket_option_id = option_id",
    )
    for each in counted:
        assert each in source
        source = source.replace(each, f"{each} AND false")
    with connect(database) as superuser:
        superuser.execute(source.encode())

    assert what_a_user_gets(database, buyer) > LIMIT


def test_a_capacity_that_is_lowered_while_the_last_tickets_are_sold_is_kept(
    database: str, buyer: Buyer
) -> None:
    option, capacities = buyer.new_option(40), range(38, 8, -2)

    def take(kind: str) -> Answer:
        return buyer.send("POST", f"{option}/{kind}", {"quantity": 1, "user_id": USER})

    def confirm(hold: str) -> Answer:
        return buyer.send("POST", f"{hold}/purchase")

    def lower(capacity: int) -> Answer:
        return buyer.send("PATCH", option, {"capacity": capacity})

    held = [str(take("holds").headers["Location"]) for _ in range(5)]
    with connect(database) as locker, ThreadPoolExecutor(80) as threads:
        with locker.transaction():
            lock_option(locker, option)
            purchases = [threads.submit(take, "purchases") for _ in range(30)]
            lowered = [threads.submit(lower, capacity) for capacity in capacities]
            confirmed = [threads.submit(confirm, hold) for hold in held]
            holds = [threads.submit(take, "holds") for _ in range(30)]
            with connect(database) as observer:
                # In each process a sale and a change.
                wait_until_blocked(observer, "ticket-allocation", 4)
        sold, kept = created(purchases), created(holds)
        assert created(confirmed) == len(held)

        shown = json.loads(buyer.send("GET", f"{option}/availability").body)
        assert (shown["sold"], shown["held"]) == (sold + len(held), kept)
        assert shown["available"] == shown["capacity"] - shown["sold"] - shown["held"] >= 0
        assert value(locker, "SELECT count(*) FROM ticketing.audit_allocations()") == 0

    changed = {40}
    for capacity, change in zip(capacities, lowered, strict=True):
        answer = change.result()
        said = json.loads(answer.body)
        if answer.status == 200:
            changed.add(capacity)
            assert 0 <= said["allocation"] <= capacity - len(held)
        else:
            assert (answer.status, said["code"]) == (409, "capacity_in_use")
            assert capacity < said["sold"] + said["held"] <= said["capacity"]
    assert shown["capacity"] in changed


def created(requests: list[Future[Answer]]) -> int:
    """How many have taken what they asked for; there was nothing left for the others."""
    answers = [request.result() for request in requests]
    refused = [json.loads(answer.body) for answer in answers if answer.status != 201]
    assert {(each["code"], each.get("available")) for each in refused} <= {("sold_out", 0)}
    return len(answers) - len(refused)
