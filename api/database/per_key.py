"""Calls for many keys, made of calls that can only be made for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from api.database.entries import Call, Item


def per_key(
    call: Call[Item],
    key_of: Callable[[Item], Hashable],
    *,
    calls_max: int,
    failed: Callable[[Exception], Any] = lambda error: error,
) -> Call[Item]:
    """Return a call that takes items of any keys, and calls once for each key.

    Args:
        calls_max: how many calls may be in flight at once.
        failed: makes the answer to each of several items from the error of their call.
    """

    async def many_keys_call(items: Sequence[Item]) -> list[Any]:
        places: dict[Hashable, list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(key_of(item), []).append(place)
        answers: list[Any] = [None] * len(items)
        groups = iter(places.values())

        async def call_some() -> None:
            for group in groups:
                try:
                    answered = await call([items[place] for place in group])
                    pairs = list(zip(group, answered, strict=True))
                except Exception as error:
                    answer = failed(error) if len(group) > 1 else error
                    pairs = [(place, answer) for place in group]
                for place, answer in pairs:
                    answers[place] = answer

        await asyncio.gather(*[call_some() for _ in range(min(calls_max, len(places)))])
        return answers

    return many_keys_call
