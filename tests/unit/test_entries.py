"""What becomes of a batch whose call fails, however many of its items are at fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.database import entries
from api.database.entries import Entries
from tests.unit.shared_calls import AwayError, BrokenError, UnknownError

CALLS_MAX = 65
"""What the docstring states."""


class Batch:
    """Items from 0 on, some of them broken, and the calls that they took."""

    def __init__(self, size: int, broken: set[int]) -> None:
        self._size = size
        self._broken = broken
        self.calls: list[list[int]] = []
        self.results: list[int | BaseException] = []

    async def call(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        if found := self._broken.intersection(numbers):
            raise BrokenError(sorted(found), list(numbers))
        return [-number for number in numbers]

    async def run(self) -> Batch:
        made: Entries[int, int] = Entries(
            fails_alone=lambda error: not isinstance(error, AwayError),
            items_max=self._size,
            timeout_seconds=30,
            unknown_error=UnknownError,
        )
        batch = [made.add(number) for number in range(self._size)]
        assert await made.call(self.call, batch) == []
        self.results = await asyncio.gather(
            *[each.answer for each in batch], return_exceptions=True
        )
        assert made.room() == self._size
        return self

    def unknown(self) -> list[int]:
        return [n for n, each in enumerate(self.results) if isinstance(each, UnknownError)]


@pytest.mark.parametrize("size", [2, 100, 256, 10_000])
async def test_a_batch_whose_items_all_fail_makes_a_bounded_number_of_calls(size: int) -> None:
    assert 1 + 2 * entries.SPLITS_MAX == CALLS_MAX

    batch = await Batch(size, {*range(size)}).run()

    assert len(batch.calls) == min(2 * size - 1, CALLS_MAX)
    for number, result in enumerate(batch.results):
        assert isinstance(result, UnknownError) or result.args == ([number], [number])  # type: ignore[union-attr]
    # No part goes untried.
    assert {number for call in batch.calls[1:] for number in call} == {*range(size)}


@pytest.mark.parametrize("broken", [0, 100, 255])
async def test_one_item_at_fault_is_found_in_few_calls(broken: int) -> None:
    batch = await Batch(256, {broken}).run()

    assert len(batch.calls) == 17
    for number, result in enumerate(batch.results):
        if number == broken:
            assert isinstance(result, BrokenError)
        else:
            assert result == -number


@given(size=st.integers(1, 256), data=st.data())
def test_no_item_is_blamed_for_the_fault_of_another(size: int, data: st.DataObject) -> None:
    broken = data.draw(st.sets(st.integers(0, size - 1)))

    batch = asyncio.run(Batch(size, broken).run())

    assert len(batch.calls) <= CALLS_MAX
    for number, result in enumerate(batch.results):
        if isinstance(result, BrokenError):
            assert number in broken
            assert result.args == ([number], [number])
        elif not isinstance(result, UnknownError):
            assert number not in broken
            assert result == -number
    if len(broken) <= 4:
        assert batch.unknown() == []
