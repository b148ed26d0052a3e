"""What is stored, as it is read. Optional members are left out where they are at their default.

Moments are text: RFC 3339 in UTC, with microseconds.
"""

from __future__ import annotations

import msgspec


class TicketOption(msgspec.Struct, omit_defaults=True):
    """A ticket option; its allocation is what can still be purchased."""

    id: str
    name: str
    desc: str
    allocation: int
    max_per_purchase: int | None = None
    max_per_user: int | None = None
    on_sale_from: str | None = None
    on_sale_until: str | None = None
    paused: bool = False


class CapacityInUse(msgspec.Struct):
    """Why the capacity of an option cannot be as small as was asked."""

    capacity: int
    sold: int
    held: int


class Availability(msgspec.Struct):
    """How the capacity of a ticket option is made up: it is what is sold, held and available."""

    capacity: int
    sold: int
    held: int
    available: int
    on_sale: bool


class Purchase(msgspec.Struct, omit_defaults=True):
    """A purchase; its quantity is what it has now."""

    id: str
    ticket_option_id: str
    user_id: str
    quantity: int
    created_at: str
    purchased_quantity: int | None = None
    cancelled_at: str | None = None


class Hold(msgspec.Struct):
    """A hold; its state is ``held``, ``purchased``, ``released`` or ``expired``."""

    id: str
    ticket_option_id: str
    user_id: str
    quantity: int
    state: str
    created_at: str
    expires_at: str
