from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.database.calls import Database
from api.database.errors import NotReadyError
from api.database.rows import TicketOption
from api.database.store import Store
from api.ids import new_uuid
from api.settings import Settings

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


class Check:
    """Refuses calls until it is told otherwise, and counts how often it was asked."""

    def __init__(self) -> None:
        self.is_ready = False
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if not self.is_ready:
            raise NotReadyError


@asynccontextmanager
async def store_on(conninfo: str, check: Check, **options: object) -> AsyncIterator[Store]:
    database = Database(
        Settings().service_conninfo(conninfo),
        pool_size=4,
        max_waiting=100,
        timeout_seconds=10,
        answer_timeout_seconds=10,
    )
    await database.open()
    try:
        yield Store(database, check, **options)  # type: ignore[arg-type]
    finally:
        await database.close()


@pytest.mark.parametrize("batch_size", [1, 256])
@pytest.mark.parametrize("batch_options", ["one", "many"])
async def test_nothing_is_called_before_the_check_has_passed_and_then_it_is_not_asked_again(
    database: str, batch_size: int, batch_options: str
) -> None:
    check, option_id = Check(), new_uuid()
    async with store_on(
        database, check, batch_size=batch_size, batch_options=batch_options
    ) as store:
        for call in (
            lambda: store.create_ticket_option(TicketOption(option_id, "a", "", 10)),
            lambda: store.get_ticket_option(option_id),
            lambda: store.purchase_tickets(option_id, new_uuid(), USER, 1),
            lambda: store.get_purchase(option_id, new_uuid()),
            lambda: store.hold_tickets(option_id, new_uuid(), USER, 1, 600),
            lambda: store.purchase_hold(option_id, new_uuid()),
        ):
            with pytest.raises(NotReadyError):
                await call()
        assert check.asked == 6

        check.is_ready = True
        # Nothing was stored.
        assert await store.get_ticket_option(option_id) is None
        assert check.asked == 7
        await store.create_ticket_option(TicketOption(option_id, "a", "", 10))
        assert await store.purchase_tickets(option_id, new_uuid(), USER, 1) == ("created", None)
        option = await store.get_ticket_option(option_id)
        assert option is not None
        assert option.allocation == 9
        assert check.asked == 7
