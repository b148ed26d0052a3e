"""What the organiser of an on-sale does while buyers buy."""

from __future__ import annotations

from random import Random

from loadtests.onsale import requests
from loadtests.onsale.visits import Visit, settled

CHANGE_MAX = 0.1
"""How far from what was put on sale the capacity is moved, up and down, as a part of it."""


def change_capacity(option_id: str, capacity: int, random: Random) -> Visit:
    """Raise or lower the capacity. An option has one organiser, who does one thing at a time.

    Args:
        capacity: what was put on sale.
    """
    span = max(1, round(capacity * CHANGE_MAX))
    changed = requests.change_of_capacity(option_id, capacity + random.randint(-span, span))
    yield from settled(changed._replace(pause_seconds=random.uniform(0, 0.2)), random)
