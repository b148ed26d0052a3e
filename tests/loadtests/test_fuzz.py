from __future__ import annotations

from loadtests.fuzz.rounds import play_round

SEED = 20_261_122
"""Fixed, so that the suite is repeatable. ``make schemathesis`` uses others."""


def test_every_generated_request_is_answered_as_documented(database: str) -> None:
    assert play_round(database, SEED, examples=10) > 100
