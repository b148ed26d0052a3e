"""Generates identifiers."""

from __future__ import annotations

import os
import time
import uuid

_OPTIONS = uuid.UUID("5b0f6d0e-6c5c-4f0c-9d8e-2f1b7a3c4e61")
"""The namespace of the options' keys. It never changes: the ids of stored options depend on it."""

_HOLDS = uuid.UUID("9d3f5c1a-2b7e-4a86-8c50-6e1d0f9b4a27")
"""The namespace of the holds' keys, so that a hold and a purchase with one key are two things. It
never changes either."""


_NOISE_BYTES = 4096
"""How much randomness to read at a time: each system call costs as much as parsing a request."""

_noise, _place = "", 0


def random_digits(count: int) -> str:
    """Random hexadecimal digits, at most `_NOISE_BYTES` of them."""
    global _noise, _place
    end = _place + count
    if end > len(_noise):
        _noise, end = os.urandom(_NOISE_BYTES).hex(), count
    _place = end
    return _noise[end - count : end]


def _forget_noise() -> None:
    global _noise
    _noise = ""


# A process and its child must not generate the same ids.
os.register_at_fork(after_in_child=_forget_noise)


def new_uuid() -> str:
    """A new UUID of version 7 (RFC 9562, 5.7), as text.

    It begins with the time, so a new row goes to the end of an index instead of a random page.
    """
    moment_ms = time.time_ns() // 1_000_000
    noise = random_digits(19)
    variant = "89ab"[int(noise[3], 16) & 3]
    return (
        f"{moment_ms >> 16:08x}-{moment_ms & 0xFFFF:04x}-7{noise[:3]}"
        f"-{variant}{noise[4:7]}-{noise[7:19]}"
    )


def option_uuid(key: str) -> str:
    """The UUID, of version 5, that an idempotency key always gets."""
    return str(uuid.uuid5(_OPTIONS, key))


def purchase_uuid(option_id: str, user_id: str, key: str) -> str:
    """The UUID, of version 5, that an option, a user and an idempotency key always get."""
    return str(uuid.uuid5(uuid.UUID(option_id), f"{user_id.lower()} {key}"))


def hold_uuid(option_id: str, user_id: str, key: str) -> str:
    """Like `purchase_uuid`, for a hold: never the UUID of a purchase."""
    return str(uuid.uuid5(_HOLDS, f"{option_id.lower()} {user_id.lower()} {key}"))
