"""What requests look like. Decoding a request *is* validating it.

The bounds are those of the contract; the tables declare the same ones, and decide.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from api.web.bodies import must

_WHITE_SPACE = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space property, spelled out: each regex engine has a ``\\s`` of its own."""

_HEX = "[0-9a-fA-F]"

_INTEGER_MAX = 2_147_483_647

Name = Annotated[
    str,
    must(
        "a string of 1 to 255 Unicode characters, not only white space, without U+0000",
        min_length=1,
        max_length=255,
        pattern=rf"^[^\u0000]*[^\u0000{_WHITE_SPACE}][^\u0000]*\Z",
    ),
]
Description = Annotated[
    str,
    must(
        "a string of at most 10000 Unicode characters, without U+0000",
        max_length=10_000,
        pattern=r"^[^\u0000]*\Z",
    ),
]
Allocation = Annotated[int, must(f"an integer from 0 to {_INTEGER_MAX}", ge=0, le=_INTEGER_MAX)]
Quantity = Annotated[int, must(f"an integer from 1 to {_INTEGER_MAX}", ge=1, le=_INTEGER_MAX)]
UserID = Annotated[
    str,
    must(
        "a UUID such as 406c1d05-bbb2-4e94-b183-7d208c2692e1",
        pattern=rf"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\Z",
    ),
]


class NewTicketOption(msgspec.Struct):
    """The body of ``POST /ticket_options``."""

    name: Name
    desc: Description
    allocation: Allocation


class NewPurchase(msgspec.Struct):
    """The body of ``POST /ticket_options/:id/purchases``."""

    quantity: Quantity
    user_id: UserID
