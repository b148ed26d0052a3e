"""The life of a ticket, walked at random by several sessions at once, against a plain model."""

from __future__ import annotations

import copy
import itertools
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from db import manifest
from loadtests.harness.postgres import Server, connect, value
from loadtests.harness.service import wait_for
from tests.sql.lifecycle import Life, set_clock, stop_clock

CAPACITY = 12
SECONDS = 600
USERS = [uuid.UUID(int=number) for number in (101, 102)]

REFUSED = {"not_on_sale", "limit_reached", "sold_out"}

Operation = tuple[str, tuple[Any, ...]]


class Model:
    """What should be: no counter, no lock, no sweep."""

    def __init__(self) -> None:
        self.now = 0
        self.capacity = CAPACITY
        self.max_per_user: int | None = None
        self.is_paused = False
        self.purchases: dict[uuid.UUID, dict[str, Any]] = {}
        self.holds: dict[uuid.UUID, dict[str, Any]] = {}

    def state(self, hold: dict[str, Any]) -> Any:
        if hold["state"] == "held" and hold["ends"] <= self.now:
            return "expired"
        return hold["state"]

    def held(self, user: Any = None) -> int:
        return sum(
            hold["quantity"]
            for hold in self.holds.values()
            if self.state(hold) == "held" and user in (None, hold["user"])
        )

    def sold(self, user: Any = None) -> int:
        return sum(
            purchase["left"]
            for purchase in self.purchases.values()
            if user in (None, purchase["user"])
        )

    def refusal(self, user: Any, quantity: int) -> str | None:
        if self.max_per_user is not None:
            left = self.max_per_user - self.sold(user) - self.held(user)
            if quantity > left:
                return "limit_reached"
        if quantity > self.capacity - self.sold() - self.held():
            return "sold_out"
        return None

    def take(self, stored: dict[uuid.UUID, Any], id: Any, user: Any, quantity: int) -> str:
        if id in stored:
            same = (stored[id]["user"], stored[id]["quantity"]) == (user, quantity)
            return "exists" if same else "exists_different"
        if self.is_paused:
            return "not_on_sale"
        if refusal := self.refusal(user, quantity):
            return refusal
        row = {"user": user, "quantity": quantity, "left": quantity}
        stored[id] = row | {"state": "held", "ends": self.now + SECONDS}
        return "created"

    def purchase(self, id: Any, user: Any, quantity: int) -> str:
        return self.take(self.purchases, id, user, quantity)

    def hold(self, id: Any, user: Any, quantity: int) -> str:
        return self.take(self.holds, id, user, quantity)

    def purchase_hold(self, id: Any) -> str:
        hold = self.holds.get(id)
        if hold is None:
            return "not_found"
        state = self.state(hold)
        if state == "purchased":
            return "exists"
        if state == "released":
            return "hold_released"
        if id in self.purchases:
            return "exists_different"
        if state == "expired" and self.refusal(hold["user"], hold["quantity"]):
            hold["state"] = "expired"
            return "hold_expired"
        hold["state"] = "purchased"
        self.purchases[id] = {**hold, "left": hold["quantity"]}
        return "created"

    def release(self, id: Any) -> str:
        hold = self.holds.get(id)
        if hold is None:
            return "not_found"
        state: str = self.state(hold)
        if state in ("held", "expired"):
            hold["state"] = "released"
        return {"held": "released", "released": "exists", "purchased": "hold_purchased"}.get(
            state, state
        )

    def give_back(self, id: Any, remaining: int) -> str:
        purchase = self.purchases.get(id)
        if purchase is None:
            return "not_found"
        if remaining >= purchase["left"]:
            return "unchanged" if remaining == purchase["left"] else "too_many"
        purchase["left"] = remaining
        return "returned"

    def change(self, capacity: int, max_per_user: int | None, is_paused: bool) -> str:
        if capacity < self.sold() + self.held():
            return "capacity_in_use"
        self.capacity, self.max_per_user, self.is_paused = capacity, max_per_user, is_paused
        return "updated"


def resolve(operation: Operation, model: Model, fresh: Iterator[int]) -> Operation:
    """With the id of something that there is for its number, if there is anything.

    What is taken is new, unless its number is 0.
    """
    name, arguments = operation
    if name == "change":
        return operation
    number, *others = arguments
    stored = [*(model.purchases if name in ("purchase", "give_back") else model.holds)]
    if not stored or (name in ("purchase", "hold") and number > 0):
        return name, (uuid.UUID(int=next(fresh)), *others)
    return name, (stored[number % len(stored)], *others)


def call(life: Life, operation: Operation) -> Any:
    """The outcome of the operation in the database."""
    name, arguments = operation
    if name in ("purchase", "hold"):
        asked, user, quantity = arguments
        return getattr(life, name)(quantity, user=user, id=asked)[0]
    if name == "change":
        capacity, max_per_user, is_paused = arguments
        return life.change(capacity=capacity, max_per_user=max_per_user, paused=is_paused)[0]
    found = getattr(life, name)(*arguments)
    return found[0] if name == "give_back" else found


def random_operation(seed: int) -> Operation:
    """Left to themselves, strategies ask for little and most often for the same."""
    chance = random.Random(seed)
    name = chance.choices(
        ["purchase", "hold", "purchase_hold", "release", "give_back", "change"],
        [10, 14, 12, 4, 6, 3],
    )[0]
    number = chance.randrange(6)
    if name in ("purchase", "hold"):
        return name, (number, chance.choice(USERS), chance.choice([1, 2, 3, 4, 6]))
    if name == "give_back":
        return name, (number, chance.randrange(5))
    if name == "change":
        is_paused = chance.random() < 0.1
        return name, (chance.choice([6, 10, 12, 15]), chance.choice([None, 4, 7]), is_paused)
    return name, (number,)


operations = st.integers(0, 2**32).map(random_operation)


@pytest.fixture(scope="module")
def lively(postgres_18: Server) -> Iterator[str]:
    with postgres_18.database() as database:
        with connect(database) as connection:
            stop_clock(connection)
        yield database


class Walk(RuleBasedStateMachine):
    """Three sessions, and the model."""

    database: str

    @initialize(max_per_user=st.sampled_from([7, 4, None]))
    def begin(self, max_per_user: int | None) -> None:
        self.model = Model()
        self.sessions = [connect(self.database) for _ in range(3)]
        self.lives = [Life(self.sessions[0], CAPACITY)]
        self.lives += [Life.of(each, self.lives[0].option) for each in self.sessions[1:]]
        self.sessions[1].execute("SET application_name = 'second'")
        self.threads = ThreadPoolExecutor(1)
        self.fresh = itertools.count(1)
        set_clock(self.sessions[0], 0)
        self.one(("change", (CAPACITY, max_per_user, False)))
        for quantity in (3, 1):
            self.one(("hold", (1, USERS[0], quantity)))

    @rule(operation=operations)
    def one(self, operation: Operation) -> None:
        name, arguments = resolved = resolve(operation, self.model, self.fresh)
        assert call(self.lives[0], resolved) == getattr(self.model, name)(*arguments)

    @rule(first=operations, second=operations, is_committed=st.booleans())
    def two_at_once(self, first: Operation, second: Operation, is_committed: bool) -> None:
        """The second begins while the first is made, but not committed."""
        first = resolve(first, self.model, self.fresh)
        before, after = copy.deepcopy(self.model), copy.deepcopy(self.model)
        first_outcome = getattr(after, first[0])(*first[1])
        second = resolve(second, after, self.fresh)
        self.sessions[0].execute("BEGIN")
        assert call(self.lives[0], first) == first_outcome
        waiting = self.threads.submit(call, self.lives[1], second)
        wait_for(lambda: waiting.done() or value(self.sessions[2], BLOCKED) == 1, "the second call")
        has_waited = not waiting.done()
        self.sessions[0].execute("COMMIT" if is_committed else "ROLLBACK")
        wait([waiting])

        committed = after if is_committed else before
        if not has_waited:
            # It was refused as of before, without a lock; or the first one took none.
            expected = getattr(copy.deepcopy(before), second[0])(*second[1])
            if expected in REFUSED and waiting.result() == expected:
                self.model = committed
                return
        self.model = committed
        assert waiting.result() == getattr(committed, second[0])(*second[1])

    @rule(seconds=st.sampled_from([600, 200, 400]))
    def time_passes(self, seconds: int) -> None:
        self.model.now += seconds
        set_clock(self.sessions[0], self.model.now)

    @rule()
    def swept(self) -> None:
        self.lives[0].sweep()

    @invariant()
    def everything_adds_up(self) -> None:
        if not hasattr(self, "model"):
            return
        model, life = self.model, self.lives[2]
        sold, held = model.sold(), model.held()
        assert life.counted() == (sold, held, model.capacity - sold - held)
        assert dict(life.connection.execute(STATES, (life.option,)).fetchall()) == {
            key: model.state(hold) for key, hold in model.holds.items()
        }
        assert dict(life.connection.execute(QUANTITIES, (life.option,)).fetchall()) == {
            key: purchase["left"] for key, purchase in model.purchases.items()
        }
        life.check()

    def teardown(self) -> None:
        for session in getattr(self, "sessions", []):
            session.close()


BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE application_name = 'second' AND wait_event_type = 'Lock'"
)
STATES = "SELECT id, state FROM ticketing.list_holds(%s, NULL, NULL, NULL, 99)"
QUANTITIES = "SELECT id, quantity FROM ticketing.list_purchases(%s, NULL, NULL, 99)"


def walk(database: str, walks: int) -> None:
    run_state_machine_as_test(
        type("Walk", (Walk,), {"database": database}),
        settings=settings(
            max_examples=walks,
            stateful_step_count=40,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_it_is_what_the_model_says(lively: str) -> None:
    walk(lively, 8)


@pytest.mark.parametrize(
    ("name", "guard", "without"),
    [
        ("rules_of_option", "purchase.quantity - purchase.returned", "purchase.quantity"),
        ("rules_of_option", "AND hold.state = 'held'", "AND false"),
        ("decide_purchases", "IF quantities[i] > left_for_user THEN", "IF false THEN"),
    ],
)
def test_without_a_guard_the_walk_finds_the_difference(
    lively: str, name: str, guard: str, without: str
) -> None:
    source = (manifest.PROCEDURES / f"{name}.sql").read_text()
    assert guard in source
    with connect(lively) as connection:
        connection.execute(source.replace(guard, without).encode())
    try:
        with pytest.raises((AssertionError, psycopg.Error)):
            walk(lively, 100)
    finally:
        with connect(lively) as connection:
            connection.execute(source.encode())
