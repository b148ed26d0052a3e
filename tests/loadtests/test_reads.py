"""What buyers were shown: every lie is found, and no truth is taken for a lie."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.proof import reads
from loadtests.proof.ledger import NO_ANSWER, Entry, Kind
from tests.loadtests.entries import nonsense, purchase, read, request

NEGATIVE = "a read showed a negative number"
RISEN = "a read showed more than an earlier read"
MISSED = "a read missed tickets that were taken before it"
TOO_FEW = "a read showed tickets as gone that nobody had requested"
WRONGLY_REFUSED = "a request was refused as sold out although enough were left"

USER = str(uuid.uuid4())


def findings(capacity: int, *entries: Entry) -> list[str]:
    return [sentence for sentence, _ in reads.contradictions(capacity, entries)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([read(10, 0, 1)], []),
        ([read(11, 0, 1)], [RISEN, MISSED]),
        ([read(9, 0, 1)], [TOO_FEW]),
        ([purchase(201, 11, 0, 2), read(-1, 1, 3)], [NEGATIVE]),
    ],
)
def test_a_read_on_its_own(entries: list[Entry], expected: list[str]) -> None:
    assert findings(10, *entries) == expected


@pytest.mark.parametrize(
    ("left", "sent_at", "answered_at", "expected"),
    [
        (10, 0, 1, []),
        (7, 0, 1, [TOO_FEW]),
        # The purchase is sent at 2 and answered at 4: in between, either can be true.
        (10, 1, 2, []),
        (7, 1, 2, []),
        (10, 3, 3, []),
        (7, 3, 3, []),
        (10, 4, 5, []),
        (7, 4, 5, []),
        (8, 3, 5, []),
        (6, 3, 5, [TOO_FEW]),
        (7, 5, 6, []),
        (8, 5, 6, [MISSED]),
        (10, 5, 6, [MISSED]),
    ],
)
def test_a_read_beside_an_acknowledged_purchase(
    left: int, sent_at: float, answered_at: float, expected: list[str]
) -> None:
    assert findings(10, purchase(201, 3, 2, 4), read(left, sent_at, answered_at)) == expected


@pytest.mark.parametrize("status", [NO_ANSWER, 500, 503])
@pytest.mark.parametrize(
    ("left", "sent_at", "expected"),
    [(10, 0, []), (7, 0, [TOO_FEW]), (10, 9, []), (7, 9, []), (6, 9, [TOO_FEW])],
)
def test_an_unknown_purchase_may_take_effect_at_any_time_after_it_was_sent(
    status: int, left: int, sent_at: float, expected: list[str]
) -> None:
    assert findings(10, purchase(status, 3, 2, 4), read(left, sent_at, sent_at + 1)) == expected


@pytest.mark.parametrize(("left", "expected"), [(10, []), (7, [TOO_FEW])])
def test_a_refused_purchase_takes_nothing(left: int, expected: list[str]) -> None:
    assert findings(10, purchase(409, 11, 2, 4), read(left, 9, 10)) == expected
    first = purchase(NO_ANSWER, 3, 0, 1, user=USER)
    last = purchase(422, 3, 2, 4, user=USER)
    assert findings(10, first, last, read(left, 9, 10)) == expected


def test_nonsense_takes_nothing() -> None:
    assert findings(10, nonsense(), read(7, 9, 10)) == [TOO_FEW]


@pytest.mark.parametrize(
    ("left", "sent_at", "expected"),
    [(7, 0, [TOO_FEW]), (7, 2, []), (10, 5, []), (7, 9, []), (10, 9, [MISSED]), (4, 9, [TOO_FEW])],
)
def test_a_retried_purchase_takes_effect_once(
    left: int, sent_at: float, expected: list[str]
) -> None:
    attempts = [
        purchase(NO_ANSWER, 3, 2, 3, user=USER),
        purchase(503, 3, 4, 5, user=USER),
        purchase(201, 3, 6, 7, user=USER),
        purchase(201, 3, 8, 8, user=USER),
    ]
    assert findings(10, *attempts, read(left, sent_at, sent_at)) == expected


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [(0, []), (1, []), (2, []), (3, [RISEN])],
    ids=["before it", "with it", "when it was answered", "after it"],
)
def test_a_read_may_show_more_than_a_read_answered_after_it_was_sent(
    sent_at: float, expected: list[str]
) -> None:
    entries = [purchase(503, 2, 0, 1), read(8, 1, 2), read(9, sent_at, 9)]
    # 9 left is never true; this tests what else is said about it.
    assert [each for each in findings(10, *entries) if each != TOO_FEW] == expected


@pytest.mark.parametrize(
    ("quantity", "answered_at", "expected"),
    [
        (8, 9, []),
        (7, 9, [WRONGLY_REFUSED]),
        (8, 1, [WRONGLY_REFUSED]),
        (8, 2, []),
        (11, 1, []),
        (10, 1, [WRONGLY_REFUSED]),
    ],
)
def test_a_purchase_is_refused_only_if_too_few_can_have_been_left(
    quantity: int, answered_at: float, expected: list[str]
) -> None:
    entries = [purchase(503, 3, 2, 4), purchase(409, quantity, 0, answered_at)]
    assert findings(10, *entries) == expected


def test_times_of_different_processes_are_not_compared() -> None:
    elsewhere = purchase(201, 3, 100, 101, source="b")
    assert findings(10, elsewhere, read(7, 0, 1)) == []
    assert findings(10, elsewhere, read(10, 200, 201)) == []
    assert findings(10, elsewhere, read(6, 200, 201)) == [TOO_FEW]
    assert findings(10, elsewhere, purchase(409, 8, 0, 1)) == []
    assert findings(10, elsewhere, purchase(409, 7, 0, 1)) == [WRONGLY_REFUSED]
    assert findings(10, elsewhere, read(7, 0, 1, source="b")) == [TOO_FEW]
    assert findings(10, purchase(503, 3, 0, 0), read(7, 1, 2), read(8, 3, 4, source="b")) == []


def held(status: int, quantity: int, sent_at: float, answered_at: float) -> Entry:
    """A hold of `USER` that runs for 10 seconds."""
    return request("hold", status, quantity, sent_at, answered_at, user=USER, expires_in_seconds=10)


@pytest.mark.parametrize(
    ("left", "sent_at", "expected"),
    [
        # Held at 1 or 2, so it runs out at 11 or 12, and reads show that by 13.
        (10, 2.5, [MISSED]),
        (7, 2.5, []),
        (7, 10, []),
        (10, 10, [MISSED]),
        (10, 11, []),
        (7, 12.5, []),
        (10, 12.5, []),
        (7, 13.5, [TOO_FEW]),
        (10, 13.5, []),
        (11, 13.5, [MISSED]),
    ],
)
def test_a_hold_runs_out(left: int, sent_at: float, expected: list[str]) -> None:
    assert findings(10, held(201, 3, 1, 2), read(left, sent_at, sent_at)) == expected


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [(9, []), (11.5, []), (12.5, [WRONGLY_REFUSED])],
    ids=["while it runs", "when it may run out", "after it ran out"],
)
def test_nobody_is_refused_because_of_a_hold_that_ran_out(
    sent_at: float, expected: list[str]
) -> None:
    refused = purchase(409, 8, sent_at, sent_at)
    assert findings(10, held(201, 3, 1, 2), refused) == expected


@pytest.mark.parametrize(
    ("left", "sent_at", "expected"),
    [
        (7, 2.5, []),
        (10, 2.5, [MISSED]),
        (7, 3.5, []),
        (10, 3.5, []),
        (7, 5, [TOO_FEW]),
        (10, 5, []),
    ],
)
def test_a_release_gives_back_once(left: int, sent_at: float, expected: list[str]) -> None:
    releases = [request("release", 204, 3, at, at + 1, user=USER) for at in (3, 4)]
    entries = [held(201, 3, 1, 2), *releases]
    assert findings(10, *entries, read(left, sent_at, sent_at)) == expected
    assert findings(10, *entries, read(left, 20, 20)) == ([TOO_FEW] if left == 7 else [])


@pytest.mark.parametrize(
    ("paid_at", "left", "sent_at", "expected"),
    [
        (5, 7, 6, []),
        (5, 10, 20, [MISSED]),
        (5, 7, 20, []),
        (15, 10, 14, []),
        (15, 7, 20, []),
        (15, 10, 20, [MISSED]),
    ],
)
def test_a_hold_that_is_purchased_does_not_come_back(
    paid_at: float, left: int, sent_at: float, expected: list[str]
) -> None:
    paid = request("hold purchase", 201, 3, paid_at, paid_at, user=USER)
    assert findings(10, held(201, 3, 1, 2), paid, read(left, sent_at, sent_at)) == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [(2, [TOO_FEW]), (5, [TOO_FEW]), (6, []), (7, [MISSED]), (10, [MISSED])],
)
def test_returns_give_back_what_they_do_not_keep_once(left: int, expected: list[str]) -> None:
    entries = [
        purchase(201, 8, 0, 1, user=USER),
        request("return", 200, 5, 2, 3, user=USER),
        request("return", 200, 5, 3, 4, user=USER),
        request("return", 200, 4, 4, 5, user=USER),
    ]
    assert findings(10, *entries, read(left, 9, 9)) == expected


@pytest.mark.parametrize(
    ("left", "sent_at", "expected"),
    [
        (10, 1, []),
        (15, 1, [RISEN, MISSED]),
        (15, 2.5, []),
        (10, 2.5, []),
        (10, 4, [TOO_FEW]),
        (15, 4, []),
        (15, 7, [RISEN, MISSED]),
        (8, 7, []),
    ],
)
def test_a_read_follows_the_capacity(left: int, sent_at: float, expected: list[str]) -> None:
    changes = [
        request("capacity", 200, 15, 2, 3),
        request("capacity", 409, 1, 4, 5),
        request("capacity", 200, 8, 5, 6),
    ]
    assert findings(10, *changes, read(left, sent_at, sent_at)) == expected


class Model:
    """One option of a service that keeps the promise, with requests in order of time.

    Each request takes effect at its moment, between being sent and being answered. Only a request
    without an answer may take effect after its buyer gave up.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = self.left = self.put_on_sale = capacity
        self.entries: list[Entry] = []
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._organised_at = -1.0

    def advance(self, moment: float) -> None:
        """Let happen what does until then."""
        while self._later and self._later[0][0] <= moment:
            heapq.heappop(self._later)[2]()

    def _schedule(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._later, (moment, len(self.entries) * 1000 + len(self._later), happen))

    def read(self, times: tuple[float, float, float], source: str) -> None:
        moment, before, after = times
        self.entries.append(read(self.left, moment - before, moment + after, source=source))

    def purchase(
        self, times: tuple[float, float, float], source: str, quantity: int, answers: Sequence[bool]
    ) -> None:
        """Send a purchase once for each of the answers; False means that the answer is lost."""
        moment, before, after = times
        is_sold = quantity <= self.left
        self.left -= quantity if is_sold else 0
        user = str(uuid.uuid4())
        sent_at = moment - before
        for place, is_answered in enumerate(answers):
            # Any attempt may be the one that took effect, but every answer comes after that.
            answered_at = moment + after + place if is_answered else sent_at + place
            status = (201 if is_sold else 409) if is_answered else NO_ANSWER
            self.entries.append(
                purchase(status, quantity, sent_at, answered_at, user=user, source=source)
            )

    def hold(
        self,
        moment: float,
        spread: tuple[float, float],
        sender: tuple[str, float],
        quantity: int,
        seconds: int,
        then: tuple[str, float] | None,
    ) -> None:
        """Hold tickets, and purchase or release them some time after the answer."""
        user = str(uuid.uuid4())
        is_held = quantity <= self.left
        answered_at = self._record("hold", moment, spread, sender, user, quantity, is_held, seconds)
        if not is_held:
            return
        self.left -= quantity
        state = "held"

        def run_out() -> None:
            nonlocal state
            if state == "held":
                state = "expired"
                self.left += quantity

        def end(kind: Kind, at: float) -> None:
            nonlocal state
            if kind == "release":
                if state == "held":
                    self.left += quantity
                state = "released"
                is_done = True
            else:
                is_done = state == "held" or quantity <= self.left
                if state == "expired" and is_done:
                    self.left -= quantity
                state = "purchased" if is_done else state
            self._record(kind, at, (at - answered_at, spread[1]), sender, user, quantity, is_done)

        self._schedule(moment + seconds, run_out)
        if then is not None:
            kind, after = then
            at = answered_at + after
            self._schedule(at, lambda: end(cast("Kind", kind), at))

    def give_back(
        self,
        moment: float,
        spread: tuple[float, float],
        sender: tuple[str, float],
        quantity: int,
        remaining: int,
        after: float,
    ) -> None:
        """Purchase tickets, and give some back some time after the answer."""
        user = str(uuid.uuid4())
        is_sold = quantity <= self.left
        answered_at = self._record("purchase", moment, spread, sender, user, quantity, is_sold)
        if not is_sold:
            return
        self.left -= quantity
        at = answered_at + after

        def happen() -> None:
            self.left += quantity - remaining
            self._record("return", at, (after, spread[1]), sender, user, remaining, True)

        self._schedule(at, happen)

    def change_capacity(self, moment: float, spread: tuple[float, float], by: int) -> None:
        """The organiser, of whom there is one, does it unless still busy."""
        if moment - spread[0] <= self._organised_at or self.left + by < 0:
            return
        self.capacity += by
        self.left += by
        self._organised_at = self._record(
            "capacity", moment, spread, ("a", 0.0), None, self.capacity, True
        )

    def _record(
        self,
        kind: Kind,
        moment: float,
        spread: tuple[float, float],
        sender: tuple[str, float],
        user: str | None,
        quantity: int,
        is_done: bool,
        seconds: int | None = None,
    ) -> float:
        """Record a request that was answered, and return the true moment of that."""
        source, offset = sender
        before, after = spread
        status = 409
        if is_done:
            status = {"release": 204, "return": 200, "capacity": 200}.get(kind, 201)
        entry = request(
            kind,
            status,
            quantity,
            moment - before + offset,
            moment + after + offset,
            user=user,
            source=source,
            expires_in_seconds=seconds,
        )
        self.entries.append(entry)
        return moment + after


durations = st.floats(0, 5).map(lambda value: round(value, 1))


@st.composite
def histories(draw: st.DrawFn) -> Model:
    """What two processes record of a service that keeps the promise, each by its own clock."""
    model = Model(draw(st.integers(0, 30)))
    offsets = {"a": 0.0, "b": draw(st.floats(-50, 50))}
    moment = 0.0
    for _ in range(draw(st.integers(1, 25))):
        moment += draw(durations)
        source = draw(st.sampled_from("aab"))
        times = (moment + offsets[source], draw(durations), draw(durations))
        if draw(st.booleans()):
            model.read(times, source)
        else:
            answers = draw(st.lists(st.booleans(), min_size=1, max_size=3))
            model.purchase(times, source, draw(st.integers(1, 8)), answers)
    return model


@st.composite
def lives(draw: st.DrawFn) -> Model:
    """The same, with everything that may become of a ticket."""
    model = Model(draw(st.integers(0, 30)))
    offsets = {"a": 0.0, "b": draw(st.floats(-50, 50))}
    quantities = st.integers(1, 8)
    moment = 0.0
    for _ in range(draw(st.integers(1, 25))):
        moment += draw(durations)
        model.advance(moment)
        sender = draw(st.sampled_from([("a", offsets["a"]), ("b", offsets["b"])]))
        spread = (draw(durations), draw(durations))
        what = draw(st.sampled_from(["read", "hold", "hold", "give back", "capacity"]))
        if what == "read":
            model.read((moment + sender[1], *spread), sender[0])
        elif what == "hold":
            ends = st.tuples(st.sampled_from(["release", "hold purchase"]), durations)
            then = draw(st.none() | ends)
            model.hold(
                moment, spread, sender, draw(quantities), draw(st.sampled_from([1, 3, 9])), then
            )
        elif what == "give back":
            quantity = draw(quantities)
            remaining = draw(st.integers(0, quantity - 1))
            model.give_back(moment, spread, sender, quantity, remaining, draw(durations))
        else:
            model.change_capacity(moment, spread, draw(st.integers(-9, 9).filter(bool)))
    return model


@settings(deadline=None)
@given(histories() | lives())
def test_a_service_that_keeps_the_promise_never_gives_a_finding(model: Model) -> None:
    assert findings(model.put_on_sale, *model.entries) == []


def bounds(capacity: int, entries: Sequence[Entry], this: Entry) -> tuple[int, int]:
    """The least and the most that the read may show, worked out for it alone."""
    own = [each for each in entries if each.source == this.source]
    outcomes: dict[str | None, list[str]] = {}
    for each in entries:
        outcomes.setdefault(each.user_id, []).append(each.outcome)
    acknowledged = {
        each.user_id: each.quantity or 0
        for each in own
        if each.kind == "purchase"
        and each.outcome == "acknowledged"
        and each.answered_at < this.sent_at
    }
    asked = {
        each.user_id: each.quantity or 0
        for each in entries
        if each.kind == "purchase"
        and (each.source != this.source or each.sent_at <= this.answered_at)
        and ("acknowledged" in outcomes[each.user_id] or outcomes[each.user_id][-1] == "unknown")
    }
    earlier = [
        each.left for each in own if each.left is not None and each.answered_at < this.sent_at
    ]
    left_max = min([capacity - sum(acknowledged.values()), *earlier])
    return capacity - sum(asked.values()), left_max


@settings(deadline=None)
@given(histories(), st.data())
def test_a_read_is_found_if_it_is_one_ticket_beyond_what_can_be_true(
    model: Model, data: st.DataObject
) -> None:
    model.read((data.draw(st.floats(-20, 150)), data.draw(durations), data.draw(durations)), "a")
    *others, last = model.entries
    left_min, left_max = bounds(model.capacity, others, last)

    for left in (left_min - 1, left_max + 1):
        lie = read(left, last.sent_at, last.answered_at)
        assert findings(model.capacity, *others, lie) != []
