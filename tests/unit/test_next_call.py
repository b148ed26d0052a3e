"""The next call by itself: what it calls are plain functions, which a test lets return."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.database.entries import QueueFullError
from api.database.next_call import NextCall
from api.database.per_key import per_key
from tests.unit.shared_calls import AwayError, BrokenError, Calls, Item, UnknownError, settle, until

each_mode = pytest.mark.parametrize("many", [True, False], ids=["many keys", "one key"])


def next_call(
    calls: Calls, *, many: bool = True, items: int = 1000, batch: int = 100, timeout: float = 30.0
) -> NextCall[Item, int]:
    def key_of(item: Item) -> str:
        return item[0]

    return NextCall(
        calls.many_keys_call
        if many
        else per_key(calls.one_key_call_unless_busy, key_of, calls_max=2),
        batch_items_max=batch,
        fails_alone=lambda error: not isinstance(error, AwayError),
        items_max=items,
        timeout_seconds=timeout,
        unknown_error=UnknownError,
    )


def submit_all(shared: NextCall[Item, int], *numbers: int) -> list[asyncio.Future[int]]:
    return [shared.submit(("a", number)) for number in numbers]


@each_mode
async def test_an_item_that_comes_alone_goes_at_once(many: bool) -> None:
    calls = Calls()
    shared = next_call(calls, many=many)

    answer = shared.submit(("a", 7))
    await asyncio.sleep(0)
    if not many:
        await asyncio.sleep(0)  # its key's call
    assert [call.numbers for call in calls.in_flight] == [[7]]

    calls.in_flight[0].returns.set_result(None)
    assert await answer == 7


async def test_an_item_is_not_answered_by_a_call_that_began_before_it() -> None:
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

    reads: NextCall[str, str] = NextCall(
        read,
        batch_items_max=10,
        fails_alone=lambda error: False,
        items_max=10,
        timeout_seconds=30,
        unknown_error=UnknownError,
    )
    early = reads.submit("a")
    await until(lambda: began == 1)
    value = "new"
    late = reads.submit("a")
    await settle()
    return_first.set()

    assert (await early, await late) == ("old", "new")


@given(st.lists(st.sampled_from(["submit", "turn", "return"]), max_size=40))
def test_every_item_is_in_one_call_which_begins_after_it_and_is_the_only_one(
    steps: list[str],
) -> None:
    async def happen() -> None:
        calls = Calls()
        answers: list[asyncio.Future[int]] = []
        shared = next_call(calls, batch=3)
        made_before: list[int] = []
        for step in steps:
            if step == "submit":
                made_before.append(len(calls.made))
                answers.append(shared.submit(("a", len(answers))))
            elif step == "turn":
                await asyncio.sleep(0)
            elif calls.in_flight and not calls.in_flight[0].returns.done():
                calls.in_flight[0].returns.set_result(None)
            assert len(calls.in_flight) <= 1
        calls.wait = False
        for call in calls.in_flight:
            if not call.returns.done():
                call.returns.set_result(None)
        assert await asyncio.gather(*answers) == [*range(len(answers))]

        assert [n for call in calls.made for n in call.numbers] == [*range(len(answers))]
        assert calls.in_flight_max <= 1
        for place, call in enumerate(calls.made):
            assert len(call.numbers) <= 3
            assert all(made_before[number] <= place for number in call.numbers)

    asyncio.run(happen())


@each_mode
async def test_what_comes_while_a_call_is_in_flight_goes_in_the_next_one_together(
    many: bool,
) -> None:
    calls = Calls()
    shared = next_call(calls, many=many)
    [first] = submit_all(shared, 0)
    call = await calls.begun(1)
    others = submit_all(shared, 1, 2, 3)
    await settle()
    assert len(calls.made) == 1

    call.returns.set_result(None)
    following = await calls.begun(2)
    assert (await first, following.numbers) == (0, [1, 2, 3])
    following.returns.set_result(None)
    assert await asyncio.gather(*others) == [1, 2, 3]


async def test_calls_that_are_for_one_key_share_nothing_between_keys() -> None:
    calls = Calls()
    shared = next_call(calls, many=False)
    answers = [shared.submit((key, number)) for number, key in enumerate("abcab")]
    await settle()
    assert [call.numbers for call in calls.in_flight] == [[0, 3], [1, 4]]

    calls.wait = False
    for call in list(calls.in_flight):
        call.returns.set_result(None)
    assert await asyncio.gather(*answers) == [0, 1, 2, 3, 4]
    assert calls.in_flight_max == 2


@each_mode
async def test_more_items_than_may_wait_are_refused_at_once(many: bool) -> None:
    calls = Calls()
    shared = next_call(calls, many=many, items=3)
    [first] = submit_all(shared, 0)
    call = await calls.begun(1)
    assert shared.room() == 2
    waiting = submit_all(shared, 1, 2)

    with pytest.raises(QueueFullError):
        submit_all(shared, 3)
    assert shared.room() == 0
    call.returns.set_result(None)
    await first
    waiting += submit_all(shared, 4)
    calls.wait = False
    (await calls.begun(2)).returns.set_result(None)

    assert await asyncio.gather(*waiting) == [1, 2, 4]
    assert shared.room() == 3


@each_mode
async def test_items_whose_time_is_up_make_room_and_are_not_asked_for(many: bool) -> None:
    calls = Calls()
    shared = next_call(calls, many=many, items=3, timeout=0.01)
    late = submit_all(shared, 0)
    call = await calls.begun(1)
    late += submit_all(shared, 1, 2)

    results = await asyncio.gather(*late, return_exceptions=True)

    assert [type(each) for each in results] == [UnknownError] * 3
    calls.wait = False
    call.returns.set_result(None)
    assert await asyncio.gather(*submit_all(shared, 7, 8, 9)) == [7, 8, 9]
    assert {number for each in calls.made for number in each.numbers} == {0, 7, 8, 9}


async def test_items_that_nobody_waits_for_are_not_asked_for() -> None:
    calls = Calls()
    shared = next_call(calls)
    [first] = submit_all(shared, 0)
    call = await calls.begun(1)
    gone, kept = submit_all(shared, 1, 2)
    gone.cancel()
    calls.wait = False
    call.returns.set_result(None)

    assert (await first, await kept) == (0, 2)
    assert [each.numbers for each in calls.made] == [[0], [2]]


async def test_an_item_that_breaks_its_call_fails_alone() -> None:
    calls = Calls(wait=False)
    calls.broken = {3}
    shared = next_call(calls)

    results = await asyncio.gather(*submit_all(shared, *range(8)), return_exceptions=True)

    assert isinstance(results[3], BrokenError)
    assert results[3].args == ([3],)
    assert [each for each in results if isinstance(each, int)] == [0, 1, 2, 4, 5, 6, 7]
    assert await asyncio.gather(*submit_all(shared, 100)) == [100]


async def test_a_key_that_breaks_its_call_leaves_the_others_alone() -> None:
    calls = Calls(wait=False)
    calls.broken = {0}
    shared = next_call(calls, many=False)

    answers = [shared.submit((key, number)) for number, key in enumerate("aab")]
    results = await asyncio.gather(*answers, return_exceptions=True)

    assert [type(each) for each in results] == [BrokenError, BrokenError, int]


@each_mode
async def test_an_error_that_is_everybodys_is_not_tried_again(many: bool) -> None:
    calls = Calls(wait=False)
    calls.is_away = True
    shared = next_call(calls, many=many)

    results = await asyncio.gather(*submit_all(shared, *range(8)), return_exceptions=True)

    assert [type(each) for each in results] == [AwayError] * 8
    assert len(calls.made) == 1
    calls.is_away = False
    assert await asyncio.gather(*submit_all(shared, 100)) == [100]
