from __future__ import annotations

import asyncio

import pytest

from api.web import refusal_delay
from api.web.refusal_delay import Resting
from tests.http.wire import until


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_delay, "LOOK_SECONDS", 0.001)


class Queue:
    """A queue with some room, which those who go on take."""

    def __init__(self, room: int) -> None:
        self.left = room
        self.taken: list[int] = []

    def room(self) -> int:
        return self.left

    def take(self, number: int) -> None:
        self.left -= 1
        self.taken.append(number)


def rest(made: Resting, queue: Queue, count: int, seconds_most: float = 1_000) -> None:
    for number in range(count):
        made.add(queue.room, lambda number=number: queue.take(number), seconds_most)  # type: ignore[misc]


async def test_no_more_go_on_than_there_is_room_for_and_in_their_order() -> None:
    made, queue = Resting(), Queue(room=5)
    rest(made, queue, 20)

    await until(lambda: queue.left == 0)
    assert queue.taken == [0, 1, 2, 3, 4]
    queue.left = 3
    await until(lambda: queue.left == 0)
    assert queue.taken == list(range(8))
    assert len(made) == 12


async def test_room_in_one_queue_is_none_in_another() -> None:
    made, full, other = Resting(), Queue(room=0), Queue(room=100)
    rest(made, full, 20)
    rest(made, other, 20)

    await until(lambda: len(other.taken) == 20)
    assert full.taken == []
    assert len(made) == 20


async def test_all_go_on_when_their_time_is_up() -> None:
    made, queue = Resting(), Queue(room=0)
    rest(made, queue, 20, seconds_most=0.05)

    await until(lambda: len(queue.taken) == 20)
    assert len(made) == 0


async def test_nobody_goes_on_while_others_are_refused() -> None:
    """What was refused since the last look found no room, whatever there is at the moment."""
    made, queue = Resting(), Queue(room=100)
    rest(made, queue, 1)

    for _ in range(20):
        rest(made, queue, 1)
        await asyncio.sleep(0)
        assert queue.taken == []

    await until(lambda: len(queue.taken) == 21)


async def test_at_the_end_all_go_on_at_once() -> None:
    made, queue = Resting(), Queue(room=0)
    rest(made, queue, 20)

    made.end()

    assert queue.taken == list(range(20))
    assert len(made) == 0
