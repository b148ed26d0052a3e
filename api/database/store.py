"""The stored functions, one method for each. There is no rule here: see db/procedures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any, NamedTuple, cast

from api.database.calls import Database
from api.database.coalescer import Coalescer
from api.database.entries import Answer, Call, Item, QueueFullError
from api.database.errors import OverloadedError, RefusedError, UnavailableError
from api.database.faults import LOCK_NOT_AVAILABLE, is_one_items_fault
from api.database.next_call import NextCall
from api.database.per_key import per_key
from api.database.rows import Purchase, TicketOption

BUSY = "busy"
"""The outcome of a purchase whose option another transaction has locked. Nothing was decided."""

OTHER_CALLS = 3
"""Connections kept from purchases that wait for a lock: one each for the purchases that do not
wait, for reads, and for everything else."""


class _Purchase(NamedTuple):
    """The arguments of purchase_tickets, as text for array literals."""

    option_id: str
    purchase_id: str
    user_id: str
    quantity: str


class Store:
    """Calls the functions of the schema ``ticketing``.

    Concurrent purchases share calls (see docs/coalescer.md), and so do reads of ticket options. A
    read never joins a call already in flight, so it sees every purchase that was answered before.

        purchase_tickets -> Coalescer, which chooses the call:
            many options: _purchase_of_many_options, does not wait for locks
            one option:   _purchase_of_one_option, may wait for its lock
        get_ticket_option -> NextCall -> _read_options

    Every method raises what `Database.call` raises. Made within the event loop.

    A purchase whose option stays locked for three lock timeouts is refused; nothing was stored.

    Args:
        check: awaited before every call until it has returned once; free to refuse the call.
        batch_size: maximum purchases or reads per call; 1 disables batching.
        batch_options: ``many`` or ``one``: how many ticket options a call may be for.
        lock_timeout_seconds: how long a call may wait for a lock.
    """

    def __init__(
        self,
        database: Database,
        check: Callable[[], Awaitable[None]],
        *,
        batch_size: int = 256,
        batch_options: str = "many",
        lock_timeout_seconds: float = 2.0,
    ) -> None:
        self._database = database
        self._shares_calls = batch_size > 1
        self._lock_timeout_seconds = lock_timeout_seconds
        self._check = check
        self._is_checked = False

        slots = database.pool_size - OTHER_CALLS
        retries_max = batch_size // 4
        sell: Call[_Purchase] = self._purchase_of_many_options
        read: Call[str] = self._read_options
        if batch_options == "one":
            # Calls that wait and calls that do not get half of the connections each.
            calls_max, slots = (database.pool_size - 1) // 2, max(1, slots // 2)
            retries_max = calls_max
            sell = per_key(
                self._purchase_of_one_option_unless_busy,
                itemgetter(0),
                calls_max=calls_max,
                failed=_busy_if_one_items_fault,
            )
            read = per_key(self._read_options, str, calls_max=calls_max)
        bounds: dict[str, Any] = {
            "batch_items_max": batch_size,
            "fails_alone": is_one_items_fault,
            "items_max": database.max_waiting,
            "timeout_seconds": database.timeout_seconds,
            "unknown_error": UnavailableError,
        }
        self._reads: NextCall[str, TicketOption | None] = NextCall(read, **bounds)
        self._purchases: Coalescer[_Purchase, str] = Coalescer(
            sell,
            self._purchase_of_one_option,
            itemgetter(0),
            busy_answer=BUSY,
            slots=slots,
            retries_max=retries_max,
            busy_seconds=3 * lock_timeout_seconds,
            busy_error=OverloadedError,
            **bounds,
        )

    async def create_ticket_option(
        self, option_id: str, name: str, desc: str, allocation: int
    ) -> str:
        """Put a ticket option on sale, and return the outcome: see try_create_ticket_option.sql."""
        [[outcome]] = await self._call(
            "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s::integer)",
            (option_id, name, desc, allocation),
        )
        return cast("str", outcome)

    async def get_ticket_option(self, option_id: str) -> TicketOption | None:
        """The option, or None. Its allocation is what can still be purchased."""
        if not self._is_checked:
            await self._pass_check()
        if not self._shares_calls:
            return (await self._read_options([option_id]))[0]
        return await _submit(self._reads, option_id)

    async def purchase_tickets(
        self, option_id: str, purchase_id: str, user_id: str, quantity: int
    ) -> str:
        """Sell tickets, and return the outcome: one of those of purchase_tickets_of_one.sql."""
        if not self._is_checked:
            await self._pass_check()
        purchase = _Purchase(option_id, purchase_id, user_id, str(quantity))
        if not self._shares_calls:
            rows = await self._database.call(
                _PURCHASE_OF_ONE_OPTION, _columns_of_one_option([purchase])
            )
            return cast("str", rows[0][0][0])
        return await _submit(self._purchases, purchase)

    async def _purchase_of_many_options(self, purchases: Sequence[_Purchase]) -> list[str]:
        [[outcomes]] = await self._database.call(
            "SELECT ticketing.purchase_tickets_of_many("
            "%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[])",
            [_array(column) for column in zip(*purchases, strict=True)],
        )
        return cast("list[str]", outcomes)

    async def _purchase_of_one_option(
        self, purchases: Sequence[_Purchase], wait_seconds: float
    ) -> list[str]:
        lock_wait_ms = round(min(wait_seconds, self._lock_timeout_seconds) * 1000)
        try:
            [[outcomes]] = await self._database.call(
                "SELECT ticketing.purchase_tickets_unless_busy("
                "%s::uuid, %s::uuid[], %s::uuid[], %s::integer[], %s::integer)",
                [*_columns_of_one_option(purchases), str(lock_wait_ms)],
                resends_timed_out=False,
            )
        except RefusedError as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            return [BUSY] * len(purchases)
        return cast("list[str]", outcomes)

    async def _purchase_of_one_option_unless_busy(
        self, purchases: Sequence[_Purchase]
    ) -> list[str]:
        return await self._purchase_of_one_option(purchases, 0)

    async def _read_options(self, option_ids: Sequence[str]) -> list[TicketOption | None]:
        rows = await self._database.call(
            'SELECT id::text, name, "desc", allocation '
            "FROM ticketing.get_ticket_options(%s::uuid[])",
            [_array(set(option_ids))],
        )
        found = {row[0]: TicketOption(*row) for row in rows}
        return [found.get(option_id) for option_id in option_ids]

    async def get_purchase(self, option_id: str, purchase_id: str) -> Purchase | None:
        """The purchase, or None."""
        rows = await self._call(
            # Formatted, so that neither the date style nor the time zone of the session matters.
            "SELECT id, ticket_option_id, user_id, quantity, "
            "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
            "FROM ticketing.get_purchase(%s, %s)",
            (option_id, purchase_id),
        )
        if not rows:
            return None
        [[found_id, of_option_id, user_id, quantity, text]] = rows
        created_at = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
        return Purchase(found_id, of_option_id, user_id, quantity, created_at)

    async def _pass_check(self) -> None:
        await self._check()
        self._is_checked = True

    async def _call(self, statement: str, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self._is_checked:
            await self._pass_check()
        return await self._database.call(statement, arguments)


_PURCHASE_OF_ONE_OPTION = (
    "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
)


def _columns_of_one_option(purchases: Sequence[_Purchase]) -> list[str]:
    """The option, and an array for each of the rest."""
    option_ids, *columns = zip(*purchases, strict=True)
    return [option_ids[0], *map(_array, columns)]


def _busy_if_one_items_fault(error: Exception) -> Any:
    """Have the purchases of an option resent by themselves, to find out whose fault it was."""
    return BUSY if is_one_items_fault(error) else error


def _array(values: Iterable[str]) -> str:
    """The literal of an array whose elements need no quotes: UUIDs and numbers."""
    return "{" + ",".join(values) + "}"


async def _submit(calls: Coalescer[Item, Answer] | NextCall[Item, Answer], item: Item) -> Answer:
    try:
        return await calls.submit(item)
    except QueueFullError:
        raise OverloadedError(calls.room) from None
