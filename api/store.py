"""The stored functions, one method for each. There is no rule here: see db/procedures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timezone
from typing import Any
from uuid import UUID

from api.database import Database
from api.schemas import Purchase, TicketOption


class Store:
    """Calls the functions of the schema ``ticketing``.

    Every method raises what `Database.call` raises.

    Attributes:
        check: awaited before every call but `installed_files`, and free to refuse it; None once the
            database was found to be the one that this build was made for.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.check: Callable[[], Awaitable[None]] | None = None

    async def create_ticket_option(
        self, option_id: UUID, name: str, desc: str, allocation: int
    ) -> None:
        """Put something on sale, under an id that the caller chose."""
        await self._call(
            "SELECT ticketing.create_ticket_option(%s, %s, %s::integer, %s)",
            (name, desc, allocation, option_id),
        )

    async def get_ticket_option(self, option_id: str) -> TicketOption | None:
        """The option, or None. Its allocation is what can still be purchased."""
        rows = await self._call(
            'SELECT id, name, "desc", allocation FROM ticketing.get_ticket_option(%s)',
            (option_id,),
        )
        return TicketOption(*rows[0]) if rows else None

    async def purchase_tickets(
        self, option_id: str, purchase_id: UUID, user_id: str, quantity: int
    ) -> str:
        """Sell tickets, and return the outcome: one of those of purchase_tickets_batch.sql."""
        rows = await self._call(
            "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])",
            (option_id, [purchase_id], [user_id], [quantity]),
        )
        outcome: str = rows[0][0][0]
        return outcome

    async def get_purchase(self, option_id: str, purchase_id: str) -> Purchase | None:
        """The purchase, or None."""
        rows = await self._call(
            "SELECT id, ticket_option_id, user_id, quantity, created_at "
            "FROM ticketing.get_purchase(%s, %s)",
            (option_id, purchase_id),
        )
        if not rows:
            return None
        purchase = Purchase(*rows[0])
        # The session's time zone is the database's choice; the contract's is UTC.
        purchase.created_at = purchase.created_at.astimezone(timezone.utc)
        return purchase

    async def installed_files(self, timeout_seconds: float | None = None) -> dict[str, str]:
        """The checksums of the migrations and procedures that made the database, by file name."""
        rows = await self._database.call(
            "SELECT path, sha256 FROM ticketing.installed_files()", timeout_seconds=timeout_seconds
        )
        return dict(rows)

    async def _call(self, statement: str, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
        if self.check is not None:
            await self.check()
        return await self._database.call(statement, arguments)
