"""The coalescer by itself: what it calls are plain functions, which a test lets return."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.coalescer import BUSY, Coalescer, QueueFullError

Item = tuple[str, int]
"""A key and a number."""


class BrokenError(Exception):
    """One item's fault."""


class AwayError(Exception):
    """Everybody's."""


class LateError(Exception):
    """The time was up."""


class Call:
    """A call under way."""

    def __init__(self, kind: str, items: Sequence[Item]) -> None:
        self.kind = kind
        self.items = list(items)
        self.returns: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: list[int] = []

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.items]


class Calls:
    """What is called: it notes every call, and answers an item with its number.

    Attributes:
        busy_keys: the keys that a call for many finds held up.
        broken: the numbers that break their call.
        is_away: every call fails.
        wait: whether calls return when they are told to, or at once.
        under_way, most_under_way: how many calls.
    """

    def __init__(self, *, wait: bool = True) -> None:
        self.made: list[Call] = []
        self.busy_keys: set[str] = set()
        self.broken: set[int] = set()
        self.is_away = False
        self.wait = wait
        self.under_way: list[Call] = []
        self.most_under_way = 0

    async def many(self, items: Sequence[Item]) -> list[Any]:
        return await self._call("many", items)

    async def one(self, items: Sequence[Item]) -> list[Any]:
        [key] = {key for key, _ in items}
        assert all(each.kind != "one" or each.items[0][0] != key for each in self.under_way)
        return await self._call("one", items)

    async def _call(self, kind: str, items: Sequence[Item]) -> list[Any]:
        call = Call(kind, items)
        busy = self.busy_keys if kind == "many" else set()
        self.made.append(call)
        self.under_way.append(call)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        try:
            if self.wait:
                await call.returns
            if self.is_away:
                raise AwayError
            if not self.broken.isdisjoint(call.numbers):
                raise BrokenError(call.numbers)
            call.done = [number for key, number in items if key not in busy]
            return [BUSY if key in busy else number for key, number in items]
        finally:
            self.under_way.remove(call)

    async def begun(self, count: int) -> Call:
        """The call of that number, from 1, once it has begun."""
        await until(lambda: len(self.made) >= count)
        return self.made[count - 1]


def coalescer(
    calls: Calls,
    *,
    many: bool = True,
    items: int = 1000,
    batch: int = 100,
    keys: int = 3,
    timeout: float = 30.0,
) -> Coalescer[Item, int]:
    return Coalescer(
        calls.many if many else None,
        calls.one,
        lambda item: item[0],
        fails_alone=lambda error: not isinstance(error, AwayError),
        items_most=items,
        batch_items_most=batch,
        keys_most=keys,
        timeout_seconds=timeout,
        timeout_error=LateError,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until the condition holds; the test's timeout is the bound."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def settle() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


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
async def test_what_comes_while_a_call_is_under_way_goes_in_the_next_one_together(
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
    second = await calls.begun(2) if calls.made[0].kind == "one" else None
    answers += [asked.submit((f"key {number}", number)) for number in range(4, 9)]
    await settle()
    assert len(calls.under_way) <= 2

    for call in calls.made:
        call.returns.set_result(None)
    last = await calls.begun(3 if second else 2)
    assert last.kind == "many"
    assert last.numbers[-5:] == [4, 5, 6, 7, 8]
    last.returns.set_result(None)
    assert await asyncio.gather(*answers) == [*range(9)]


async def test_a_read_is_not_answered_by_a_call_that_began_before_it() -> None:
    value = "old"
    return_first = asyncio.Event()
    began = 0

    async def read(items: Sequence[str]) -> list[str]:
        nonlocal began
        began += 1
        seen = value
        if began == 1:
            await return_first.wait()
        return [seen for _ in items]

    reads: Coalescer[str, str] = Coalescer(
        read,
        read,
        str,
        fails_alone=lambda error: False,
        items_most=10,
        batch_items_most=10,
        keys_most=1,
        timeout_seconds=30,
        timeout_error=LateError,
    )
    early = reads.submit("a")
    await until(lambda: began == 1)
    value = "new"
    late = reads.submit("a")
    return_first.set()

    assert (await early, await late) == ("old", "new")


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

    assert [type(each) for each in results] == [LateError] * 3
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
    # What comes while a call is under way goes with a call for many, sooner or later.
    held = [asked.submit(("held", 1)), asked.submit(("held", 2))]
    answers = [asked.submit(("free", 3))]
    await settle()
    while not any(call.kind == "one" and call.items[0][0] == "held" for call in calls.made):
        for call in calls.made:
            if not call.returns.done():
                call.returns.set_result(None)
        await settle()
    [own] = [call for call in calls.under_way if call.kind == "one"]

    # The call of its own does not return; the others are answered, and again.
    for number in range(4, 20):
        answers.append(asked.submit(("free", number)))
        held.append(asked.submit(("held", 100 + number)))
        while not answers[-1].done():
            for call in calls.under_way:
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
    after = [call for call in calls.made[calls.made.index(own) :] if call.kind == "one"]
    assert max(len(call.items) for call in after if call.items[0][0] == "held") >= 16


async def test_no_more_keys_have_calls_of_their_own_than_may() -> None:
    calls = Calls()
    asked = coalescer(calls, many=False, keys=2)

    answers = [asked.submit((key, number)) for number, key in enumerate("abcdab")]
    await settle()
    assert [call.items[0][0] for call in calls.under_way] == ["a", "b"]
    for count in range(3, 5):
        calls.under_way[0].returns.set_result(None)
        await calls.begun(count)
        await settle()
        assert len(calls.under_way) == 2

    calls.wait = False
    for call in calls.under_way:
        call.returns.set_result(None)
    assert await asyncio.gather(*answers) == [*range(6)]
    assert calls.most_under_way == 2


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
    async def forgetful(items: Sequence[Item]) -> list[int]:
        return [number for _, number in items if number]

    calls = Calls()
    calls.many = calls.one = forgetful  # type: ignore[method-assign]
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

    with pytest.raises(LateError):
        await late

    calls.made[0].returns.set_result(None)
    calls.wait = False
    assert await asked.submit(("a", 1)) == 1
    assert isinstance(late.exception(), LateError)


async def test_what_was_answered_is_not_kept_behind_what_is_not() -> None:
    class Thing:
        """Can be watched."""

    release = asyncio.Event()

    async def call(items: Sequence[tuple[str, Thing]]) -> list[str]:
        if items[0][0] == "held":
            await release.wait()
        return [key for key, _ in items]

    asked: Coalescer[tuple[str, Thing], str] = Coalescer(
        None,
        call,
        lambda item: item[0],
        fails_alone=lambda error: False,
        items_most=1000,
        batch_items_most=10,
        keys_most=2,
        timeout_seconds=30,
        timeout_error=LateError,
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

    def __init__(self, calls: Calls, many: bool, batch: int, keys: int, items: int) -> None:
        self.calls = calls
        self.answers: dict[int, asyncio.Future[int]] = {}
        self._asked = coalescer(calls, many=many, items=items, batch=batch, keys=keys)
        self._bounds = many, batch, keys, items

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

    async def let_return(self, argument: int) -> None:
        if waiting := [call for call in self.calls.under_way if not call.returns.done()]:
            waiting[argument % len(waiting)].returns.set_result(None)

    async def cancel(self, argument: int) -> None:
        if self.answers:
            self.answers[argument % len(self.answers)].cancel()

    async def end(self) -> None:
        """Let calls return until every item is answered."""
        while self._open():
            await self.let_return(0)
            await self.settle()

    async def settle(self) -> None:
        await settle()
        many, batch, keys, _ = self._bounds
        under_way = self.calls.under_way
        assert len(under_way) <= keys + many
        assert sum(call.kind == "many" for call in under_way) <= many
        assert all(len(call.items) <= batch for call in under_way)

    def _open(self) -> int:
        return sum(not answer.done() for answer in self.answers.values())


def is_as_one_by_one(number: int, answer: asyncio.Future[int], broken: set[int]) -> bool:
    """Whether the item has the answer that it would get alone, unless nobody waits for one."""
    if answer.cancelled():
        return True
    if error := answer.exception():
        return number in broken and error.args == ([number],)
    return number not in broken and answer.result() == number


def times_done(calls: Calls, number: int) -> int:
    """In how many calls it was that failed for none, and had a key that was not held up."""
    return sum(number in call.done for call in calls.made)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["submit", "submit", "submit", "let_return", "busy", "cancel"]),
            st.integers(0, 5),
        ),
        max_size=60,
    ),
    many=st.booleans(),
    batch=st.integers(1, 5),
    keys=st.integers(1, 3),
    items=st.integers(1, 20),
    broken=st.sets(st.integers(0, 20), max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_in_any_order_of_events_each_item_gets_the_answer_that_it_would_get_alone(
    steps: list[tuple[str, int]],
    many: bool,
    batch: int,
    keys: int,
    items: int,
    broken: set[int],
) -> None:
    async def happen() -> None:
        calls = Calls()
        calls.broken = broken
        schedule = Schedule(calls, many, batch, keys, items)
        for step, argument in steps:
            await getattr(schedule, step)(argument)
            await schedule.settle()
        await schedule.end()

        for number, answer in schedule.answers.items():
            assert is_as_one_by_one(number, answer, broken)
            has_result = not answer.cancelled() and number not in broken
            assert times_done(calls, number) in ([1] if has_result else [0, 1])

    asyncio.run(happen())
