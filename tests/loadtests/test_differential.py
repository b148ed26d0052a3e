from __future__ import annotations

import os
import random

from loadtests.fuzz.differential import as_text, compare
from loadtests.harness.postgres import Server

SEED = int(os.environ.get("DIFFERENTIAL_SEED", random.SystemRandom().randrange(1_000_000)))


async def test_both_servers_give_the_same_answers(postgres_18: Server) -> None:
    print(f"DIFFERENTIAL_SEED={SEED}")
    with postgres_18.database() as lane, postgres_18.database() as plain:
        found = await compare(lane, plain, 300, SEED)

    assert not found, "\n".join(as_text(found))
