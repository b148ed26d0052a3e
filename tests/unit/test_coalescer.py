"""The coalescer by itself: what it calls are plain functions, which a test lets return."""

from __future__ import annotations

import asyncio
import gc
import itertools
import selectors
import weakref
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.database.coalescer import Coalescer
from api.database.entries import QueueFullError
from api.database.per_key import per_key
from tests.unit.shared_calls import (
    BUSY,
    AwayError,
    BrokenError,
    Calls,
    Item,
    UnknownError,
    settle,
    until,
)


class BusyError(Exception):
    """The key was busy for too long."""


def coalescer(
    calls: Calls,
    *,
    many: bool = True,
    items: int = 1000,
    batch: int = 100,
    slots: int = 3,
    timeout: float = 30.0,
    busy: float = 4.0,
) -> Coalescer[Item, int]:
    def fails_alone(error: Exception) -> bool:
        return not isinstance(error, AwayError)

    def key_of(item: Item) -> str:
        return item[0]

    one_by_one = per_key(
        calls.one_key_call_unless_busy,
        key_of,
        calls_max=slots,
        failed=lambda error: BUSY if fails_alone(error) else error,
    )
    return Coalescer(
        calls.many_keys_call if many else one_by_one,
        calls.one_key_call,
        key_of,
        busy_answer=BUSY,
        fails_alone=fails_alone,
        items_max=items,
        batch_items_max=batch,
        slots=slots,
        retries_max=batch // 4,
        timeout_seconds=timeout,
        unknown_error=UnknownError,
        busy_seconds=busy,
        busy_error=BusyError,
    )


class _PassingTime(selectors.DefaultSelector):
    """Instead of waiting, time passes."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


def simulate(run: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop where whatever is waited for is over at once."""
    selector = _PassingTime()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        loop.run_until_complete(run)
    finally:
        loop.close()


each_mode = pytest.mark.parametrize("many", [True, False], ids=["many keys", "one key"])


@each_mode
async def test_an_item_that_comes_alone_goes_at_once(many: bool) -> None:
    calls = Calls(wait=False)
    asked = coalescer(calls, many=many)

    for number in range(3):
        answer = asked.submit(("a", number))
        for _ in range(3):
            await asyncio.sleep(0)
        assert answer.result() == number

    assert [call.numbers for call in calls.made] == [[0], [1], [2]]


@each_mode
async def test_what_comes_while_a_call_is_in_flight_goes_in_the_next_one_together(
    many: bool,
) -> None:
    calls = Calls()
    asked = coalescer(calls, many=many)
    first = asked.submit(("a", 0))
    call = await calls.begun(1)
    others = [asked.submit(("a", number)) for number in range(1, 6)]
    await settle()
    assert len(calls.made) == 1

    call.returns.set_result(None)
    following = await calls.begun(2)
    assert (await first, following.numbers) == (0, [1, 2, 3, 4, 5])
    assert not any(other.done() for other in others)
    following.returns.set_result(None)

    assert await asyncio.gather(*others) == [1, 2, 3, 4, 5]
    await settle()
    assert len(calls.made) == 2


async def test_items_of_other_keys_share_a_call_that_is_for_many() -> None:
    calls = Calls()
    asked = coalescer(calls)
    answers = [asked.submit(("first", 0))]
    await calls.begun(1)
    answers += [asked.submit((f"key {number}", number)) for number in range(1, 4)]
    second = await calls.begun(2) if calls.made[0].kind == "one key" else None
    answers += [asked.submit((f"key {number}", number)) for number in range(4, 9)]
    await settle()
    assert len(calls.in_flight) <= 2

    for call in calls.made:
        call.returns.set_result(None)
    last = await calls.begun(3 if second else 2)
    assert last.kind == "many keys"
    assert last.numbers[-5:] == [4, 5, 6, 7, 8]
    last.returns.set_result(None)
    assert await asyncio.gather(*answers) == [*range(9)]


@each_mode
async def test_a_call_takes_no_more_items_than_it_may(many: bool) -> None:
    calls = Calls(wait=False)
    asked = coalescer(calls, many=many, batch=4)

    answers = [asked.submit(("a", number)) for number in range(10)]

    assert await asyncio.gather(*answers) == [*range(10)]
    assert max(len(call.items) for call in calls.made) <= 4
    assert [number for call in calls.made for number in call.numbers] == [*range(10)]


@each_mode
async def test_more_items_than_may_wait_are_refused_at_once(many: bool) -> None:
    calls = Calls()
    asked = coalescer(calls, many=many, items=3)
    first = asked.submit(("a", 0))
    call = await calls.begun(1)
    waiting = [asked.submit(("a", number)) for number in (1, 2)]

    for key in "ab":
        with pytest.raises(QueueFullError):
            asked.submit((key, 3))
    # Each answer makes room for one.
    call.returns.set_result(None)
    await first
    waiting.append(asked.submit(("a", 4)))
    with pytest.raises(QueueFullError):
        asked.submit(("a", 5))
    calls.wait = False
    (await calls.begun(2)).returns.set_result(None)

    assert await asyncio.gather(*waiting) == [1, 2, 4]
    assert await asyncio.gather(*[asked.submit(("a", number)) for number in range(3)]) == [0, 1, 2]


@each_mode
async def test_items_whose_time_is_up_make_room(many: bool) -> None:
    calls = Calls()
    asked = coalescer(calls, many=many, items=3, timeout=0.01)
    late = [asked.submit(("a", number)) for number in range(3)]

    results = await asyncio.gather(*late, return_exceptions=True)

    assert [type(each) for each in results] == [UnknownError] * 3
    calls.wait = False
    calls.made[0].returns.set_result(None)
    assert await asyncio.gather(*[asked.submit(("a", number)) for number in (7, 8, 9)]) == [7, 8, 9]
    # What waited when its time was up was not asked for.
    asked_for = [number for call in calls.made[1:] for number in call.numbers]
    assert sorted(asked_for) == [7, 8, 9]


@each_mode
async def test_items_that_nobody_waits_for_any_longer_make_room_and_are_not_asked_for(
    many: bool,
) -> None:
    calls = Calls()
    asked = coalescer(calls, many=many, items=4)
    first = asked.submit(("a", 0))
    call = await calls.begun(1)
    gone = [asked.submit(("a", number)) for number in (1, 2, 3)]
    for answer in gone:
        answer.cancel()
    # Also while the call before them goes on.
    await until(lambda: accepts(asked, ("a", 4)))

    calls.wait = False
    call.returns.set_result(None)
    assert await first == 0
    assert await asyncio.gather(*[asked.submit(("a", number)) for number in (5, 6)]) == [5, 6]
    asked_for = {number for call in calls.made for number in call.numbers}
    assert asked_for == {0, 4, 5, 6}


def accepts(asked: Coalescer[Item, int], item: Item) -> bool:
    try:
        asked.submit(item)
    except QueueFullError:
        return False
    return True


async def test_somebody_who_leaves_during_a_call_stops_no_other() -> None:
    calls = Calls()
    asked = coalescer(calls)
    answers = [asked.submit(("a", number)) for number in range(3)]
    call = await calls.begun(1)

    answers[1].cancel()
    call.returns.set_result(None)

    assert (await answers[0], await answers[2]) == (0, 2)


async def test_a_key_that_is_held_up_gets_calls_of_its_own_and_stops_no_other() -> None:
    calls = Calls()
    calls.busy_keys = {"held"}
    asked = coalescer(calls)
    first = asked.submit(("other", 0))
    await calls.begun(1)
    # What comes while a call is in flight goes with a call for many, sooner or later.
    held = [asked.submit(("held", 1)), asked.submit(("held", 2))]
    answers = [asked.submit(("free", 3))]
    await settle()
    while not any(call.kind == "one key" and call.items[0][0] == "held" for call in calls.made):
        for call in calls.made:
            if not call.returns.done():
                call.returns.set_result(None)
        await settle()
    [own] = [call for call in calls.in_flight if call.kind == "one key"]

    # The call of its own does not return; the others are answered, and again.
    for number in range(4, 20):
        answers.append(asked.submit(("free", number)))
        held.append(asked.submit(("held", 100 + number)))
        while not answers[-1].done():
            for call in calls.in_flight:
                if call is not own and not call.returns.done():
                    call.returns.set_result(None)
            await asyncio.sleep(0)
    assert await first == 0
    assert [answer.result() for answer in answers] == [*range(3, 20)]
    assert not any(answer.done() for answer in held)

    own.returns.set_result(None)
    calls.wait = False
    assert await asyncio.gather(*held) == [1, 2, *range(104, 120)]
    # All that had waited went together.
    after = [call for call in calls.made[calls.made.index(own) :] if call.kind == "one key"]
    assert max(len(call.items) for call in after if call.items[0][0] == "held") >= 16


async def test_no_more_calls_are_in_flight_than_may() -> None:
    calls = Calls()
    asked = coalescer(calls, many=False, slots=2)

    answers = [asked.submit((key, number)) for number, key in enumerate("abcdab")]
    await settle()
    assert [call.items[0][0] for call in calls.in_flight] == ["a", "b", "c"]

    calls.wait = False
    for call in calls.in_flight:
        call.returns.set_result(None)
    assert await asyncio.gather(*answers) == [*range(6)]
    assert calls.in_flight_max == 3


@each_mode
@pytest.mark.parametrize("broken", [{0}, {3}, {7}, {2, 3, 6}, {*range(8)}])
async def test_an_item_that_breaks_its_call_fails_alone(many: bool, broken: set[int]) -> None:
    calls = Calls(wait=False)
    calls.broken = broken
    asked = coalescer(calls, many=many)

    answers = [asked.submit(("a", number)) for number in range(8)]
    results = await asyncio.gather(*answers, return_exceptions=True)

    for number, result in enumerate(results):
        if number in broken:
            assert isinstance(result, BrokenError)
            assert result.args == ([number],)
        else:
            assert result == number
    # It goes on as before.
    assert await asked.submit(("a", 100)) == 100


@each_mode
async def test_an_error_that_is_everybodys_is_not_tried_again(many: bool) -> None:
    calls = Calls(wait=False)
    calls.is_away = True
    asked = coalescer(calls, many=many)

    results = await asyncio.gather(
        *[asked.submit(("a", number)) for number in range(8)], return_exceptions=True
    )

    assert [type(each) for each in results] == [AwayError] * 8
    assert len(calls.made) == 1
    calls.is_away = False
    assert await asked.submit(("a", 100)) == 100


@each_mode
async def test_a_call_that_answers_not_every_item_fails_and_the_next_one_is_made(
    many: bool,
) -> None:
    async def forgetful(items: Sequence[Item], wait_seconds: float = 0) -> list[int]:
        return [number for _, number in items if number]

    calls = Calls()
    calls.many_keys_call = calls.one_key_call = calls.one_key_call_unless_busy = forgetful  # type: ignore[method-assign]
    asked = coalescer(calls, many=many)

    results = await asyncio.gather(
        *[asked.submit(("a", number)) for number in range(3)], return_exceptions=True
    )

    assert isinstance(results[0], ValueError)
    assert results[1:] == [1, 2]
    assert await asked.submit(("a", 4)) == 4


async def test_an_item_that_is_late_gets_no_answer_of_a_call_that_returns_afterwards() -> None:
    calls = Calls()
    asked = coalescer(calls, timeout=0.01)
    late = asked.submit(("a", 0))

    with pytest.raises(UnknownError):
        await late

    calls.made[0].returns.set_result(None)
    calls.wait = False
    assert await asked.submit(("a", 1)) == 1
    assert isinstance(late.exception(), UnknownError)


async def test_what_was_answered_is_not_kept_behind_what_is_not() -> None:
    class Thing:
        """Can be watched."""

    release = asyncio.Event()

    async def call(items: Sequence[tuple[str, Thing]], wait_seconds: float = 0) -> list[str]:
        if items[0][0] == "held":
            await release.wait()
        return [key for key, _ in items]

    asked: Coalescer[tuple[str, Thing], str] = Coalescer(
        call,
        call,
        lambda item: item[0],
        busy_answer=BUSY,
        fails_alone=lambda error: False,
        items_max=1000,
        batch_items_max=10,
        slots=2,
        retries_max=1,
        timeout_seconds=30,
        unknown_error=UnknownError,
        busy_seconds=4,
        busy_error=BusyError,
    )
    held = asked.submit(("held", Thing()))
    kept: weakref.WeakSet[Thing] = weakref.WeakSet()
    for _ in range(100):
        thing = Thing()
        kept.add(thing)
        assert await asked.submit(("free", thing)) == "free"
    del thing

    await asyncio.sleep(0.3)  # the next time that it is looked for items whose time is up
    gc.collect()
    assert len(kept) == 0
    release.set()
    assert await held == "held"


class Schedule:
    """Events one after the other, with the bounds checked after each."""

    def __init__(self, calls: Calls, many: bool, batch: int, slots: int, items: int) -> None:
        self.calls = calls
        self.answers: dict[int, asyncio.Future[int]] = {}
        self._asked = coalescer(calls, many=many, items=items, batch=batch, slots=slots, busy=0.5)
        self._bounds = many, batch, slots, items

    async def submit(self, argument: int) -> None:
        items, number = self._bounds[3], len(self.answers)
        try:
            self.answers[number] = self._asked.submit((f"key {argument}", number))
        except QueueFullError:
            # Those that were cancelled count until they are found.
            cancelled = sum(answer.cancelled() for answer in self.answers.values())
            assert self._open() + cancelled >= items
        assert self._open() <= items

    async def busy(self, argument: int) -> None:
        self.calls.busy_keys ^= {f"key {argument}"}

    async def lock(self, argument: int) -> None:
        self.calls.locked_keys ^= {f"key {argument}"}

    async def time_passes(self, argument: int) -> None:
        await asyncio.sleep(0.1 * argument)

    async def let_return(self, argument: int) -> None:
        if waiting := [call for call in self.calls.in_flight if not call.returns.done()]:
            waiting[argument % len(waiting)].returns.set_result(None)

    async def cancel(self, argument: int) -> None:
        if self.answers:
            self.answers[argument % len(self.answers)].cancel()

    async def end(self) -> None:
        """Let calls return until every item is answered."""
        while self._open():
            await self.let_return(0)
            await self.settle()
            await asyncio.sleep(0.001)

    async def settle(self) -> None:
        await settle()
        many, batch, slots, _ = self._bounds
        in_flight = self.calls.in_flight
        kinds = Counter(call.kind for call in in_flight)
        assert kinds["one key"] <= slots
        assert kinds["many keys"] <= many
        assert kinds["one key unless busy"] <= (0 if many else slots)
        assert all(len(call.items) <= batch for call in in_flight)

    def _open(self) -> int:
        return sum(not answer.done() for answer in self.answers.values())


def is_as_one_by_one(number: int, answer: asyncio.Future[int], broken: set[int]) -> bool:
    """Whether the item has the answer that it would get alone, unless nobody waits for one."""
    if answer.cancelled():
        return True
    if error := answer.exception():
        if isinstance(error, (BusyError, QueueFullError)):
            return True
        return number in broken and error.args == ([number],)
    return number not in broken and answer.result() == number


def times_done(calls: Calls, number: int) -> int:
    """In how many calls it was that failed for none, and had a key that was not held up."""
    return sum(number in call.done for call in calls.made)


STEPS = ["submit", "submit", "submit", "let_return", "busy", "lock", "time_passes", "cancel"]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 5),
        ),
        max_size=60,
    ),
    many=st.booleans(),
    batch=st.integers(1, 5),
    slots=st.integers(1, 3),
    items=st.integers(1, 20),
    broken=st.sets(st.integers(0, 20), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_in_any_order_of_events_each_item_gets_the_answer_that_it_would_get_alone(
    steps: list[tuple[str, int]],
    many: bool,
    batch: int,
    slots: int,
    items: int,
    broken: set[int],
) -> None:
    async def happen() -> None:
        calls = Calls()
        calls.broken = broken
        schedule = Schedule(calls, many, batch, slots, items)
        for step, argument in steps:
            await getattr(schedule, step)(argument)
            await schedule.settle()
        await schedule.end()

        for number, answer in schedule.answers.items():
            assert is_as_one_by_one(number, answer, broken)
            if answer.cancelled():
                assert times_done(calls, number) in [0, 1]
            else:
                assert times_done(calls, number) == (answer.exception() is None)

    simulate(happen())


class Lock:
    """Whoever waits for it has it in turn."""

    def __init__(self) -> None:
        self._is_held = False
        self._line: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        if self._is_held:
            return False
        self._is_held = True
        return True

    async def take(self, seconds: float) -> bool:
        if self.take_at_once():
            return True
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        await asyncio.wait({turn}, timeout=seconds)
        if not turn.done():
            self._line.remove(turn)
        return turn.done()

    def give_up(self) -> None:
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._is_held = False


class Process:
    """A coalescer on a database whose keys have locks, and what its buyers saw.

    A call takes `CALL_SECONDS`, with its locks; one that waits for a lock does so in turn with all
    the others, and gives up after a while.
    """

    CALL_SECONDS = 0.002

    def __init__(
        self, locks: dict[str, Lock], *, many: bool, slots: int, items: int = 1000
    ) -> None:
        self.locks = locks
        self.asked_for: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.failures: Counter[tuple[str, type]] = Counter()

        def key_of(item: Item) -> str:
            return item[0]

        self._asked: Coalescer[Item, int] = Coalescer(
            self.unless_busy
            if many
            else per_key(self.unless_busy, key_of, calls_max=slots, failed=lambda _: BUSY),
            self.waiting,
            key_of,
            busy_answer=BUSY,
            fails_alone=lambda error: True,
            items_max=items,
            batch_items_max=256,
            slots=slots,
            retries_max=64 if many else slots,
            timeout_seconds=10,
            unknown_error=UnknownError,
            busy_seconds=4,
            busy_error=BusyError,
        )

    async def unless_busy(self, items: Sequence[Item]) -> list[Any]:
        self.asked_for.update(key for key, _ in items)
        mine = {key for key in {key for key, _ in items} if self.locks[key].take_at_once()}
        await asyncio.sleep(self.CALL_SECONDS)
        for key in mine:
            self.locks[key].give_up()
        return [number if key in mine else BUSY for key, number in items]

    async def waiting(self, items: Sequence[Item], wait_seconds: float) -> list[Any]:
        lock = self.locks[items[0][0]]
        if not await lock.take(wait_seconds):
            return [BUSY] * len(items)
        await asyncio.sleep(self.CALL_SECONDS)
        lock.give_up()
        return [number for _, number in items]

    async def buy(self, key: str, *, since: float = 0.0, until: float) -> None:
        """One purchase after another, with a pause after each that fails."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(since)
        for number in itertools.count():
            began = loop.time()
            if began >= until:
                return
            try:
                assert await self._asked.submit((key, number)) == number
            except (BusyError, UnknownError, QueueFullError) as error:
                self.failures[key, type(error)] += 1
                self.seconds.setdefault(key, []).append(loop.time() - began)
                await asyncio.sleep(0.1)
            else:
                self.seconds.setdefault(key, []).append(loop.time() - began)


async def sell_while_locked(
    *,
    locked: int,
    many: bool,
    slots: int,
    items: int = 1000,
    buyers: int = 2,
    free_since: float = 0.0,
) -> list[Process]:
    """Two processes sell six keys for 5 seconds, and others are wanted that somebody has locked."""
    locked_keys, free_keys = [f"locked {n}" for n in range(locked)], [f"free {n}" for n in range(6)]
    locks = {key: Lock() for key in (*locked_keys, *free_keys)}
    for key in locked_keys:
        locks[key].take_at_once()
    processes = [Process(locks, many=many, slots=slots, items=items) for _ in range(2)]
    await asyncio.gather(
        *[
            process.buy(key, since=since, until=4.5)
            for process in processes
            for key, since in (
                *[(key, 0.0) for key in locked_keys * buyers],
                *[(key, free_since) for key in free_keys * 2],
            )
        ]
    )
    return processes


@each_mode
@pytest.mark.parametrize("slots", [1, 5])
@pytest.mark.parametrize("locked", [1, 8, 100])
def test_any_number_of_keys_that_are_locked_leave_the_others_alone(
    many: bool, slots: int, locked: int
) -> None:
    if not many and slots == 1:
        locked = min(locked, 40)  # a call at a time, for one key each

    async def sell() -> None:
        for process in await sell_while_locked(locked=locked, many=many, slots=slots):
            free = [each for key, each in process.seconds.items() if key[:4] == "free"]
            longest, sold_min = max(map(max, free)), min(map(len, free))
            assert len(free) == 6
            assert longest < 1.5
            assert not [key for key, _ in process.failures if key[:4] == "free"]
            assert sold_min > 100  # each, all the time

    simulate(sell())


@pytest.mark.parametrize("locked", [1, 40, 200])
def test_keys_that_are_locked_are_tried_again_within_bounds(locked: int) -> None:
    async def sell() -> None:
        for process in await sell_while_locked(locked=locked, many=True, slots=5):
            tried = sum(n for key, n in process.asked_for.items() if key[:6] == "locked")
            # Besides the first times of the purchases, and the times until a pause is long.
            purchases = sum(len(each) for key, each in process.seconds.items() if key[0] == "l")
            assert tried - purchases < 12 * 1000 + 8 * locked

    simulate(sell())


def test_purchases_of_keys_that_are_locked_end_after_their_time() -> None:
    async def sell() -> None:
        for process in await sell_while_locked(locked=40, many=True, slots=5):
            locked = [t for key, each in process.seconds.items() if key[0] == "l" for t in each]
            assert {error for key, error in process.failures if key[0] == "l"} == {BusyError}
            assert min(locked) >= 4.0
            assert max(locked) < 4.8

    simulate(sell())


@each_mode
@pytest.mark.parametrize("buyers", [3, 6])
def test_a_queue_full_of_what_is_locked_refuses_no_other(many: bool, buyers: int) -> None:
    async def sell() -> None:
        for process in await sell_while_locked(
            locked=40, many=many, slots=5, items=100, buyers=buyers, free_since=0.2
        ):
            assert any(error is QueueFullError for _, error in process.failures)
            assert not [key for key, _ in process.failures if key[:4] == "free"]

    simulate(sell())


@each_mode
def test_a_key_that_is_no_longer_locked_is_sold_from_soon_and_may_wait_in_line_again(
    many: bool,
) -> None:
    async def sell() -> None:
        loop = asyncio.get_running_loop()
        locks = {"locked": Lock()}
        locks["locked"].take_at_once()
        process = Process(locks, many=many, slots=1)
        buyers = [asyncio.ensure_future(process.buy("locked", until=3.0)) for _ in range(20)]
        await asyncio.sleep(2.0)
        assert not process.seconds
        locks["locked"].give_up()
        await asyncio.gather(*buyers)

        assert loop.time() < 3.1
        assert process.seconds["locked"][0] < 2.25
        assert not process.failures
        assert len(process.seconds["locked"]) > 20 * 100

    simulate(sell())


@pytest.mark.parametrize("hot", [1, 8])
def test_keys_that_are_in_demand_everywhere_are_all_sold_from(hot: int) -> None:
    """Four processes sell the same ones, and others that are not in demand."""

    async def sell() -> None:
        keys = [f"hot {n}" for n in range(hot)]
        locks = {key: Lock() for key in (*keys, *map(str, range(40)))}
        processes = [Process(locks, many=True, slots=1) for _ in range(4)]
        await asyncio.gather(
            *[
                process.buy(key, until=1.0)
                for process in processes
                for key in (*keys * 5, *map(str, range(40)))
            ]
        )
        for process in processes:
            assert not process.failures
            longest = max(map(max, process.seconds.values()))
            assert longest < 1.5

    simulate(sell())
