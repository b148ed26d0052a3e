"""Two sessions and one hold, purchase or option: whoever comes second sees what the first did.

Each race is forced, and has a negative control: the function without the guard that it is about.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from db import manifest
from loadtests.harness.postgres import connect, value
from tests.concurrency.test_interleavings import Race
from tests.sql.lifecycle import OTHER_USER, USER, Life, findings, set_clock, stop_clock

Call = tuple[Any, ...]
"""A statement and its arguments."""

PAUSE = """
    PERFORM CASE
        WHEN current_setting('application_name') = 'second'
            THEN pg_catalog.pg_advisory_xact_lock_shared(1)
    END;
"""


@pytest.fixture
def race(database: str) -> Iterator[Race]:
    made = Race(database)
    stop_clock(made.observer)
    yield made
    made.close()


@pytest.fixture
def life(race: Race) -> Life:
    return Life(race.observer)


def install(race: Race, name: str, *changes: tuple[str, str]) -> None:
    """Install a function with other text in the place of some that it has."""
    source = (manifest.PROCEDURES / f"{name}.sql").read_text()
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    race.observer.execute(source.encode())


@contextmanager
def in_the_middle(race: Race, *call: Any) -> Iterator[Any]:
    """What the first session's call returns, which is committed at the end."""
    with race.first.transaction():
        yield value(race.first, *call)


def purchase(life: Life, quantity: int, user: Any = OTHER_USER) -> Call:
    return (
        "SELECT outcomes[1] FROM ticketing.try_purchase_tickets"
        "(%s, %s::uuid[], %s::uuid[], %s::int[], 60000)",
        life.option,
        [uuid.uuid4()],
        [user],
        [quantity],
    )


def purchase_hold(life: Life, hold: Any) -> Call:
    call = "SELECT outcomes[1] FROM ticketing.try_purchase_holds(%s, %s::uuid[], 60000)"
    return call, life.option, [hold]


def release(life: Life, hold: Any) -> Call:
    return "SELECT ticketing.try_release_hold(%s, %s)", life.option, hold


def give_back(life: Life, bought: Any, remaining: int) -> Call:
    call = "SELECT outcome FROM ticketing.try_return_tickets(%s, %s, %s)"
    return call, life.option, bought, remaining


def change_capacity(life: Life, capacity: int) -> Call:
    call = "SELECT outcome FROM ticketing.try_update_ticket_option(%s, %s)"
    return call, life.option, Jsonb({"capacity": capacity})


# A hold of all ten tickets, which has run out or not.

ALL: dict[str, Callable[[Life, Any], Call]] = {
    "demand": lambda life, _: purchase(life, 10),
    "purchase": purchase_hold,
    "release": release,
}


@pytest.mark.parametrize(
    ("ran_out", "first", "second", "outcomes", "counted"),
    [
        (True, "demand", "purchase", ("created", "hold_expired"), (10, 0, 0)),
        (True, "demand", "release", ("created", "expired"), (10, 0, 0)),
        (True, "purchase", "demand", ("created", "sold_out"), (10, 0, 0)),
        (True, "purchase", "release", ("created", "hold_purchased"), (10, 0, 0)),
        (True, "purchase", "purchase", ("created", "exists"), (10, 0, 0)),
        (True, "release", "demand", ("expired", "created"), (10, 0, 0)),
        (True, "release", "purchase", ("expired", "hold_released"), (0, 0, 10)),
        (True, "release", "release", ("expired", "exists"), (0, 0, 10)),
        (False, "purchase", "release", ("created", "hold_purchased"), (10, 0, 0)),
        (False, "purchase", "purchase", ("created", "exists"), (10, 0, 0)),
        (False, "release", "purchase", ("released", "hold_released"), (0, 0, 10)),
        (False, "release", "release", ("released", "exists"), (0, 0, 10)),
    ],
)
def test_of_two_who_end_a_hold_the_second_finds_what_the_first_made_of_it(
    race: Race,
    life: Life,
    ran_out: bool,
    first: str,
    second: str,
    outcomes: tuple[str, str],
    counted: tuple[int, int, int],
) -> None:
    *_, hold = life.hold(10)
    set_clock(race.observer, 600 if ran_out else 0)

    with in_the_middle(race, *ALL[first](life, hold)) as outcome:
        waiting = race.second_calls(*ALL[second](life, hold))

    assert (outcome, waiting.result()) == outcomes
    assert life.counted() == counted
    life.check()


def test_a_sweep_takes_a_hold_once_whoever_else_ends_it(race: Race, life: Life) -> None:
    *_, hold = life.hold(10)
    set_clock(race.observer, 600)

    with in_the_middle(race, "SELECT ticketing.sweep_expired_holds()") as swept:
        assert swept == 1
        waiting = race.second_calls(*purchase_hold(life, hold))

    assert waiting.result() == "created"
    life.check()


def test_a_sweep_waits_for_nobody_and_is_alone(race: Race, life: Life) -> None:
    other = Life(race.observer)
    life.hold(1)
    other.hold(1)
    set_clock(race.observer, 600)
    race.second.execute("SET lock_timeout = '1ms'")

    with in_the_middle(race, *purchase(life, 1)):
        assert value(race.second, "SELECT ticketing.sweep_expired_holds()") == 1
        assert value(race.second, "SELECT ticketing.sweep_expired_holds()") == 0
    with in_the_middle(race, "SELECT ticketing.sweep_expired_holds()"):
        other.hold(1, seconds=1)
        set_clock(race.observer, 601)
        assert value(race.second, "SELECT ticketing.sweep_expired_holds()") == 0
    assert value(race.second, "SELECT ticketing.sweep_expired_holds()") == 1


def test_without_the_lock_a_hold_is_purchased_whose_tickets_went_to_another(
    race: Race, life: Life
) -> None:
    """The negative control: without the option's lock, the state that it saw is not the hold's."""
    install(
        race,
        "purchase_holds_of_many",
        ("        FOR NO KEY UPDATE SKIP LOCKED\n", ""),
    )
    install(race, "try_purchase_holds", ("        FOR NO KEY UPDATE;", ";"))
    *_, hold = life.hold(10)

    with in_the_middle(race, *release(life, hold)):
        waiting = race.second_calls(*purchase_hold(life, hold))

    assert waiting.exception() or findings(race.observer)


@contextmanager
def two_who_give_back(race: Race, life: Life) -> Iterator[Any]:
    """A purchase of five, of which three are to remain, says each of two."""
    *_, bought = life.purchase(5)
    with in_the_middle(race, *give_back(life, bought, 3)):
        waiting = race.second_calls(*give_back(life, bought, 3))
    yield waiting.result(), life.counted()


def test_two_who_give_the_same_tickets_back_return_them_once(race: Race, life: Life) -> None:
    with two_who_give_back(race, life) as found:
        assert found == ("unchanged", (3, 0, 7))
    life.check()


def test_without_its_locks_the_same_tickets_are_given_back_twice(race: Race, life: Life) -> None:
    """The negative control."""
    install(race, "try_return_tickets", ("\n    FOR NO KEY UPDATE;", ";"))

    with two_who_give_back(race, life) as found:
        assert found == ("returned", (1, 0, 9))


def test_tickets_that_are_given_back_go_to_whoever_waits(race: Race, life: Life) -> None:
    *_, bought = life.purchase(9)

    with in_the_middle(race, *give_back(life, bought, 0)):
        waiting = race.second_calls(*purchase(life, 1))

    assert waiting.result() == "created"
    life.check()


@pytest.mark.parametrize(("capacity", "outcome"), [(9, "capacity_in_use"), (10, "updated")])
def test_a_capacity_is_not_lowered_below_what_is_being_sold(
    race: Race, life: Life, capacity: int, outcome: str
) -> None:
    with in_the_middle(race, *purchase(life, 10)):
        waiting = race.second_calls(*change_capacity(life, capacity))

    assert waiting.result() == outcome
    life.check()


def test_nobody_buys_what_a_lower_capacity_takes_away(race: Race, life: Life) -> None:
    with in_the_middle(race, *change_capacity(life, 4)):
        waiting = race.second_calls(*purchase(life, 5))

    assert waiting.result() == "sold_out"
    assert life.counted() == (0, 0, 4)
    life.check()


COUNTS = re.compile(r"            - coalesce\(\n.*?\n            \)\n", re.DOTALL)


@pytest.mark.parametrize(("is_counted", "outcome"), [(True, "limit_reached"), (False, "created")])
def test_a_user_does_not_get_past_the_limit_with_two_requests_at_once(
    race: Race, life: Life, is_counted: bool, outcome: str
) -> None:
    """The negative control does not count what the user has."""
    life.change(max_per_user=2)
    if not is_counted:
        source = (manifest.PROCEDURES / "rules_of_option.sql").read_text()
        assert len(COUNTS.findall(source)) == 1
        race.observer.execute(COUNTS.sub("", source).encode())

    with in_the_middle(race, *purchase(life, 2)):
        waiting = race.second_calls(*purchase(life, 1))

    assert waiting.result() == outcome


@pytest.mark.parametrize("taking", ["purchase", "hold"])
def test_a_hundred_requests_of_a_user_at_once_get_the_limit(
    database: str, life: Life, taking: str
) -> None:
    life.change(capacity=1000, max_per_user=7)

    def take(_: int) -> list[str]:
        with connect(database) as connection:
            mine = Life.of(connection, life.option)
            return [getattr(mine, taking)(1)[0] for _ in range(10)]

    with ThreadPoolExecutor(10) as threads:
        outcomes = [outcome for taken in threads.map(take, range(10)) for outcome in taken]

    assert (outcomes.count("created"), outcomes.count("limit_reached")) == (7, 93)
    life.check()


def sending(life: Life, taking: str, id: Any) -> tuple[str, tuple[Any, ...]]:
    """The statement of a first sending, which has room for resend_ids, and its arguments."""
    [statement, arguments] = {
        "purchase": (
            "try_purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::int[], 60000{})",
            (life.option, [id], [USER], [4]),
        ),
        "hold": (
            "try_hold_tickets(%s, %s::uuid[], %s::uuid[], %s::int[], '{{600}}', 60000{})",
            (life.option, [id], [USER], [4]),
        ),
        "late hold": ("try_purchase_holds(%s, %s::uuid[], 60000{})", (life.option, [id])),
    }[taking]
    return f"SELECT outcomes[1] FROM ticketing.{statement}", arguments


REFUSED = {"purchase": "sold_out", "hold": "sold_out", "late hold": "hold_expired"}


@contextmanager
def overtaken(race: Race, life: Life, taking: str) -> Iterator[Any]:
    """The first sending, which comes after its resend was refused and tickets were given back.

    Yields its outcome, and the id of what it asked for.
    """
    for name in ("take_tickets_of_one", "try_purchase_holds"):
        source = (manifest.PROCEDURES / f"{name}.sql").read_text()
        race.observer.execute(
            re.sub("^BEGIN$", f"BEGIN{PAUSE}", source, flags=re.MULTILINE).encode()
        )
    asked = uuid.uuid4()
    if taking == "late hold":
        life.hold(4, id=asked)
        set_clock(race.observer, 600)
    *_, bought = life.purchase(10, user=OTHER_USER)
    statement, arguments = sending(life, taking, asked)
    race.observer.execute("SELECT pg_advisory_lock(1)")
    first = race.second_calls(statement.format(""), *arguments)

    again = statement.format(", %s::uuid[]"), *arguments, [uuid.uuid4()]
    assert [value(race.first, *again) for _ in range(2)] == [REFUSED[taking]] * 2
    life.give_back(bought)
    race.observer.execute("SELECT pg_advisory_unlock(1)")

    # What was refused stays refused, for this request.
    assert value(race.first, *again) == REFUSED[taking]
    yield first.result(), asked


@pytest.mark.parametrize("taking", REFUSED)
def test_a_sending_that_comes_after_its_resend_was_refused_gets_nothing(
    race: Race, life: Life, taking: str
) -> None:
    with overtaken(race, life, taking) as (outcome, asked):
        assert outcome == "refused_before"
        assert life.counted() == (0, 0, 10)

        # Another request for the same, with the same key, is decided anew, and then is stored.
        statement, arguments = sending(life, taking, asked)
        anew = statement.format(", %s::uuid[]"), *arguments, [uuid.uuid4()]
        assert [value(race.first, *anew) for _ in range(2)] == ["created", "exists"]
        assert value(race.first, statement.format(""), *arguments) == "exists"
    life.check()


@pytest.mark.parametrize("taking", REFUSED)
def test_without_a_stored_refusal_it_is_filled_after_all(
    race: Race, life: Life, taking: str
) -> None:
    """The negative control."""
    install(race, "store_refusals", ("WHERE asked.outcome IN", "WHERE false AND asked.outcome IN"))

    with pytest.raises(AssertionError), overtaken(race, life, taking) as (outcome, _):
        assert outcome == "refused_before"


def test_a_late_first_sending_among_many_gets_nothing(race: Race, life: Life) -> None:
    other = Life(race.observer)
    ids = [uuid.uuid4(), uuid.uuid4()]
    of_many = (
        "SELECT outcomes FROM ticketing.try_purchase_tickets_of_many"
        "(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::uuid[])"
    )
    asked = [[life.option, other.option], ids, [USER, USER], [4, 4]]
    *_, bought = life.purchase(10, user=OTHER_USER)
    assert value(race.first, of_many, *asked, [uuid.uuid4()] * 2) == ["sold_out", "created"]
    life.give_back(bought)

    assert value(race.first, of_many, *asked, None) == ["refused_before", "exists"]
    old = "SELECT ticketing.purchase_tickets_of_many(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[])"
    assert value(race.first, old, *asked) == ["sold_out", "exists"]
    assert value(race.first, of_many, *asked, [uuid.uuid4()] * 2) == ["created", "exists"]
    life.check()


def test_people_purchase_what_was_refused_in_a_resend(race: Race, life: Life) -> None:
    *_, bought = life.purchase(10, user=OTHER_USER)
    ids = [uuid.uuid4(), uuid.uuid4(), uuid.uuid4()]
    life.hold(4, id=ids[2])
    for taking, asked in zip(("purchase", "hold"), ids, strict=False):
        statement, arguments = sending(life, taking, asked)
        assert (
            value(race.first, statement.format(", %s::uuid[]"), *arguments, [asked]) == "sold_out"
        )
    life.give_back(bought)

    by_hand = "SELECT ticketing.purchase_tickets(%s, %s, 4, %s)"
    assert value(race.first, by_hand, life.option, USER, ids[0]) == ids[0]
    hold = "SELECT ticketing.hold_tickets(%s, %s, 4, 600, %s)"
    assert value(race.first, hold, life.option, USER, ids[1]) == ids[1]
    life.check()
