"""The stored functions, one method for each. There is no rule here: see db/procedures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any, NamedTuple, cast

import psycopg

from api.database.coalescer import BUSY, Answer, Coalescer, Item, QueueFullError, SharedCall, by_key
from api.database.database import Database, is_one_items_fault
from api.problems import OVERLOADED, UNAVAILABLE, Problem
from api.schemas import Purchase, TicketOption

NOWHERE = "00000000-0000-0000-0000-000000000000"

OTHER_CALLS = 3
"""Connections that purchases waiting for a lock cannot take: for the purchases that do not wait,
for reads, and for the rest."""


class _Purchase(NamedTuple):
    """What is asked for of purchase_tickets, as text: the array literals are made of it."""

    option_id: str
    purchase_id: str
    user_id: str
    quantity: str


class Store:
    """Calls the functions of the schema ``ticketing``.

    Purchases that are asked for at the same time share calls, and so do reads of ticket options.
    A read never joins a call that was under way before it, so it sees every purchase that was
    answered before it was asked for.

    Every method raises what `Database.call` raises. Made within the event loop.

    A purchase whose option stays locked for three lock timeouts is refused, and nothing was stored.

    Args:
        batch_size: purchases or reads at most that share a call; 1: none do.
        batch_options: ``many`` or ``one``, the ticket options of a call.
        lock_timeout_seconds: how long a call may wait for a lock.

    Attributes:
        check: awaited before every call but `installed_files`, and free to refuse it; None once the
            database was found to be the one that this build was made for.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_size: int = 256,
        batch_options: str = "many",
        lock_timeout_seconds: float = 2.0,
    ) -> None:
        self._database = database
        self._shares_calls = batch_size > 1
        self._lock_timeout_seconds = lock_timeout_seconds
        self.check: Callable[[], Awaitable[None]] | None = None

        slots = database.pool_size - OTHER_CALLS
        retries_most = batch_size // 4
        sell: SharedCall[_Purchase] = self._purchase_of_many
        read: SharedCall[str] = self._read_many
        if batch_options == "one":
            # What does not wait takes as many connections as what does.
            at_once, slots = (database.pool_size - 1) // 2, max(1, slots // 2)
            retries_most = at_once
            sell = _by_option(self._purchase_of_one_unless_busy, itemgetter(0), at_once)
            read = _by_option(self._read_many, str, at_once)
        bounds: dict[str, Any] = {
            "fails_alone": is_one_items_fault,
            "items_most": database.max_waiting,
            "batch_items_most": batch_size,
            "slots": slots,
            "retries_most": retries_most,
            "timeout_seconds": database.timeout_seconds,
            "timeout_error": lambda: Problem(UNAVAILABLE),
            "busy_seconds": 3 * lock_timeout_seconds,
            "busy_error": lambda: Problem(OVERLOADED),
        }
        self._purchases: Coalescer[_Purchase, str] = Coalescer(
            sell, self._purchase_of_one, itemgetter(0), **bounds
        )
        self._reads: Coalescer[str, TicketOption | None] = Coalescer(
            read, self._read_own, str, **bounds
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
        if self.check is not None:
            await self.check()
        if not self._shares_calls:
            return (await self._read_many([option_id]))[0]
        return await _submit(self._reads, option_id)

    async def purchase_tickets(
        self, option_id: str, purchase_id: str, user_id: str, quantity: int
    ) -> str:
        """Sell tickets, and return the outcome: one of those of purchase_tickets_of_one.sql."""
        if self.check is not None:
            await self.check()
        purchase = _Purchase(option_id, purchase_id, user_id, str(quantity))
        if not self._shares_calls:
            rows = await self._database.call(_PURCHASE_OF_ONE, _of_one([purchase]))
            return cast("str", rows[0][0][0])
        return await _submit(self._purchases, purchase)

    async def _purchase_of_many(self, purchases: Sequence[_Purchase]) -> list[str]:
        [[outcomes]] = await self._database.call(
            "SELECT ticketing.purchase_tickets_of_many("
            "%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[])",
            [_array(column) for column in zip(*purchases, strict=True)],
        )
        return cast("list[str]", outcomes)

    async def _purchase_of_one(
        self, purchases: Sequence[_Purchase], wait_seconds: float
    ) -> list[str]:
        lock_wait_ms = round(min(wait_seconds, self._lock_timeout_seconds) * 1000)
        try:
            [[outcomes]] = await self._database.call(
                "SELECT ticketing.purchase_tickets_unless_busy("
                "%s::uuid, %s::uuid[], %s::uuid[], %s::integer[], %s::integer)",
                [*_of_one(purchases), str(lock_wait_ms)],
                resends_timed_out=False,
            )
        except psycopg.errors.LockNotAvailable:
            return [BUSY] * len(purchases)
        return cast("list[str]", outcomes)

    async def _purchase_of_one_unless_busy(self, purchases: Sequence[_Purchase]) -> list[str]:
        return await self._purchase_of_one(purchases, 0)

    async def _read_many(self, option_ids: Sequence[str]) -> list[TicketOption | None]:
        rows = await self._database.call(
            'SELECT id::text, name, "desc", allocation '
            "FROM ticketing.get_ticket_options(%s::uuid[])",
            [_array(set(option_ids))],
        )
        found = {row[0]: TicketOption(*row) for row in rows}
        return [found.get(option_id) for option_id in option_ids]

    async def _read_own(self, option_ids: Sequence[str], wait_seconds: float) -> list[Any]:
        """A read never waits for a lock."""
        return await self._read_many(option_ids)

    async def get_purchase(self, option_id: str, purchase_id: str) -> Purchase | None:
        """The purchase, or None."""
        rows = await self._call(
            # Spelled out, so that neither a date style nor a time zone of the session has a say.
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

    async def installed_files(self, timeout_seconds: float | None = None) -> dict[str, str]:
        """The checksums of the migrations and procedures that made the database, by file name.

        Makes purchases of nothing on the way, which fail where nothing can be sold: they may be
        called, and they lock, though no row.
        """
        rows = await self._database.call(
            "SELECT file.path, file.sha256 FROM ticketing.installed_files() AS file, "
            "ticketing.purchase_tickets(%s::uuid, '{}', '{}', '{}'::integer[]), "
            "ticketing.purchase_tickets_of_many('{}', '{}', '{}', '{}')",
            [NOWHERE],
            timeout_seconds,
        )
        return dict(rows)

    async def _call(self, statement: str, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
        if self.check is not None:
            await self.check()
        return await self._database.call(statement, arguments)


_PURCHASE_OF_ONE = (
    "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
)


def _of_one(purchases: Sequence[_Purchase]) -> list[str]:
    """The option, and an array for each of the rest."""
    option_ids, *columns = zip(*purchases, strict=True)
    return [option_ids[0], *map(_array, columns)]


def _by_option(
    call: SharedCall[Item], key_of: Callable[[Item], str], calls_most: int
) -> SharedCall[Item]:
    return by_key(call, key_of, fails_alone=is_one_items_fault, calls_most=calls_most)


def _array(values: Iterable[str]) -> str:
    """The literal of an array whose elements need no quotes: UUIDs and numbers."""
    return "{" + ",".join(values) + "}"


async def _submit(coalescer: Coalescer[Item, Answer], item: Item) -> Answer:
    try:
        return await coalescer.submit(item)
    except QueueFullError:
        raise Problem(OVERLOADED, room=coalescer.room) from None
