"""The stored functions, one method for each. There is no rule here: see db/procedures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any, NamedTuple, cast

from api.coalescer import Answer, Coalescer, Item, QueueFullError
from api.database import Database, is_one_items_fault
from api.problems import OVERLOADED, UNAVAILABLE, Problem
from api.schemas import Purchase, TicketOption

NOWHERE = "00000000-0000-0000-0000-000000000000"

OTHER_CALLS = 3
"""Connections that options held locked cannot take: for many options, for reads, for the rest."""


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

    Args:
        batch_size: purchases or reads at most that share a call; 1: none do.
        batch_options: ``many`` or ``one``, the ticket options of a call.

    Attributes:
        check: awaited before every call but `installed_files`, and free to refuse it; None once the
            database was found to be the one that this build was made for.
    """

    def __init__(
        self, database: Database, *, batch_size: int = 256, batch_options: str = "many"
    ) -> None:
        self._database = database
        self._shares_calls = batch_size > 1
        self.check: Callable[[], Awaitable[None]] | None = None
        self._purchases: Coalescer[_Purchase, str] = Coalescer(
            self._purchase_of_many if batch_options == "many" else None,
            self._purchase_of_one,
            itemgetter(0),
            **self._bounds(batch_size),
        )
        self._reads: Coalescer[str, TicketOption | None] = Coalescer(
            self._read_many if batch_options == "many" else None,
            self._read_many,
            str,
            **self._bounds(batch_size),
        )

    def _bounds(self, batch_size: int) -> dict[str, Any]:
        return {
            "fails_alone": is_one_items_fault,
            "items_most": self._database.max_waiting,
            "batch_items_most": batch_size,
            "keys_most": self._database.pool_size - OTHER_CALLS,
            "timeout_seconds": self._database.timeout_seconds,
            "timeout_error": lambda: Problem(UNAVAILABLE),
        }

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
        """Sell tickets, and return the outcome: one of those of purchase_tickets_batch.sql."""
        if self.check is not None:
            await self.check()
        purchase = _Purchase(option_id, purchase_id, user_id, str(quantity))
        if not self._shares_calls:
            return (await self._purchase_of_one([purchase]))[0]
        return await _submit(self._purchases, purchase)

    async def _purchase_of_many(self, purchases: Sequence[_Purchase]) -> list[str]:
        [[outcomes]] = await self._database.call(
            "SELECT ticketing.purchase_tickets_of_many("
            "%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[])",
            [_array(column) for column in zip(*purchases, strict=True)],
        )
        return cast("list[str]", outcomes)

    async def _purchase_of_one(self, purchases: Sequence[_Purchase]) -> list[str]:
        option_ids, *columns = zip(*purchases, strict=True)
        [[outcomes]] = await self._database.call(
            "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])",
            [option_ids[0], *map(_array, columns)],
        )
        return cast("list[str]", outcomes)

    async def _read_many(self, option_ids: Sequence[str]) -> list[TicketOption | None]:
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


def _array(values: Iterable[str]) -> str:
    """The literal of an array whose elements need no quotes: UUIDs and numbers."""
    return "{" + ",".join(values) + "}"


async def _submit(coalescer: Coalescer[Item, Answer], item: Item) -> Answer:
    try:
        return await coalescer.submit(item)
    except QueueFullError:
        raise Problem(OVERLOADED, room=coalescer.room) from None
