"""Calls that a test lets return, for what shares them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

BUSY = "busy"

Item = tuple[str, int]
"""A key and a number."""


class BrokenError(Exception):
    """One item's fault."""


class AwayError(Exception):
    """Everybody's."""


class UnknownError(Exception):
    """The time was up, or it was not tried alone."""


class Call:
    """A call in flight."""

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
        busy_keys: the keys that are busy for a call that does not wait.
        locked_keys: those that are busy for a call that waits, too.
        broken: the numbers that break their call.
        is_away: every call fails.
        wait: whether calls return when they are told to, or at once.
        in_flight, in_flight_max: how many calls.
    """

    def __init__(self, *, wait: bool = True) -> None:
        self.made: list[Call] = []
        self.busy_keys: set[str] = set()
        self.locked_keys: set[str] = set()
        self.broken: set[int] = set()
        self.is_away = False
        self.wait = wait
        self.in_flight: list[Call] = []
        self.in_flight_max = 0

    async def many_keys_call(self, items: Sequence[Item]) -> list[Any]:
        return await self._call("many keys", items)

    async def one_key_call(self, items: Sequence[Item], wait_seconds: float) -> list[Any]:
        [key] = {key for key, _ in items}
        assert all(each.kind != "one key" or each.items[0][0] != key for each in self.in_flight)
        return await self._call("one key", items)

    async def one_key_call_unless_busy(self, items: Sequence[Item]) -> list[Any]:
        assert len({key for key, _ in items}) == 1
        return await self._call("one key unless busy", items)

    async def _call(self, kind: str, items: Sequence[Item]) -> list[Any]:
        call = Call(kind, items)
        busy = self.locked_keys | (set() if kind == "one key" else self.busy_keys)
        self.made.append(call)
        self.in_flight.append(call)
        self.in_flight_max = max(self.in_flight_max, len(self.in_flight))
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
            self.in_flight.remove(call)

    async def begun(self, count: int) -> Call:
        """The call of that number, from 1, once it has begun."""
        await until(lambda: len(self.made) >= count)
        return self.made[count - 1]


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until the condition holds; the test's timeout is the bound."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def settle() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)
