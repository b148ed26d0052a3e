"""The stored functions, one method for each. There is no rule here: see db/procedures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from api.database.calls import Database
from api.database.changing import Changing
from api.database.entries import QueueFullError
from api.database.errors import OverloadedError, RefusedError, UnavailableError
from api.database.faults import is_one_items_fault
from api.database.next_call import NextCall
from api.database.per_key import per_key
from api.database.rows import Availability, CapacityInUse, Hold, Purchase, TicketOption
from api.database.taking import HOLD, PURCHASE, PURCHASE_OF_HOLD, Outcome, Taking

NOT_THERE = "TK001"


def _moment(column: str) -> str:
    # Formatted, so that neither the date style nor the time zone of the session matters.
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


_OPTION = 'id::text, name, "desc", allocation, more'
_PURCHASE = (
    "id::text, ticket_option_id::text, user_id::text, quantity, "
    f"{_moment('created_at')}, purchased_quantity, {_moment('cancelled_at')}"
)
_HOLD = (
    "id::text, ticket_option_id::text, user_id::text, quantity, state, "
    f"{_moment('created_at')}, {_moment('expires_at')}"
)


class Store:
    """Calls the functions of the schema ``ticketing``.

    Concurrent calls that take tickets are shared (see api/database/taking.py and
    docs/coalescer.md), and so are reads of ticket options. A read never joins a call already in
    flight, so it sees every purchase that was answered before.

    Every method raises what `Database.call` raises. Made within the event loop.

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
        self._check = check
        self._is_checked = False

        bounds: dict[str, Any] = {
            "batch_items_max": batch_size,
            "fails_alone": is_one_items_fault,
            "items_max": database.max_waiting,
            "timeout_seconds": database.timeout_seconds,
            "unknown_error": UnavailableError,
        }
        read = self._read_options
        if batch_options == "one":
            read = per_key(read, str, calls_max=(database.pool_size - 1) // 2)  # type: ignore[assignment]
        self._reads: NextCall[str, TicketOption | None] = NextCall(read, **bounds)
        self._changing = Changing(database, lock_timeout_seconds)
        self._taking = Taking(
            database,
            batch_options=batch_options,
            lock_timeout_seconds=lock_timeout_seconds,
            **bounds,
        )

    # Ticket options

    async def create_ticket_option(self, option: TicketOption) -> str:
        """Put a ticket option on sale, and return the outcome: see
        try_create_ticket_option_with_rules.sql."""
        [[outcome]] = await self._call(
            "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s::integer, %s::integer, "
            "%s::integer, %s::timestamptz, %s::timestamptz, %s)",
            (
                option.id,
                option.name,
                option.desc,
                option.allocation,
                option.max_per_purchase,
                option.max_per_user,
                option.on_sale_from,
                option.on_sale_until,
                option.paused,
            ),
        )
        return cast("str", outcome)

    async def get_ticket_option(self, option_id: str) -> TicketOption | None:
        """The option, or None. Its allocation is what can still be purchased."""
        if not self._is_checked:
            await self._pass_check()
        if not self._shares_calls:
            return (await self._read_options([option_id]))[0]
        try:
            return await self._reads.submit(option_id)
        except QueueFullError:
            raise OverloadedError(self._reads.room) from None

    async def update_ticket_option(
        self, option_id: str, changes: str
    ) -> TicketOption | CapacityInUse | None:
        """Change an option as a JSON Merge Patch says, and return it, or what is in the way; None
        if there is no such option."""
        # Not resent: somebody else may change the same in between.
        outcome, *row, capacity, sold, held = await self._change(
            option_id,
            f"SELECT outcome, {_OPTION}, capacity, sold, held "
            "FROM ticketing.try_update_ticket_option(%s, %s::jsonb, %s::integer)",
            option_id,
            changes,
            resends_unknown=False,
        )
        if outcome == "not_found":
            return None
        if outcome == "capacity_in_use":
            return CapacityInUse(capacity, sold, held)
        return _option(row)

    async def get_availability(self, option_id: str) -> Availability | None:
        """How the capacity of an option is made up at one moment, or None."""
        rows = await self._call(
            "SELECT capacity, sold, held, available, on_sale FROM ticketing.get_availability(%s)",
            (option_id,),
        )
        return Availability(*rows[0]) if rows else None

    async def list_ticket_options(
        self, after: str | None, items_max: int
    ) -> list[TicketOption] | None:
        """Options, the newest first, from behind the option ``after``; None if there is none."""
        rows = await self._page(
            f"SELECT {_OPTION} FROM ticketing.list_ticket_options(%s::uuid, %s::integer)",
            (after, items_max),
        )
        return None if rows is None else [_option(row) for row in rows]

    async def _read_options(self, option_ids: Sequence[str]) -> list[TicketOption | None]:
        rows = await self._database.call(
            f"SELECT {_OPTION} FROM ticketing.describe_ticket_options(%s::uuid[])",
            ["{" + ",".join(set(option_ids)) + "}"],
        )
        found = {row[0]: _option(row) for row in rows}
        return [found.get(option_id) for option_id in option_ids]

    # Purchases

    async def purchase_tickets(
        self, option_id: str, purchase_id: str, user_id: str, quantity: int
    ) -> Outcome:
        """Sell tickets, and return the outcome: see try_purchase_tickets.sql."""
        if not self._is_checked:
            await self._pass_check()
        return await self._taking.take(option_id, PURCHASE, purchase_id, user_id, str(quantity))

    async def get_purchase(self, option_id: str, purchase_id: str) -> Purchase | None:
        """The purchase, or None."""
        rows = await self._call(
            f"SELECT {_PURCHASE} FROM ticketing.describe_purchase(%s, %s)",
            (option_id, purchase_id),
        )
        return Purchase(*rows[0]) if rows else None

    async def return_tickets(
        self, option_id: str, purchase_id: str, remaining: int
    ) -> tuple[str, Purchase | None]:
        """Give back all tickets of a purchase but those that are to remain, and return the outcome
        and the purchase as it is then: see try_return_tickets.sql."""
        outcome, *row = await self._change(
            option_id,
            "SELECT outcome, %s, %s, user_id::text, quantity, "
            f"{_moment('created_at')}, purchased_quantity, "
            f"{_moment('cancelled_at')} FROM ticketing.try_return_tickets(%s, %s, %s::integer, "
            "%s::integer)",
            purchase_id,
            option_id,
            option_id,
            purchase_id,
            remaining,
        )
        return outcome, None if outcome == "not_found" else Purchase(*row)

    async def list_purchases(
        self, option_id: str, user_id: str | None, after: str | None, items_max: int
    ) -> list[Purchase] | None:
        """Purchases of an option, or a user's, in the order of their ids, from
        behind ``after``; None if there is none."""
        rows = await self._page(
            f"SELECT {_PURCHASE} FROM ticketing.list_purchases("
            "%s, %s::uuid, %s::uuid, %s::integer)",
            (option_id, user_id, after, items_max),
        )
        return None if rows is None else [Purchase(*row) for row in rows]

    # Holds

    async def hold_tickets(
        self, option_id: str, hold_id: str, user_id: str, quantity: int, expires_in_seconds: int
    ) -> Outcome:
        """Keep tickets for a while, and return the outcome: see try_hold_tickets.sql."""
        if not self._is_checked:
            await self._pass_check()
        return await self._taking.take(
            option_id, HOLD, hold_id, user_id, str(quantity), str(expires_in_seconds)
        )

    async def purchase_hold(self, option_id: str, hold_id: str) -> Outcome:
        """Turn a hold into a purchase, and return the outcome: see try_purchase_holds.sql."""
        if not self._is_checked:
            await self._pass_check()
        return await self._taking.take(option_id, PURCHASE_OF_HOLD, hold_id)

    async def release_hold(self, option_id: str, hold_id: str) -> str:
        """Give the tickets of a hold back, and return the outcome: see try_release_hold.sql."""
        [outcome] = await self._change(
            option_id,
            "SELECT ticketing.try_release_hold(%s, %s, %s::integer)",
            option_id,
            hold_id,
        )
        return cast("str", outcome)

    async def get_hold(self, option_id: str, hold_id: str) -> Hold | None:
        """The hold as it is now, or None."""
        rows = await self._call(
            f"SELECT {_HOLD} FROM ticketing.get_hold(%s, %s)", (option_id, hold_id)
        )
        return Hold(*rows[0]) if rows else None

    async def list_holds(
        self,
        option_id: str,
        user_id: str | None,
        state: str | None,
        after: str | None,
        items_max: int,
    ) -> list[Hold] | None:
        """Holds of an option, or a user's, or in a state, in the order of their ids, from
        behind ``after``; None if there is none."""
        rows = await self._page(
            f"SELECT {_HOLD} FROM ticketing.list_holds("
            "%s, %s::uuid, %s::text, %s::uuid, %s::integer)",
            (option_id, user_id, state, after, items_max),
        )
        return None if rows is None else [Hold(*row) for row in rows]

    async def sweep_expired_holds(self) -> int:
        """Return the tickets of some holds that ran out, and how many holds that were: see
        sweep_expired_holds.sql."""
        [[count]] = await self._call("SELECT ticketing.sweep_expired_holds()", ())
        return cast("int", count)

    async def _page(
        self, statement: str, arguments: Sequence[object]
    ) -> list[tuple[Any, ...]] | None:
        """The rows of a page; None if what it is to begin behind is not in the list."""
        try:
            return await self._call(statement, arguments)
        except RefusedError as error:
            if error.sqlstate != NOT_THERE:
                raise
            return None

    async def _change(
        self, option_id: str, statement: str, *arguments: object, resends_unknown: bool = True
    ) -> tuple[Any, ...]:
        if not self._is_checked:
            await self._pass_check()
        return await self._changing.call(
            option_id, statement, *arguments, resends_unknown=resends_unknown
        )

    async def _pass_check(self) -> None:
        await self._check()
        self._is_checked = True

    async def _call(self, statement: str, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self._is_checked:
            await self._pass_check()
        return await self._database.call(statement, arguments)


def _option(row: Sequence[Any]) -> TicketOption:
    *members, more = row
    return TicketOption(*members, **more) if more else TicketOption(*members)
