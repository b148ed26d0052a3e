"""What is stored, as it is read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class TicketOption(msgspec.Struct):
    """A ticket option; its allocation is what can still be purchased."""

    id: str
    name: str
    desc: str
    allocation: int


class Purchase(msgspec.Struct):
    """A purchase."""

    id: UUID
    ticket_option_id: UUID
    user_id: UUID
    quantity: int
    created_at: datetime
