"""A steady load of buyers, in threads, who reconnect when their connection breaks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from loadtests.harness.connection import TIMEOUT_SECONDS, Connection
from loadtests.onsale import buyers
from loadtests.onsale.buyers import Habits
from loadtests.onsale.organiser import change_capacity
from loadtests.onsale.visits import RETRY_PAUSE_SECONDS, play
from loadtests.proof.ledger import Ledger

STOP_SECONDS_MAX = 20.0
"""How long the last visits may take to end."""


HABITS = Habits(hold=0.5, give_back=0.3)


class Load:
    """Visits one after another, by a number of concurrent buyers, and an organiser who changes the
    capacity of each option.

    Args:
        ledger: has the capacity of each option.
        option_ids: what the buyers choose from; an option listed twice is twice as likely.
        seed: of their choices; the order is up to the threads.
    """

    def __init__(
        self, url: str, ledger: Ledger, option_ids: Sequence[str], *, buyers: int, seed: int
    ) -> None:
        self._url = url
        self._ledger = ledger
        self._option_ids = option_ids
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._buy, args=(random.Random(f"{seed} {number}"),), daemon=True
            )
            for number in range(buyers)
        ]
        choices = random.Random(f"{seed} organiser")
        self._threads.append(threading.Thread(target=self._organise, args=(choices,), daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every visit end, and begin no new ones."""
        self._is_over.set()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), "visits do not end"

    def _buy(self, choices: random.Random) -> None:
        connection = Connection(self._url, patience_seconds=TIMEOUT_SECONDS)
        while not self._is_over.is_set():
            visit = buyers.visit(choices.choice(self._option_ids), choices, HABITS)
            play(visit, connection.send, self._ledger, self._linger)
        connection.close()

    def _linger(self, seconds: float) -> None:
        """Wait, but for buyers who take their time no longer than there is a sale."""
        if seconds > max(RETRY_PAUSE_SECONDS):
            self._is_over.wait(seconds)
        else:
            time.sleep(seconds)

    def _organise(self, choices: random.Random) -> None:
        connection = Connection(self._url, patience_seconds=TIMEOUT_SECONDS)
        while not self._is_over.is_set():
            option_id = choices.choice(self._option_ids)
            change = change_capacity(option_id, self._ledger.capacities[option_id], choices)
            play(change, connection.send, self._ledger)
        connection.close()
