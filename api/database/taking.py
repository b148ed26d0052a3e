"""What takes tickets: purchases, holds, and purchases of holds. They share calls.

    take -> Coalescer, which chooses the call:
        many options: _call_many_options, does not wait for locks
        one option:   _call_one_option, may wait for its lock

A call that is sent again because its outcome is unknown says so, and so does every later call with
one of its items: the first sending may still be on its way, and must not be filled after a later
one was refused. The database remembers such a refusal by the item's resend id.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from api.database.calls import Database
from api.database.coalescer import Coalescer
from api.database.entries import Call, QueueFullError
from api.database.errors import OverloadedError, RefusedError, UnavailableError
from api.database.faults import LOCK_NOT_AVAILABLE, is_one_items_fault
from api.database.per_key import per_key

BUSY = "busy"
"""The outcome of an item whose option another transaction has locked. Nothing was decided."""

REFUSED_BEFORE = "refused_before"
"""The outcome of an item that a resend of an earlier request was refused for. Nothing was taken."""

OTHER_CALLS = 4
"""Connections kept from calls that wait for a lock: one each for the calls that do not wait, for
reads, for changes that wait, and for everything else. The smallest pool has one for the last two.
"""

Outcome = tuple[str, dict[str, Any] | None]
"""What became of an item, and what there is to say about that."""


class Kind:
    """A kind of taking: the statements that do it, first sent and sent again.

    Args:
        function: takes items of one option; that of many options is called ``..._of_many``.
        types: of the arrays that it takes, after the option.
    """

    def __init__(self, function: str, *types: str) -> None:
        arrays = "".join(f", %s::{each}[]" for each in types)
        of_one = f"SELECT outcomes, details FROM ticketing.{function}(%s::uuid{arrays}, %s::integer"
        of_many = f"SELECT outcomes, details FROM ticketing.{function}_of_many(%s::uuid[]{arrays}"
        self.one_option = (f"{of_one})", f"{of_one}, %s::uuid[])")
        self.many_options = (f"{of_many})", f"{of_many}, %s::uuid[])")


PURCHASE = Kind("try_purchase_tickets", "uuid", "uuid", "integer")
HOLD = Kind("try_hold_tickets", "uuid", "uuid", "integer", "integer")
PURCHASE_OF_HOLD = Kind("try_purchase_holds", "uuid")

Item = list[Any]
"""The option, the kind, the kind's other arguments as text for array literals, and last the resend
id: None until the item is sent again."""

_option_of = itemgetter(0)
_kind_of = itemgetter(1)


class Taking:
    """Takes tickets. Made within the event loop.

    Args:
        lock_timeout_seconds: how long a call may wait for a lock.
        batch_options: ``many`` or ``one``: how many ticket options a call may be for.
        bounds: see `Coalescer`.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_items_max: int,
        batch_options: str,
        lock_timeout_seconds: float,
        **bounds: Any,
    ) -> None:
        self._database = database
        self._shares_calls = batch_items_max > 1
        self._lock_timeout_seconds = lock_timeout_seconds

        slots = max(1, database.pool_size - OTHER_CALLS)
        retries_max = batch_items_max // 4
        many_options: Call[Item] = _by_kind(self._call_many_options)
        one_option = _by_kind(self._call_one_option)
        if batch_options == "one":
            # Calls that wait and calls that do not get half of the connections each.
            calls_max, slots = (database.pool_size - 1) // 2, max(1, slots // 2)
            retries_max = calls_max
            many_options = per_key(
                lambda items: one_option(items, 0.0),
                _option_of,
                calls_max=calls_max,
                failed=_busy_if_one_items_fault,
            )
        self._coalescer: Coalescer[Item, Outcome] = Coalescer(
            many_options,
            one_option,
            _option_of,
            busy_answer=(BUSY, None),
            batch_items_max=batch_items_max,
            slots=slots,
            retries_max=retries_max,
            busy_seconds=3 * lock_timeout_seconds,
            busy_error=OverloadedError,
            **bounds,
        )

    async def take(self, option_id: str, kind: Kind, *arguments: str) -> Outcome:
        """Return what became of an item.

        Raises:
            OverloadedError: there was no room for it, or its option stayed locked for three lock
                timeouts. Nothing was stored.
            RefusedError: the database raised an error. Nothing was stored.
            UnavailableError: the outcome is unknown.
        """
        submit = self._coalescer.submit if self._shares_calls else self._take_alone
        item: Item = [option_id, kind, *arguments, None]
        try:
            outcome = await submit(item)
            if outcome[0] == REFUSED_BEFORE:
                # Who was refused then has been told, or is gone. This one is decided anew.
                item = [*item[:-1], _new_resend_id()]
                outcome = await submit(item)
        except (QueueFullError, OverloadedError, RefusedError) as error:
            if item[-1] is not None:
                # It was sent before, and that sending may be stored by now.
                raise UnavailableError from error
            if isinstance(error, QueueFullError):
                raise OverloadedError(self._coalescer.room) from None
            raise
        return outcome

    async def _take_alone(self, item: Item) -> Outcome:
        [outcome] = await self._call(
            item[1].one_option,
            _arguments_of_one_option([item], self._lock_timeout_seconds),
            [item],
            is_resend=item[-1] is not None,
        )
        return outcome

    async def _call_many_options(self, items: Sequence[Item]) -> list[Outcome]:
        option_ids, kinds, *columns, resend_ids = zip(*items, strict=True)
        arguments = [_array(option_ids), *map(_array, columns)]
        return await self._call(kinds[0].many_options, arguments, items, is_resend=any(resend_ids))

    async def _call_one_option(self, items: Sequence[Item], wait_seconds: float) -> list[Outcome]:
        try:
            return await self._call(
                items[0][1].one_option,
                _arguments_of_one_option(items, min(wait_seconds, self._lock_timeout_seconds)),
                items,
                is_resend=any(map(itemgetter(-1), items)),
                resends_timed_out=False,
            )
        except RefusedError as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            return [(BUSY, None)] * len(items)

    async def _call(
        self,
        statements: tuple[str, str],
        arguments: list[str],
        items: Sequence[Item],
        *,
        is_resend: bool,
        resends_timed_out: bool = True,
    ) -> list[Outcome]:
        first, again = statements

        def resend() -> tuple[str, list[str]]:
            for item in items:
                item[-1] = item[-1] or _new_resend_id()
            return again, [*arguments, _array(item[-1] for item in items)]

        statement, sent = resend() if is_resend else (first, arguments)
        [[outcomes, details]] = await self._database.call(
            statement, sent, resends_timed_out=resends_timed_out, resend=resend
        )
        return list(zip(outcomes, details or [None] * len(items), strict=True))


def _arguments_of_one_option(items: Sequence[Item], wait_seconds: float) -> list[str]:
    option_ids, _, *columns, _ = zip(*items, strict=True)
    return [option_ids[0], *map(_array, columns), str(round(wait_seconds * 1000))]


def _by_kind(call: Callable[..., Awaitable[list[Outcome]]]) -> Callable[..., Awaitable[list[Any]]]:
    """Return a call that takes items of any kinds, and calls once for each kind, in turn."""

    async def any_kinds_call(items: Sequence[Item], *how: float) -> list[Any]:
        kinds = dict.fromkeys(map(_kind_of, items))
        if len(kinds) == 1:
            return await call(items, *how)
        answers: list[Any] = [None] * len(items)
        for kind in kinds:
            places = [place for place, item in enumerate(items) if item[1] is kind]
            try:
                answered: Sequence[Any] = await call([items[place] for place in places], *how)
            except Exception as error:
                if is_one_items_fault(error):
                    raise  # and be made again in halves: what is stored by now is found stored
                answered = [error] * len(places)
            for place, answer in zip(places, answered, strict=True):
                answers[place] = answer
        return answers

    return any_kinds_call


def _busy_if_one_items_fault(error: Exception) -> Any:
    """Have the items of an option resent by themselves, to find out whose fault it was."""
    return (BUSY, None) if is_one_items_fault(error) else error


def _new_resend_id() -> str:
    return str(uuid.uuid4())


def _array(values: Iterable[str]) -> str:
    """The literal of an array whose elements need no quotes: UUIDs and numbers."""
    return "{" + ",".join(values) + "}"
