from __future__ import annotations

from loadtests.fuzz.rounds import play_round

SEED = 20_261_122
"""Fixed, so that the suite says the same thing twice. ``make schemathesis`` takes others."""


def test_whatever_is_asked_is_answered_as_the_document_says(database: str) -> None:
    assert play_round(database, SEED, examples=10) > 100
